"""What joined steps leave to the model's own code: each condition of theirs, alone."""
import types

import pytest
import torch
from torch import nn

from spillway.torch import joined

activations = pytest.importorskip("transformers.activations")

JOINED, OWN = "joined", "the model's own"
DIM = 8


class Kernels:
    """Each says that it was asked."""

    def __getattr__(self, name):
        return lambda *_arguments: True if name == "copy_two" else JOINED


class Subclass(torch.Tensor):
    pass


@pytest.fixture
def steps(device):
    where = types.SimpleNamespace(device=torch.ones(0, device=device).device,
                                  joined_kernels=lambda pool: Kernels(), capturing=lambda: False)
    streamer = types.SimpleNamespace(device=where, pool=None)
    with torch.no_grad():
        yield joined.Joined(streamer, types.SimpleNamespace(handles=[]))


@pytest.fixture
def ones(device):
    """ones(*shape): a tensor that all steps take."""
    return lambda *shape: torch.ones(shape, device=device)


def scattered(x):
    return torch.stack((x, x), -1)[..., 0]


UNLIKE = {"of a subclass": lambda x: x.as_subclass(Subclass),
          "of another dtype": lambda x: x.double(),
          "scattered": scattered,
          "elsewhere": lambda x: x.to("meta")}

each_unlike = pytest.mark.parametrize("change", UNLIKE.values(), ids=UNLIKE)


# -- Norms, and what all steps ask of x

def norm(steps, x, weight=None):
    weight = nn.Parameter(torch.ones_like(x[0, 0])) if weight is None else weight
    module = types.SimpleNamespace(weight=weight, variance_epsilon=1e-5)
    return steps._norm(lambda *_: OWN)(module, x)


@each_unlike
def test_x_in_one_piece_of_known_elements_is_taken(steps, ones, change):
    x = ones(1, 1, DIM)
    assert norm(steps, x) == JOINED
    assert norm(steps, change(x)) == OWN  # its weight is like it


AROUND = {"gradients": lambda device: torch.enable_grad(),
          "autocast": lambda device: torch.autocast(device, torch.bfloat16),
          "an observer": lambda device: torch.autograd.forward_ad.dual_level()}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_nobody_looks_into_it(steps, ones, device, around):
    x = ones(1, 1, DIM)
    with around(device.type):
        assert norm(steps, x) == OWN
    assert norm(steps, x) == JOINED


def test_graphs_have_the_models_own(steps, ones, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(joined, "is_compiling", lambda: True)
        assert norm(steps, ones(1, 1, DIM)) == OWN
    steps._capturing = lambda: True
    assert norm(steps, ones(1, 1, DIM)) == OWN


WEIGHTS = {"no parameter": lambda x: x,
           "another shape": lambda x: nn.Parameter(x[:1]),
           **{name: lambda x, change=change: nn.Parameter(change(x))
              for name, change in UNLIKE.items() if name != "of a subclass"}}


@pytest.mark.parametrize("change", WEIGHTS.values(), ids=WEIGHTS)
def test_a_norm_has_a_weight_like_x(steps, ones, change):
    assert norm(steps, ones(1, 1, DIM), change(ones(DIM))) == OWN


# -- SiLU times another factor

def mlp(steps, x, gate, up, act=None):
    module = types.SimpleNamespace(
        act_fn=act or activations.SiLUActivation(), gate_proj=lambda _: gate, up_proj=lambda _: up,
        down_proj=lambda both: both if both is JOINED else OWN)
    return steps._mlp(lambda *_: OWN)(module, x)


@each_unlike
def test_both_factors_are_like_x(steps, ones, change):
    x, factor = ones(1, 1, DIM), ones(1, 1, 2 * DIM)
    assert mlp(steps, x, factor, factor) == JOINED
    other = change(factor)
    # torch multiplies nothing of two devices.
    for gate, up in [(other, other)] if other.is_meta else [(other, factor), (factor, other)]:
        assert mlp(steps, x, gate, up) == OWN


def test_both_factors_have_one_shape(steps, ones):
    assert mlp(steps, ones(1, 1, DIM), ones(1, 1, DIM), ones(1, 1, 1)) == OWN


def _with_its_own_forward():
    act = activations.SiLUActivation()
    act.forward = lambda x: x
    return act


def _hooked(kind):
    act = activations.SiLUActivation()
    getattr(act, f"register_{kind}")(lambda *_: None)
    return act


ACTS = {"another one": nn.GELU,
        "forward of its own": _with_its_own_forward,
        "a hook": lambda: _hooked("forward_hook"),
        "a hook before": lambda: _hooked("forward_pre_hook")}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_the_activation_is_silu_and_nothing_else(steps, ones, act):
    x = ones(1, 1, DIM)
    assert mlp(steps, x, x, x, act()) == OWN


# -- Rotations

SHAPES = {"q": (2, 4, 1, DIM), "k": (2, 2, 1, DIM), "cos": (2, 1, DIM), "sin": (2, 1, DIM)}
OTHER_SHAPES = {
    "two tokens": {"q": (2, 4, 2, DIM), "k": (2, 2, 2, DIM)},
    "an odd dim": {name: (*shape[:-1], 7) for name, shape in SHAPES.items()},
    "q without heads": {"q": (2, 1, DIM)},
    "k without a dim": {"k": (2, 4, 1)},
    "k of other sequences": {"k": (1, 2, 1, DIM)},
    "k of more tokens": {"k": (2, 2, 2, DIM)},
    "k of another dim": {"k": (2, 2, 1, 2 * DIM)},
    "cos for each, sin for all": {"sin": (1, 1, DIM)},
    "angles of other sequences": {"cos": (3, 1, DIM), "sin": (3, 1, DIM)},
    "angles of heads": {"cos": (2, DIM), "sin": (2, DIM)}}


def rotation(steps, tensors, *unsqueeze_dim):
    return steps._rotation(lambda *_: OWN)(*tensors.values(), *unsqueeze_dim)


@pytest.fixture
def tensors(ones):
    return {name: ones(*shape) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("shapes", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_a_rotation_is_of_one_token_a_sequence(steps, ones, tensors, shapes):
    assert rotation(steps, tensors) == JOINED
    assert rotation(steps, tensors | {name: ones(*shape) for name, shape in shapes.items()}) == OWN


def test_a_rotation_has_heads_before_tokens(steps, tensors):
    assert rotation(steps, tensors, 1) == JOINED
    assert rotation(steps, tensors, 2) == OWN


@each_unlike
@pytest.mark.parametrize("name", SHAPES)
def test_a_rotation_is_of_tensors_like_q(steps, tensors, name, change):
    assert rotation(steps, tensors | {name: change(tensors[name])}) == OWN


# -- Keys and values of one token

def copied(steps, keys, values, by_one=True, dtype=torch.float32):
    part = types.SimpleNamespace(dtype=dtype, buffer=torch.empty(0), length=0, token_bytes=0,
                                 append=lambda tensor, is_there: is_there)
    layer = types.SimpleNamespace(parts=lambda: (part, part),
                                  group=types.SimpleNamespace(by_one=by_one))
    return any(steps.append(layer, keys, values))


@each_unlike
def test_copies_are_of_values_like_keys(steps, ones, change):
    keys = ones(1, 2, 1, DIM)
    assert copied(steps, keys, keys)
    assert not copied(steps, keys, change(keys))


def test_copies_are_of_one_token_as_it_is_stored(steps, ones):
    keys = ones(1, 2, 1, DIM)
    assert not copied(steps, scattered(keys), keys)
    assert not copied(steps, keys, keys[:, :1])
    assert not copied(steps, keys, keys, by_one=False)
    assert not copied(steps, keys, keys, dtype=torch.bfloat16)
    halves = keys.bfloat16()
    assert copied(steps, halves, halves, dtype=torch.bfloat16)
    odd = halves[:, :1, :, :1]  # 2 bytes
    assert not copied(steps, odd, odd, dtype=torch.bfloat16)


# -- Where nothing is on

def test_without_kernels_nothing_is_looked_for_or_copied(steps, ones):
    steps._kernels = None
    steps.look()
    assert not steps._seen and not copied(steps, ones(1, 2, 1, DIM), ones(1, 2, 1, DIM))


def test_nothing_is_looked_for_in_a_graph(steps, monkeypatch):
    monkeypatch.setattr(joined, "is_compiling", lambda: True)
    steps.look()
    assert not steps._seen


# -- What is known

def _changed(**fields):
    code = joined.norm.__code__
    return types.FunctionType(code.replace(**fields), joined.norm.__globals__)


def _with_a_default():
    function = _changed()
    function.__kwdefaults__ = {"self": None}
    return function


CODE = joined.norm.__code__
FUNCTIONS = {
    "other names": lambda: _changed(co_names=("sqrt", *CODE.co_names[1:])),
    "other variables": lambda: _changed(co_varnames=("that", *CODE.co_varnames[1:])),
    "another count of arguments": lambda: _changed(co_argcount=1),
    "other constants": lambda: _changed(co_consts=tuple(
        -2 if value == -1 else value for value in CODE.co_consts)),
    "defaults by name": _with_a_default,
    "another nn": lambda: types.FunctionType(joined.silu.__code__, {"nn": None})}


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=FUNCTIONS)
def test_what_differs_in_one_thing_is_not_known(make):
    known = joined.silu if make is FUNCTIONS["another nn"] else joined.norm
    assert joined.is_same(types.FunctionType(known.__code__, known.__globals__), known)
    assert not joined.is_same(make(), known)
