"""Without a GPU: homes are ranges of files, which the ring reads past the page cache."""
import os
import threading

import pytest
import torch
from huge_pages import wants_huge_pages
from models import MIB, homes, network

from spillway.torch import (checkpoint, direct_file, disk, host_memory, loading, measures, planning,
                            reporting)
from spillway.torch.ring import Ring
from spillway.torch.streamer import Streamer

safetensors = pytest.importorskip("safetensors.torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture
def on_disk(tmp_path):
    """on_disk(host_bytes): streaming from disk is on until the test ends."""
    patches = []

    def start(host_bytes):
        streamer = Streamer(disk.Disk(), disk.DiskPool(str(tmp_path)), host_bytes)
        patches.append(loading.install(streamer))
        return streamer

    torch.manual_seed(0)
    yield start
    for one in reversed(patches):
        one.remove()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=512, intermediate_size=1536, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=256)
    path = tmp_path / "llama"
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    return path


def load(folder, **arguments):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, **arguments)


def logits(model):
    with torch.no_grad():
        return [model(torch.arange(1, 9)[None]).logits for _ in range(3)]


def cached_pages(path):
    """How many bytes of the file the page cache holds."""
    import ctypes
    import mmap
    size = os.path.getsize(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE,
                                             prot=mmap.PROT_READ | mmap.PROT_WRITE) as memory:
        pages = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        held = ctypes.c_char.from_buffer(memory)
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.mincore(ctypes.c_void_p(ctypes.addressof(held)), ctypes.c_size_t(size), pages)
        del held
        assert done == 0
        return sum(page & 1 for page in pages) * mmap.PAGESIZE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("host_bytes", [30 * MIB, 18 * MIB, 0])
def test_a_checkpoint_answers_the_same(on_disk, folder, dtype, host_bytes):
    wanted = logits(load(folder, dtype=dtype))
    on_disk(host_bytes)
    model = load(folder, dtype=dtype)
    for one, other in zip(logits(model), wanted, strict=True):
        assert torch.equal(one, other)
    if host_bytes == 0:
        assert sum(homes(model)) == 29  # all linear layers
    elif (dtype, host_bytes) == (torch.bfloat16, 18 * MIB):
        assert 0 < sum(homes(model)) < 29


def test_weights_stay_in_their_checkpoint_and_out_of_the_page_cache(on_disk, folder):
    file = folder / "model.safetensors"
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if not direct_file.DirectFile(file).direct:
        pytest.skip("this file system has no O_DIRECT")
    streamer = on_disk(0)
    model = load(folder, dtype=torch.bfloat16)
    logits(model)
    assert streamer.device.reader.bytes > 0 and "0 B in temporary" in streamer.pool.text("")
    assert cached_pages(file) < MIB  # the header


def test_a_larger_weight_than_the_others_stays(on_disk):
    with torch.device("meta"):
        model = torch.nn.Sequential(*[torch.nn.Linear(512, 256, bias=False) for _ in range(20)],
                                    torch.nn.Linear(512, 4096, bias=False))
    # 8 MiB of the last one, a ring of 8 times 0.5 and a page, and 2 of the 10 that the others have.
    plan = on_disk(14 * MIB + 8 * direct_file.PAGE).plan(model)
    assert not plan["20.weight"] and sum(plan.values()) == 16


def test_what_was_written_is_used(on_disk, folder):
    on_disk(0)
    model = load(folder, dtype=torch.bfloat16)
    before = logits(model)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert hasattr(weight, "spillway_weight")
    old = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(2)
    doubled = logits(model)
    assert not torch.equal(before[0], doubled[0]) and torch.equal(doubled[0], doubled[2])
    # One more parameter over the same bytes, when the first is gone: the file is still the old.
    again = torch.nn.Parameter(weight.data, requires_grad=False)
    model.model.layers[0].mlp.up_proj.weight = again
    del weight
    assert torch.equal(logits(model)[0], doubled[0])
    with torch.no_grad():
        again.copy_(old)
    assert torch.equal(logits(model)[0], before[0])


@pytest.mark.parametrize("size", [4096, 3 * MIB, 64 * MIB])
def test_the_ring_lies_in_huge_pages(size):
    memory = disk.Disk(direct_file.Reader(1)).ring_memory(size)
    assert memory.numel() == size and memory.data_ptr() % host_memory.HUGE_PAGE == 0
    assert wants_huge_pages(memory.data_ptr())
    memory[-1] = 1
    assert memory.sum() == 1


def test_what_was_made_in_memory_goes_to_a_file_without_a_name(on_disk, tmp_path):
    wanted_model = network(16)
    x = torch.randn(3, 768)
    wanted = wanted_model(x)
    state = {name: one.clone() for name, one in wanted_model.state_dict().items()}
    streamer = on_disk(25 * MIB)
    with torch.device("meta"):
        model = network(16)
    model.to_empty(device="cpu")
    model.load_state_dict(state)
    assert any(homes(model)) and not list(tmp_path.iterdir())
    for _ in range(2):
        assert torch.equal(model(x), wanted)
    del model
    assert "0 B in temporary" in streamer.pool.text("")


def test_place_writes_the_file(on_disk):
    streamer = on_disk(0)
    source = torch.randn(700, 900)
    parameter = torch.nn.Parameter(streamer.place(source, "one"))
    streamer.adopt(parameter)
    weight = parameter.spillway_weight
    before = streamer.device.reader.bytes
    lease = streamer.ring_for(weight.size_bytes).fetch(weight)
    assert torch.equal(lease.tensor, source) and torch.equal(parameter, source)
    assert streamer.device.reader.bytes > before  # from the file, not from memory
    streamer.ring.release(lease)


@pytest.mark.parametrize("seed", range(4))
def test_the_ring_reads_any_order_of_any_sizes(on_disk, tmp_path, seed):
    """Guesses that were wrong are read over while they come, and slots begin where O_DIRECT can."""
    import random
    draw = random.Random(seed)
    sizes = [draw.randrange(1, 300_000) for _ in range(12)]
    content = torch.randint(0, 256, (sum(sizes),), dtype=torch.uint8)
    file = tmp_path / "one.safetensors"
    safetensors.save_file({f"{i:02}": part for i, part in enumerate(content.split(sizes))}, file)
    streamer = on_disk(0)
    open_ = checkpoint.opens(streamer.device)(__import__("safetensors").safe_open)
    with open_(file, "pt") as opened:
        parts = [opened.get_slice(name) for name in sorted(opened.keys())]
        made = [torch.nn.Parameter(streamer.device.place_file(streamer, part, "one"), False)
                for part in parts]
    for one in made:
        streamer.adopt(one)
    ring = streamer.ring = Ring(streamer.device, 2, max(sizes))
    ring.times = measures.CopyTimes(streamer.device, every=1)
    for _ in range(150):
        which = draw.randrange(12)
        lease = ring.fetch(made[which].spillway_weight)
        assert (lease.tensor.data_ptr() - parts[which].offset) % direct_file.PAGE == 0
        assert torch.equal(lease.tensor, content.split(sizes)[which])
        ring.release(lease)
    ring.times.collect()
    assert ring.counts.hits and ring.counts.misses and 1e6 < ring.times.bytes_per_second() < 1e12


def test_report_and_plan_call_the_tiers_by_their_names(on_disk, folder):
    streamer = on_disk(18 * MIB)
    with torch.device("meta"):
        unloaded = transformers.LlamaForCausalLM(
            transformers.AutoConfig.from_pretrained(folder)).to(torch.bfloat16)
    planned = planning.plan(unloaded, None, planning.Budgets(18 * MIB, 0), streamer, (1e9, "given"))
    model = load(folder, dtype=torch.bfloat16)
    logits(model)
    numbers = reporting.report(streamer, [model]).to_dict()
    for key in ("hbm_tensors", "hbm_bytes", "host_tensors", "host_bytes"):
        assert [row[key] for row in numbers["modules"]] == \
            [row[key] for row in planned.to_dict()["modules"]], key
    assert numbers["ring"]["slots"] == 8 == planned.to_dict()["ring"]["slots"]
    assert numbers["host"]["used_bytes"] == sum(row["host_bytes"] for row in numbers["modules"])
    text = str(reporting.report(streamer, [model]))
    assert "| disk " in text and "in their checkpoint" in text and "HBM" not in text


def test_backward_and_threads(on_disk, folder):
    plain = load(folder, dtype=torch.bfloat16)
    ids = torch.arange(1, 9)[None]
    plain(ids, labels=ids).loss.backward()
    on_disk(0)
    model = load(folder, dtype=torch.bfloat16)
    model(ids, labels=ids).loss.backward()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name
    wanted, got = logits(plain)[0], []
    threads = [threading.Thread(target=lambda: got.extend(logits(model))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 12 and all(torch.equal(one, wanted) for one in got)


def test_a_file_that_got_shorter_is_an_error_that_names_it(on_disk, folder):
    on_disk(0)
    model = load(folder, dtype=torch.bfloat16)
    logits(model)
    os.truncate(folder / "model.safetensors", 1 << 20)
    with pytest.raises(OSError, match=r"model\.safetensors has become shorter"):
        logits(model)
