"""What is of torch and of other libraries stays as it is under streaming."""
import threading

import pytest
import torch

from models import WIDTH, homes, network, resident_twin

FLAGS = {
    "cudnn.benchmark": lambda: torch.backends.cudnn.benchmark,
    "cudnn.deterministic": lambda: torch.backends.cudnn.deterministic,
    "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
    "matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
    "matmul precision": torch.get_float32_matmul_precision,
    "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "gradients": torch.is_grad_enabled,
    "threads": torch.get_num_threads}


@pytest.fixture
def pair(stream, device):
    """A streamed model and its resident twin."""
    model = network(4)
    resident = resident_twin(model, device)
    stream(0)
    model.to(device)
    assert all(homes(model))
    return model, resident


def test_flags_are_the_users(stream, device):
    before = {name: read() for name, read in FLAGS.items()}
    model = network(2)
    stream(0)
    model.to(device)(torch.randn(1, WIDTH, device=device)).sum().backward()
    assert {name: read() for name, read in FLAGS.items()} == before


def test_convolutions_with_cudnn_benchmark(stream, device, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Flatten(),
                                torch.nn.Linear(8 * 16 * 16, 256))
    resident = resident_twin(model, device)
    stream(0)
    model.to(device)
    assert hasattr(model[2].weight, "spillway_weight")
    x = torch.randn(2, 3, 16, 16, device=device)
    with torch.no_grad():
        flat = resident[1](resident[0](x))
        for _ in range(3):
            assert torch.equal(model[2](flat), resident[2](flat))
            assert torch.allclose(model(x), resident(x), atol=1e-5)


def test_hooks_of_accelerate(pair):
    hooks = pytest.importorskip("accelerate.hooks", reason="accelerate is not installed")

    class Doubles(hooks.ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            return (args[0] * 2, *args[1:]), kwargs

        def post_forward(self, module, output):
            return output + 1

    for model in pair:
        hooks.add_hook_to_module(model, Doubles())
        hooks.add_hook_to_module(model[2], Doubles())
    x = torch.randn(2, WIDTH, device=pair[1][0].weight.device)
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(pair[0](x), pair[1](x))
    for model in pair:
        hooks.remove_hook_from_module(model, recurse=True)
    with torch.no_grad():
        assert torch.equal(pair[0](x), pair[1](x))


def test_hooks_of_torch_see_what_they_would(pair):
    seen = []
    for model in pair:
        got = []
        model[2].register_forward_pre_hook(lambda _, args, got=got: got.append(args[0]))
        model[2].register_forward_hook(lambda _, args, out, got=got: got.append(out))
        model[2].register_full_backward_hook(
            lambda _, into, out, got=got: got.extend([*into, *out]))
        x = torch.linspace(-1, 1, WIDTH, device=model[0].weight.device)[None].requires_grad_()
        model(x).square().sum().backward()
        seen.append(got)
    assert len(seen[0]) == len(seen[1]) == 4
    for one, other in zip(*seen):
        assert torch.equal(one, other)


@pytest.mark.parametrize("reentrant", [False, True])
def test_lora_with_checkpointing_and_accumulation(pair, reentrant):
    peft = pytest.importorskip("peft", reason="peft is not installed", exc_type=ImportError)
    trained = []
    for model in pair:
        torch.manual_seed(1)
        adapted = peft.get_peft_model(model, peft.LoraConfig(
            target_modules=["0", "2", "4", "6"], init_lora_weights=False))
        optimizer = torch.optim.AdamW(
            [p for p in adapted.parameters() if p.requires_grad], 1e-2)
        for step in range(4):
            x = torch.linspace(-1, 1 + step, WIDTH, device=model[0].weight.device)[None]
            y = torch.utils.checkpoint.checkpoint(adapted, x.requires_grad_(),
                                                  use_reentrant=reentrant)
            y.square().mean().backward()
            if step % 2:
                optimizer.step()
                optimizer.zero_grad()
        trained.append([p.detach() for p in adapted.parameters() if p.requires_grad])
    assert len(trained[0]) == 8
    for one, other in zip(*trained, strict=True):
        assert torch.equal(one, other)


def test_models_of_several_threads_beside_one_another(stream, device):
    models = [network(2 + at) for at in range(4)]
    twins = [resident_twin(model, device) for model in models]
    stream(0)
    x = torch.randn(2, WIDTH, device=device)
    wrong = []

    def run(model, twin):
        try:
            model.to(device)  # placed here as well
            for _ in range(10):
                with torch.inference_mode():
                    assert torch.equal(model(x), twin(x))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in zip(models, twins)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_models_that_are_deleted_while_others_run(stream, device):
    model, other = network(3), network(3)
    twin = resident_twin(model, device)
    streamer = stream(0)
    model.to(device)
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        for _ in range(3):
            gone = network(3).to(device)
            gone(x)
            assert torch.equal(model(x), twin(x))
            del gone
            assert torch.equal(model(x), twin(x))
    assert streamer.ring is not None and len(homes(other)) == 3


@pytest.mark.slow
def test_compiled_by_inductor(pair, device):
    x = torch.randn(2, WIDTH, device=device)
    compiled = [torch.compile(model) for model in pair]
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(compiled[0](x), compiled[1](x))
            for model in pair:
                model[0].weight.mul_(2)  # seen by what was compiled before
