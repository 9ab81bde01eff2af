"""Ways to use streamed models: each gives what the resident model gives, bit for bit."""
import threading

import pytest
import torch
from torch.nn import functional

from models import WIDTH, Mixture, homes, network, resident_twin


@pytest.fixture
def streamed(stream, device):
    """streamed(model, hbm_bytes): the model, some of whose weights stream, and a resident twin."""
    def make(model, hbm_bytes=0):
        resident = resident_twin(model, device)
        make.streamer = stream(hbm_bytes)
        model.to(device)
        assert any(p.__dict__.get("spillway_weight") for p in model.parameters())
        return model, resident
    return make


def gradients(model, x):
    x = x.detach().requires_grad_()
    y = model(x)
    y.float().square().sum().backward()
    return [y, x.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize("shape", [(4, WIDTH), (2, 3, WIDTH)])
@pytest.mark.parametrize("autocast", [False, True])
def test_forward_and_backward(streamed, autocast, shape, device):
    x = torch.randn(shape, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
        both = [gradients(model, x) for model in streamed(network(3))]
    for one, other in zip(*both, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.parametrize("of", [torch.bfloat16, torch.float16, None])
def test_backward_under_another_autocast(streamed, of, device):
    """Autograd's threads on a GPU have float16 for it whatever the caller has."""
    both = []
    for model in streamed(network(3)):
        x = torch.linspace(-1, 1, 6 * WIDTH, device=device).view(2, 3, WIDTH).requires_grad_()
        with torch.autocast(device.type, torch.bfloat16):
            y = model(x)
        with torch.autocast(device.type, of, enabled=of is not None):
            y.float().square().sum().backward()
        both.append([y, x.grad, *(p.grad for p in model.parameters())])
    for one, other in zip(*both, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_a_layer_used_twice_under_autocast_is_as_without_its_cache(streamed, device):
    """With it, torch sums the two gradients in 16 bits."""
    both = []
    for model, cached in zip(streamed(network(1)), (True, False)):
        x = torch.linspace(-1, 1, 4 * WIDTH, device=device).view(4, WIDTH)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=cached):
            y = model(model(x))
        y.float().square().sum().backward()
        both.append([y, *(p.grad for p in model.parameters())])
    for one, other in zip(*both, strict=True):
        assert torch.equal(one, other)


def test_autocast_without_gradients(streamed, device):
    model, resident = streamed(network(3))
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        x = torch.randn(2, WIDTH, device=device)
        assert torch.equal(model(x), resident(x))
    with torch.no_grad():
        assert torch.equal(model(x), resident(x))


def test_gradients_of_gradients(streamed, device):
    both = []
    for model in streamed(network(2)):
        x = torch.linspace(-1, 1, WIDTH, device=device)[None].requires_grad_()
        first, = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        first.square().sum().backward()
        both.append([x.grad, *(p.grad for p in model.parameters())])
    for one, other in zip(*both, strict=True):
        assert one is None and other is None or torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_functional_transforms(streamed, device):
    model, resident = streamed(network(2))
    x = torch.randn(5, WIDTH, device=device)
    assert torch.equal(torch.func.vmap(model)(x), torch.func.vmap(resident)(x))
    one, other = (torch.func.jvp(m, (x,), (torch.ones_like(x),))[1] for m in (model, resident))
    assert torch.equal(one, other)
    state = {name: value * 2 for name, value in model.state_dict().items()}
    assert torch.equal(torch.func.functional_call(model, state, x),
                       torch.func.functional_call(resident, state, x))


def test_inference_mode_from_the_beginning(stream, device):
    model = network(3)
    resident = resident_twin(model, device)
    streamer = stream(0)
    with torch.inference_mode():
        model.to(device)
        x = torch.randn(2, WIDTH, device=device)
        for _ in range(2):
            assert torch.equal(model(x), resident(x))
    assert streamer.ring.counts.hits > 0
    for one, other in zip(gradients(model, x.clone()), gradients(resident, x.clone()), strict=True):
        assert torch.equal(one, other)


def test_threads(streamed, device):
    model, resident = streamed(network(4))
    inputs = [torch.randn(2, WIDTH, device=device) for _ in range(8)]
    with torch.no_grad():
        wanted = [resident(x) for x in inputs]
    wrong = []

    def run(x, expected):
        try:
            with torch.no_grad():
                for _ in range(20):
                    assert torch.equal(model(x), expected)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(inputs, wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_exception_leaves_the_ring_usable(streamed, device):
    model, resident = streamed(network(4))
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        for _ in range(5):
            with pytest.raises(RuntimeError):
                model[0](torch.randn(2, WIDTH + 1, device=device))
            hook = model[4].register_forward_hook(lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                model(x)
            hook.remove()
        for _ in range(2):
            assert torch.equal(model(x), resident(x))


def test_several_models_and_enabling_again(stream, device):
    models = [network(2), network(3, 1024)]
    twins = [resident_twin(model, device) for model in models]
    streamer = stream(0)
    x = [torch.randn(1, WIDTH, device=device), torch.randn(1, 1024, device=device)]
    for model in models:
        model.to(device)
    stream(0)  # another one: the weights of the first meet its ring
    with torch.no_grad():
        for _ in range(3):
            for model, twin, y in zip(models, twins, x):
                assert torch.equal(model(y), twin(y))
    assert streamer.ring is not None


def test_compiled(streamed, device):
    model, resident = streamed(network(2))
    x = torch.randn(2, WIDTH, device=device)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(x), resident(x))
    for one, other in zip(gradients(compiled, x), gradients(resident, x), strict=True):
        assert torch.equal(one, other)


def test_what_records_operations_reads_in_place(streamed, device):
    model, resident = streamed(network(2))
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        recorded = [torch.jit.trace(model, (x,)), torch.fx.symbolic_trace(model),
                    torch.export.export(model, (x,)).module()]
        for _ in range(2):
            assert torch.equal(model(-x), resident(-x))  # what the ring holds changes
            for one in recorded:
                assert torch.equal(one(x), resident(x))


def test_fake_and_meta_modules_are_left_alone(stream):
    streamer = stream(0)
    with torch._subclasses.FakeTensorMode():
        network(2)(torch.randn(1, WIDTH))
    with torch.device("meta"):
        network(2)(torch.randn(1, WIDTH))
    assert streamer.ring is None


class Scaled(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


def test_subclasses_and_others_that_read_the_weight(stream, device):
    transformer = torch.nn.TransformerEncoderLayer(512, 8, 1024, batch_first=True).eval()
    model = torch.nn.ModuleList([Scaled(WIDTH, WIDTH), transformer])
    resident = resident_twin(model, device)
    stream(0)
    model.to(device)
    assert not hasattr(model[0].weight, "spillway_weight")
    assert hasattr(model[1].linear1.weight, "spillway_weight")
    x = torch.randn(2, 4, 512, device=device)
    for mode in (torch.no_grad, torch.enable_grad):  # the first takes torch's fused path
        with mode():
            assert torch.equal(model[1](x), resident[1](x))
    assert torch.equal(functional.linear(x, model[1].linear1.weight),
                       functional.linear(x, resident[1].linear1.weight))


def test_parametrised(streamed, device):
    both = streamed(network(2))
    for model in both:
        torch.nn.utils.parametrizations.weight_norm(model[0])
    x = torch.randn(2, WIDTH, device=device)
    assert torch.equal(both[0](x), both[1](x))


def test_a_mixture_whose_experts_change(streamed, device):
    model, resident = streamed(Mixture())
    x = torch.randn(2, WIDTH, device=device)
    generator = torch.Generator().manual_seed(3)

    def run(chosen):
        with torch.no_grad():
            assert torch.equal(model(x, chosen), resident(x, chosen))

    for _ in range(10):
        run(torch.randperm(6, generator=generator)[:2].tolist())
    run([0, 1, 2])
    run([0, 1, 2])
    counts = make_counts(streamed)
    for _ in range(4):
        run([0, 1, 2])
    assert make_counts(streamed)[1] == counts[1]  # what was learned anew is foreseen


def make_counts(streamed):
    counts = streamed.streamer.ring.counts
    return counts.hits, counts.misses


def test_an_encoder_that_runs_once_for_many_steps_of_the_decoder(streamed, device):
    model, resident = streamed(torch.nn.ModuleDict({"encoder": network(2), "decoder": network(4)}))
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        for _ in range(2):
            y, wanted = model["encoder"](x), resident["encoder"](x)
            for _ in range(6):
                y, wanted = model["decoder"](y), resident["decoder"](wanted)
                assert torch.equal(y, wanted)
    hits, misses = make_counts(streamed)
    assert hits > 3 * misses
    assert all(homes(model))


def test_lora(streamed, device):
    peft = pytest.importorskip("peft", reason="peft is not installed",
                               exc_type=ImportError)
    both = []
    for model in streamed(network(3)):
        torch.manual_seed(1)
        config = peft.LoraConfig(target_modules=["0", "2", "4"], init_lora_weights=False)
        adapted = peft.get_peft_model(model, config)
        x = torch.linspace(-1, 1, WIDTH, device=device)[None]
        trained = gradients(adapted, x)
        adapted.merge_adapter()
        merged = adapted(x)
        adapted.unmerge_adapter()
        apart = adapted(x)
        both.append([*trained, merged, apart, adapted.merge_and_unload()(x)])
    for one, other in zip(*both, strict=True):
        assert torch.equal(one, other)
    assert streamed.streamer.ring.counts.hits > 0
