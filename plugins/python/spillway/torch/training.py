"""Gradients, and the state that Adam keeps, of parameters for which HBM has no room for these. They
are tensors of the device whose bytes lie in the host: the optimizer, clipping and whoever reads
them reach them there over the link, with torch's own kernels and so with torch's own results.

What decides is the room that is left when the optimizer is made. Thread-safe where torch is.
"""
from __future__ import annotations

import threading
from collections import deque

import torch
from torch.optim import Adam, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from spillway.torch import compat
from spillway.torch.device import Keeper
from spillway.torch.kinds import is_adapter, size_of
from spillway.torch.patches import Patches
from spillway.torch.weight import weight_of

STATES = 2  # moments, each of the parameter's size, that an optimizer is expected to keep
# Of gradients on their way to the host: the backward pass waits beyond it, or HBM would fill up.
MOST_UNDER_WAY = 256 << 20


def install(streamer, patches: Patches) -> None:
    training = Training(streamer)
    patches.set(Optimizer, "__init__", lambda original: _make_optimizer(training, original))
    patches.handles.append(register_optimizer_step_post_hook(_count_writes))
    if hasattr(Optimizer, "_process_value_according_to_param_policy"):
        patches.set(Optimizer, "_process_value_according_to_param_policy",
                    lambda original: _load_state(training, original))


def _count_writes(optimizer: Optimizer, _args, _kwargs) -> None:
    """Torch's fused kernels, and other people's, write weights and count nothing."""
    for group in optimizer.param_groups:
        torch.autograd.graph.increment_version(
            [parameter for parameter in group["params"]
             if parameter.grad is not None and weight_of(parameter) is not None])


def _make_optimizer(training, original):
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        training.expect(self)
    return __init__


def _load_state(training, original):
    def _process_value_according_to_param_policy(param, value, *args, **kwargs):
        if "spillway_gradient" in param.__dict__ and value.shape == param.shape:
            return training.load_state(param, value)
        return original(param, value, *args, **kwargs)
    return staticmethod(_process_value_according_to_param_policy)


def _choose_fused(group) -> None:
    """Where nobody has chosen: it reads and writes all of it once, and needs no more HBM."""
    if group["fused"] is None and group["foreach"] is None and not group["differentiable"] \
            and all(parameter.is_floating_point() for parameter in group["params"]):
        group["fused"] = True


class Gradient:
    """Where the gradient of one parameter goes. `home`: None before the first one."""

    def __init__(self):
        self.home: torch.Tensor | None = None
        self._uses = None  # of its storage, while nobody else has it

    def keep(self, home: torch.Tensor) -> None:
        self.home, self._uses = home, compat.storage_uses(compat.storage_of(home))

    def takes(self, gradient: torch.Tensor) -> bool:
        """It is of the same kind, and nobody else has kept what lies there."""
        home = self.home
        return home is not None and home.dtype == gradient.dtype and self._uses is not None \
            and compat.storage_uses(compat.storage_of(home)) <= self._uses


class Training:
    """One for a streamer; parameters that it has to do with carry a Gradient as
    `spillway_gradient`."""

    def __init__(self, streamer):
        self._streamer = streamer
        self._device = streamer.device
        self._under_way = deque()  # (gradient in HBM, mark at the end of its copy)
        self._bytes_under_way = 0
        self._lock = threading.Lock()

    # -- What goes

    def expect(self, optimizer: Optimizer) -> None:
        """It will train its parameters. Those that come first have the room in HBM."""
        room = self._streamer.hbm_bytes - self._streamer.allocated_bytes()
        gone = False
        for group in optimizer.param_groups:
            for parameter in filter(self._may_go, group["params"]):
                taken = (1 + STATES) * size_of(parameter)
                if taken <= room:
                    room -= taken
                else:
                    gone = True
                    self._send(parameter)
        if gone and isinstance(optimizer, Adam):
            optimizer.register_step_pre_hook(self._make_states)
            for group in optimizer.param_groups:
                _choose_fused(group)

    def _may_go(self, parameter: torch.Tensor) -> bool:
        return self._device.trains and parameter.requires_grad \
            and type(parameter) is torch.nn.Parameter and parameter.is_contiguous() \
            and self._streamer.is_ours(parameter.device) \
            and size_of(parameter) >= self._device.least_bytes \
            and not is_adapter(parameter, self._device)

    def _send(self, parameter: torch.nn.Parameter) -> None:
        if "spillway_gradient" not in parameter.__dict__:
            parameter.spillway_gradient = Gradient()
            parameter.register_post_accumulate_grad_hook(self._move)

    def host_tensor(self, parameter: torch.Tensor, what: str) -> torch.Tensor:
        """As large as the parameter, and of its dtype. torch.OutOfMemoryError."""
        shape = tuple(parameter.shape)
        region = self._streamer.host_region(size_of(parameter), f"{what} of {shape}")
        keeper = Keeper(region, self._device.synchronize)
        self._streamer.training_homes.add(keeper)
        with torch.inference_mode(False):
            return self._device.tensor(keeper, parameter.shape, parameter.dtype)

    # -- Gradients

    @torch.no_grad()
    def _move(self, parameter: torch.nn.Parameter) -> None:
        """Its gradient is complete; where it lies in HBM, it goes on its way to the host."""
        there, found = parameter.spillway_gradient, parameter.grad
        if found is None or found is there.home or found.requires_grad \
                or found.layout != torch.strided or found.dtype != parameter.dtype \
                or self._device.capturing():
            return
        if not there.takes(found):
            there.keep(self.host_tensor(parameter, "gradient"))
        written, done = self._device.new_mark(), self._device.new_mark()
        self._device.mark(written)
        self._device.send(there.home, found, written, done)
        parameter.grad = there.home
        with self._lock:
            self._under_way.append((found, done))
            self._bytes_under_way += size_of(found)
            while self._bytes_under_way > MOST_UNDER_WAY and len(self._under_way) > 1:
                self._finish_one()
        compat.at_end_of_backward(self._finish)

    def _finish_one(self) -> None:
        """The current stream goes on after the oldest copy, and may then reuse its memory."""
        gradient, done = self._under_way.popleft()
        self._bytes_under_way -= size_of(gradient)
        self._device.wait(done)

    def _finish(self) -> None:
        with self._lock:
            while self._under_way:
                self._finish_one()

    # -- The state of optimizers

    def _make_states(self, optimizer: Adam, _args, _kwargs) -> None:
        """As Adam makes them at its first step."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None or len(optimizer.state[parameter]) \
                        or "spillway_gradient" not in parameter.__dict__:
                    continue
                on_device = group["capturable"] or group["fused"]
                state = {"step": torch.zeros((), dtype=torch.float32, device=parameter.device
                                             if on_device else None)}
                for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[:2 + group["amsgrad"]]:
                    state[name] = self.host_tensor(parameter, name).zero_()
                optimizer.state[parameter].update(state)

    @torch.no_grad()
    def load_state(self, parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Of a dictionary of states, wherever that lies."""
        home, value = self.host_tensor(parameter, "state"), value.to(parameter.dtype)
        if value.device.type == "cpu":
            self._device.write(home, value)
        else:
            home.copy_(value)
        return home
