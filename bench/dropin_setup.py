"""What the modes of dropin.py share: where they run, the models, what is sampled. One thread.

Gpu is the real one. StandIn is the CPU with the homes, ring and patches of a GPU: it shows that a
mode runs and its answers are right, and its times mean nothing."""
import statistics
import sys
import threading
import time
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins" / "python"))
import spillway.torch  # noqa: E402
from spillway import library  # noqa: E402
from spillway.torch import devices, loading  # noqa: E402
from spillway.torch.streamer import Streamer  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30


class Gpu:
    device = "cuda"

    def name(self):
        return torch.cuda.get_device_name()

    def enable(self, hbm, host, work, **options):
        spillway.torch.enable(hbm_budget=hbm, host_budget=host, work=work, **options)
        self.streamer = spillway.torch._active.streamer

    def pack(self, way):
        """From now on so, after enable() with another way."""
        repack(self.streamer, way)

    def disable(self):
        del self.streamer
        spillway.torch.disable()

    def report(self):
        return spillway.torch.report()

    def synchronize(self):
        torch.cuda.synchronize()

    def empty_cache(self):
        torch.cuda.empty_cache()

    def hbm_bytes(self):
        """In use by whomever, as the driver says."""
        free, total = torch.cuda.mem_get_info()
        return total - free

    def idle_bytes(self):
        """What a torch process holds after one cuBLAS call."""
        a = torch.ones(1024, 1024, device="cuda", dtype=torch.bfloat16)
        (a @ a).sum().item()
        return self.hbm_bytes()

    def pinned(self, size):
        return torch.empty(size, dtype=torch.uint8).pin_memory()


class StandIn:
    device = "cpu"

    def name(self):
        return "the CPU as a stand-in: times mean nothing"

    def enable(self, hbm, host, work, packing="on", cpu_attention="off", **_cpu_rows):
        pool = library.Pool(library.Library(), hbm_budget=64 * MIB, host_budget=host or GIB,
                            simulated_bytes=256 * MIB)
        self.streamer = Streamer(devices.Cpu(), pool, hbm - work)
        self.streamer.work_bytes = work
        repack(self.streamer, packing)
        _, attention = spillway.torch._cpu_parts(self.streamer, "off", cpu_attention, 1)
        self._patches = loading.install(self.streamer)
        self.streamer.kv.cpu_attention = attention

    def pack(self, way):
        repack(self.streamer, way)

    def disable(self):
        self._patches.remove()
        spillway.torch._close_cpu_parts(self.streamer)
        repack(self.streamer, "off")
        del self.streamer

    def report(self):
        return self.streamer.pool.text("pool_explain")

    def synchronize(self):
        pass

    def empty_cache(self):
        pass

    def hbm_bytes(self):
        streamer = getattr(self, "streamer", None)
        return streamer.allocated_bytes() if streamer else 0

    def idle_bytes(self):
        return 0

    def pinned(self, size):
        return torch.empty(size, dtype=torch.uint8)


def packing_of(where):
    """None where weights are not packed, or nothing is enabled."""
    streamer = getattr(where, "streamer", None)
    return streamer and streamer.packing


def repack(streamer, way):
    """By way of `way` from now on; copies that were made go."""
    before, streamer.packing = streamer.packing, None
    if before is not None:
        before.close()
    streamer.packing = spillway.torch._packing(streamer, spillway.torch._packing_way(way))


def link_rate(where, size=GIB):
    """Bytes a second of the copy engine, host to HBM."""
    source = where.pinned(size)
    target = torch.empty(size, dtype=torch.uint8, device=where.device)
    rates = []
    for _ in range(4):
        where.synchronize()
        started = time.perf_counter()
        target.copy_(source, non_blocking=True)
        where.synchronize()
        rates.append(size / (time.perf_counter() - started))
    return statistics.median(rates[1:])


def resident_set_bytes():
    """Of this process, in host memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("/proc/self/status has no VmRSS")


class Sampler:
    """The most of HBM and of host memory that was in use, every 10 ms."""

    def __init__(self, where):
        self.hbm = self.host = 0
        self._where = where
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.01):
            self.hbm = max(self.hbm, self._where.hbm_bytes())
            self.host = max(self.host, resident_set_bytes())

    def stop(self):
        self._stop.set()
        self._thread.join()


def config_of(options):
    heads = max(1, options.hidden // 128)
    return transformers.LlamaConfig(
        hidden_size=options.hidden, intermediate_size=options.ffn, num_hidden_layers=options.layers,
        num_attention_heads=heads, num_key_value_heads=min(8, heads),
        vocab_size=options.vocabulary, max_position_embeddings=8192)


def build(options):
    """In host memory, of one block of noise again and again: 21 GiB of random numbers take long."""
    config = config_of(options)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    model.to_empty(device="cpu")
    torch.manual_seed(0)
    noise = (torch.randn(1 << 22) * 0.02).to(torch.bfloat16)
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        if parameter.dim() == 1:
            flat.fill_(1)
            continue
        for at in range(0, flat.numel(), noise.numel()):
            flat[at:at + noise.numel()] = noise[:flat.numel() - at]
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    return model.eval()


def bytes_of(model):
    return sum(p.numel() * p.element_size() for p in model.parameters())


def streamed_bytes(model):
    """Of weights of linear layers whose home is the host: what goes over the link in a pass."""
    weights = {id(m.weight): m.weight for m in model.modules() if type(m) is torch.nn.Linear}
    return sum(w.numel() * w.element_size() for w in weights.values()
               if hasattr(w, "spillway_weight"))


def prompt(options, batch=1, tokens=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, options.vocabulary, (batch, tokens or options.prompt),
                        generator=generator)
    return ids


def generate_seconds(synchronize, model, ids, tokens):
    synchronize()
    started = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
                   min_new_tokens=tokens, do_sample=False, pad_token_id=0)
    synchronize()
    return time.perf_counter() - started


def decode_seconds(synchronize, model, ids, tokens):
    """(a token's, the prompt's): what more tokens take than one."""
    first = generate_seconds(synchronize, model, ids, 1)
    return (generate_seconds(synchronize, model, ids, tokens) - first) / (tokens - 1), first


def answers(model, ids):
    """Logits of the prompt, and of two tokens after it."""
    with torch.no_grad():
        prompt = model(ids, use_cache=False).logits
    tokens = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2,
                            min_new_tokens=2, do_sample=False, pad_token_id=0,
                            return_dict_in_generate=True, output_logits=True).logits
    return [part.cpu() for part in (prompt, *tokens)]


def equal(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))
