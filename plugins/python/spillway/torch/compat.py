"""Names of torch that are not public, each looked up once. Where a torch lacks one, what depends on
it takes the slower way that is right without it, and one warning says so. Any thread."""
from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable

import torch


def _name(path: str):
    """What torch has under a dotted name. AttributeError where it has nothing."""
    return functools.reduce(getattr, path.split("."), torch)


def find_observers() -> Callable[[], bool]:
    """A function that says whether something looks into operations now, in this thread: a tracer, a
    functional transform, a dispatch mode, forward-mode gradients. Where torch lacks a name that
    would tell, the function always says yes."""
    try:
        transforms = _name("_C._are_functorch_transforms_active")
        tracing = _name("_C._is_tracing")
        modes = _name("_C._len_torch_dispatch_stack")
        forward_ad = _name("autograd.forward_ad")
        forward_ad._current_level  # noqa: B018  it is read anew at each call
    except AttributeError as error:
        warnings.warn(f"spillway.torch reads streamed weights in place, which is slow: torch "
                      f"{torch.__version__} does not tell what looks into operations ({error})",
                      RuntimeWarning, stacklevel=2)
        return lambda: True
    return lambda: (transforms() or tracing() or modes() > 0 or forward_ad._current_level >= 0)


def find_global_hooks() -> Callable[[], bool]:
    """A function that says whether a hook is called for every module. Where torch lacks the name
    that tells, it always says yes."""
    try:
        return _name("nn.modules.module._has_any_global_hook")
    except AttributeError:
        return lambda: True


def find_storage_uses() -> Callable[[torch.UntypedStorage], int | None]:
    """A function that counts the tensors over a storage; None where torch does not tell."""
    try:
        count = _name("_C._storage_Use_Count")
    except AttributeError:
        return lambda storage: None
    return lambda storage: count(storage._cdata)


def find_storage_holders() -> Callable[[torch.Tensor], int | None]:
    """A function that counts who holds a tensor's storage: the tensors over it, and whoever has it
    as an object of Python's. None where torch does not tell."""
    def count(tensor):
        storage = storage_of(tensor)
        uses = storage_uses(storage)
        return None if uses is None else uses + sys.getrefcount(storage)

    one = torch.empty(1)
    asking = count(one)  # differs among versions

    def holders(tensor):
        counted = count(tensor)
        return None if counted is None or asking is None else counted - asking + 1
    return holders


def find_raw_stream() -> Callable[[int], int]:
    """A function that gives the current stream of a device by its number, as the driver knows it.
    torch.cuda.current_stream() makes an object each time, which takes ten times as long."""
    try:
        return _name("_C._cuda_getCurrentRawStream")
    except AttributeError:
        return lambda index: torch.cuda.current_stream(index).cuda_stream


def find_in_backward() -> Callable[[], bool]:
    """A function that says whether autograd has called the present thread, to compute gradients or
    what a checkpoint left out. Where torch does not tell, it always says no."""
    try:
        task = _name("_C._current_graph_task_id")
    except AttributeError:
        return lambda: False
    return lambda: task() != -1


def find_at_end_of_backward() -> Callable[[Callable[[], None]], None]:
    """A function that has another one called when the backward pass that is under way has ended;
    at once, where torch does not offer that."""
    try:
        engine = _name("autograd.Variable._execution_engine")
        return engine.queue_callback
    except AttributeError:
        return lambda callback: callback()


def find_allocator_settings() -> Callable[[], str | None]:
    """A function that gives what has been set of torch's allocator; where torch does not tell,
    None."""
    try:
        return _name("_C._accelerator_getAllocatorSettings")
    except AttributeError:
        return lambda: None


def find_set_allocator_settings() -> Callable[[str], None]:
    """A function that sets it, in the form of PYTORCH_CUDA_ALLOC_CONF; where torch does not offer
    that, nothing."""
    try:
        return _name("_C._accelerator_setAllocatorSettings")
    except AttributeError:
        return lambda settings: None


def find_flash_attention() -> Callable:
    """Attention that tells the logarithms of its sums, too. Under torch.ops, where it is public,
    looking for the function takes as long as a launch."""
    try:
        return _name("_scaled_dot_product_flash_attention")
    except AttributeError:
        return torch.ops.aten._scaled_dot_product_flash_attention


def find_event(method: str) -> Callable:
    """A method of CUDA's events, without what torch.cuda.Event does around it, which takes as long
    again. As torch.cuda.Event has it, where there is no other."""
    try:
        return _name(f"_C._CudaEventBase.{method}")
    except AttributeError:
        return getattr(torch.cuda.Event, method)


# As torch has them, whatever is patched: looking at an address is no access (aliases.py).
address_of = torch.Tensor.data_ptr
storage_of = torch.Tensor.untyped_storage

observed = find_observers()
hooked_everywhere = find_global_hooks()
storage_uses = find_storage_uses()
storage_holders = find_storage_holders()
raw_stream = find_raw_stream()
flash_attention = find_flash_attention()
in_backward = find_in_backward()
event_record, event_wait = find_event("record"), find_event("wait")
event_query = find_event("query")
at_end_of_backward = find_at_end_of_backward()
allocator_settings = find_allocator_settings()
set_allocator_settings = find_set_allocator_settings()
