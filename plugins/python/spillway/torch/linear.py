"""F.linear with a weight that is fetched from a ring. Any thread."""
from __future__ import annotations

import torch
from torch.nn import functional

from spillway.torch.packing import MOST_TOKENS
from spillway.torch.ring import Lease, Ring
from spillway.torch.weight import Weight


def streamed_linear(x: torch.Tensor, parameter: torch.Tensor, bias, weight: Weight,
                    ring: Ring) -> torch.Tensor:
    """What functional.linear(x, parameter, bias) gives, bit for bit."""
    if torch.is_grad_enabled() and (x.requires_grad or parameter.requires_grad
                                    or bias is not None and bias.requires_grad):
        if torch.is_autocast_enabled(x.device.type):
            x, bias = _as_autocast(x), _as_autocast(bias)
        return _StreamedLinear.apply(x, parameter, bias, weight, ring)
    return _multiply(x, bias, weight, ring, torch.is_grad_enabled())


def _as_autocast(tensor):
    """As functional.linear() is given it under autocast. Here, not in forward(): gradients are then
    rounded as autograd rounds them, and autocast caches nothing that has no gradient."""
    casts = tensor is not None and tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(torch.get_autocast_dtype(tensor.device.type)) if casts else tensor


def _fetch(x, weight: Weight, ring: Ring, trains: bool) -> Lease:
    """For a product with x. Packed, but in a step of training only where the link would be what
    takes longest without: kernels that unpack slow down those of the computation (13B, 2,048
    tokens, H100: 560 ms a step instead of 504), and take Python longer to launch."""
    few = x.numel() <= MOST_TOKENS * x.shape[-1]
    return ring.fetch(weight, packed=few and not (trains and ring.keeps_up()))


def _multiply(x, bias, weight, ring, trains):
    lease = _fetch(x, weight, ring, trains)
    try:
        return functional.linear(x, lease.tensor, bias)
    finally:
        ring.release(lease)


class _StreamedLinear(torch.autograd.Function):
    """Saves the parameter, not the slot: backward fetches the weight once more."""

    @staticmethod
    def forward(ctx, x, parameter, bias, weight, ring):
        ctx.save_for_backward(x, parameter)
        ctx.weight, ctx.ring = weight, ring
        return _multiply(x, bias, weight, ring, trains=True)

    @staticmethod
    def backward(ctx, gradient):
        x, parameter = ctx.saved_tensors
        x_gradient = weight_gradient = bias_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = _x_gradient(ctx, gradient, parameter)
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            # Autocast may be on, of another type: autograd's threads on a GPU have its default.
            weight_gradient = (rows.t() @ x.reshape(-1, x.shape[-1]).to(rows.dtype)).to(rows.dtype)
        if ctx.needs_input_grad[2]:
            bias_gradient = rows.sum(0)
        return x_gradient, weight_gradient, bias_gradient, None, None


def _x_gradient(ctx, gradient, parameter):
    weight = ctx.weight
    if torch.is_grad_enabled() or not weight.is_of(parameter):
        # A gradient of the gradient would save the slot; and a weight that has moved is elsewhere.
        return gradient @ parameter.to(gradient.dtype)
    lease = _fetch(gradient, weight, ctx.ring, trains=True)
    try:  # as a matrix, as autograd has it: what is not contiguous would take other kernels
        rows = gradient.reshape(-1, gradient.shape[-1]) @ lease.tensor.to(gradient.dtype)
        return rows.view(*gradient.shape[:-1], rows.shape[-1])
    finally:
        ctx.ring.release(lease)
