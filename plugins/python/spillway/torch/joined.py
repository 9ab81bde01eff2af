"""Steps of transformers' models that take torch many small launches, in fewer: RMS norms, the
rotation of queries and keys of one token, SiLU times another factor, keys and values that are
stored. The results are the same bits (docs/decisions/joined-steps.md).

A model's own function is replaced where it is, word for word, one that is known here: its compiled
code is compared. What differs, in a model or a version of transformers, stays as it is. Any thread.
"""
from __future__ import annotations

import sys
import threading
import types
import warnings

import torch
from torch import nn
from torch.compiler import is_compiling

from spillway import library
from spillway.torch import compat
from spillway.torch.compat import address_of
from spillway.torch.joined_kernels import DTYPES
from spillway.torch.patches import Patches

PACKAGES = ("transformers.models.", "transformers_modules.")  # where models are


# -- What is known. As transformers has it: it is compared, and never called

def norm(self, hidden_states):
    input_dtype = hidden_states.dtype
    hidden_states = hidden_states.to(torch.float32)
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
    return self.weight * hidden_states.to(input_dtype)


def mlp(self, x):
    down_proj = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
    return down_proj


def rotate_half(x):
    """."""
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def apply_rotary_pos_emb(q, k, cos, sin, unsqueeze_dim=1):
    """."""
    cos = cos.unsqueeze(unsqueeze_dim)
    sin = sin.unsqueeze(unsqueeze_dim)
    q_embed = (q * cos) + (rotate_half(q) * sin)
    k_embed = (k * cos) + (rotate_half(k) * sin)
    return q_embed, k_embed


def silu(self, input):
    return nn.functional.silu(input)


def is_same(function, known) -> bool:
    """It is compiled to the same code, of names that mean the same. (What describes it may
    differ.)"""
    if not isinstance(function, types.FunctionType):
        return False
    code, wanted, names = function.__code__, known.__code__, function.__globals__
    return (code.co_code == wanted.co_code and code.co_names == wanted.co_names
            and code.co_varnames == wanted.co_varnames
            and code.co_argcount == wanted.co_argcount
            and _constants(function) == _constants(known)
            and function.__defaults__ == known.__defaults__ and not function.__kwdefaults__
            and names.get("torch", torch) is torch and names.get("nn", nn) is nn
            and ("rotate_half" not in code.co_names
                 or is_same(names.get("rotate_half"), rotate_half)))


def _constants(function) -> list:
    return [value for value in function.__code__.co_consts if value != function.__doc__]


# -- What takes their place

class Joined:
    """Replaces functions of modules that were imported, at each look() until remove()."""

    def __init__(self, streamer, patches: Patches):
        device = streamer.device
        self._kernels = device.joined_kernels(streamer.pool)
        self._where, self._kind, self._capturing = (device.device, device.device.type,
                                                    device.capturing)
        self._patches = patches
        patches.handles.append(self)  # so that nothing is replaced while all is put back
        self.on = True  # False: torch's own steps, as where the library was built without kernels
        self._lock = threading.Lock()
        self._open = True  # until remove()
        self._seen = set()  # names of modules
        self._silus = {}  # by the class of an activation

    def look(self) -> None:
        """A model is about to be used; its module has been imported. Quick where none is new."""
        if is_compiling() or self._kernels is None or len(sys.modules) == len(self._seen):
            return
        with self._lock:
            if not self._open:
                return
            names = set(sys.modules)
            for name in names - self._seen:
                module = sys.modules.get(name)
                if name.startswith(PACKAGES) and module is not None:
                    self._replace(module)
            self._seen = names

    def remove(self) -> None:
        with self._lock:
            self._open = False

    def report(self) -> str:
        """What is slower than it could be, for people; "": nothing is known to be."""
        if self._kernels is None:
            return ""
        left = self._kernels.left_to_torch() if self.on else ["all"]
        return f"joined steps: left to torch, one launch an operation: {', '.join(left)}" \
            if left else ""

    def _replace(self, module) -> None:
        values = vars(module)
        if is_same(values.get("apply_rotary_pos_emb"), apply_rotary_pos_emb):
            self._patches.set(module, "apply_rotary_pos_emb", self._rotation)
        for value in list(values.values()):
            if not isinstance(value, type) or not issubclass(value, nn.Module):
                continue
            for known, make in ((norm, self._norm), (mlp, self._mlp)):
                if is_same(vars(value).get("forward"), known):
                    self._patches.set(value, "forward", make)

    def append(self, layer, keys, values) -> tuple[torch.Tensor, torch.Tensor]:
        """To a KvLayer in HBM that has room for them: all of its keys and values. Those of one
        token are copied at once."""
        parts = layer.parts()
        are_there = layer.group.by_one and self._copies(parts, keys, values)
        return parts[0].append(keys, are_there), parts[1].append(values, are_there)

    def _copies(self, parts, keys, values) -> bool:
        if self._kernels is None or not keys.is_contiguous() or not _is_like(keys, values) \
                or keys.shape != values.shape or keys.nbytes % 4 \
                or any(part.dtype is not keys.dtype for part in parts):
            return False
        to = tuple(address_of(part.buffer) + part.length * part.token_bytes for part in parts)
        return self._try(self._kernels.copy_two, keys, values, to) is True

    def _norm(self, original):
        def forward(module, hidden_states):
            weight = module.weight
            if self._takes(hidden_states) and type(weight) is nn.Parameter \
                    and weight.dtype is hidden_states.dtype and weight.is_contiguous() \
                    and weight.shape == hidden_states.shape[-1:] \
                    and weight.device == hidden_states.device:
                y = self._try(self._kernels.norm, hidden_states, weight, module.variance_epsilon)
                if y is not None:
                    return y
            return original(module, hidden_states)
        return forward

    def _mlp(self, original):
        def forward(module, x):
            act = module.act_fn
            if not self._takes(x) or not self._is_silu(act):
                return original(module, x)
            gate, up = module.gate_proj(x), module.up_proj(x)
            both = None
            if _is_like(x, gate) and _is_like(x, up) and gate.shape == up.shape:
                both = self._try(self._kernels.silu_times, gate, up)
            return module.down_proj(act(gate) * up if both is None else both)
        return forward

    def _rotation(self, original):
        def rotate(q, k, cos, sin, unsqueeze_dim=1):
            if unsqueeze_dim == 1 and self._takes(q) and _turns(q, k, cos, sin):
                found = self._try(self._kernels.rotate, q, k, cos, sin)
                if found is not None:
                    return found
            return original(q, k, cos, sin, unsqueeze_dim)
        return rotate

    def _is_silu(self, act) -> bool:
        """And no hook is called where it is."""
        kind = type(act)
        if kind not in self._silus:
            self._silus[kind] = is_same(vars(kind).get("forward"), silu)
        return self._silus[kind] and "forward" not in act.__dict__ and not act._forward_hooks \
            and not act._forward_pre_hooks and not compat.hooked_everywhere()

    def _takes(self, x) -> bool:
        """Nobody looks into what becomes of it, and it lies in one piece."""
        return not is_compiling() and type(x) is torch.Tensor and x.dtype in DTYPES \
            and x.is_contiguous() and x.numel() > 0 and not torch.is_grad_enabled() \
            and x.device == self._where and not self._capturing() and not compat.observed() \
            and not torch.is_autocast_enabled(self._kind)

    def _try(self, kernel, *arguments):
        """None where that is not on."""
        if not self.on:
            return None
        try:
            return kernel(*arguments)
        except library.Error as error:
            self.on = False
            warnings.warn(f"spillway.torch launches a model's norms and rotations one operation "
                          f"after the other, which is slower: {error}", RuntimeWarning,
                          stacklevel=2)
            return None


def _is_like(x: torch.Tensor, other) -> bool:
    """It can be read where x can."""
    return type(other) is torch.Tensor and other.dtype is x.dtype and other.device == x.device \
        and other.is_contiguous()


def _turns(q: torch.Tensor, k, cos, sin) -> bool:
    """They are those of one token a sequence."""
    if not _is_like(q, k) or not _is_like(q, cos) or not _is_like(q, sin) or q.dim() != 4 \
            or k.dim() != 4:
        return False
    batch, _, tokens, dim = q.shape
    return tokens == 1 and dim % 2 == 0 and k.shape[::2] == q.shape[::2] and k.shape[3] == dim \
        and cos.shape == sin.shape and cos.shape in ((batch, 1, dim), (1, 1, dim))
