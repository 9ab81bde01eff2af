"""What torch.nn.Parameter does otherwise where its home is the host. Any thread."""
from __future__ import annotations

from torch.nn import Parameter

from spillway.torch.patches import Patches
from spillway.torch.weight import weight_of

OURS = ("spillway_weight", "spillway_settled", "spillway_gradient")


def install(streamer, patches: Patches) -> None:
    patches.set(Parameter, "data", lambda original: _data(streamer, original))
    patches.set(Parameter, "__deepcopy__", lambda original: _deepcopy(streamer, original))
    patches.set(Parameter, "__reduce_ex__", _reduce)


def _data(streamer, original):
    """Writes through `.data` are counted (Weight.alias); what is set is looked at."""
    def read(self):
        weight = weight_of(self)
        return original.__get__(self) if weight is None else weight.alias.detach()

    def write(self, value):
        original.__set__(self, value)
        if "spillway_weight" in self.__dict__ or streamer.is_home(self):
            streamer.adopt(self)
    return property(read, write, doc=original.__doc__)


def _deepcopy(streamer, original):
    """A copy has a home of its own: in HBM there may be no room for it."""
    def __deepcopy__(self, memo):
        if weight_of(self) is None or id(self) in memo:
            return original(self, memo)
        copy = type(self)(streamer.place(self.detach(), "copy"), self.requires_grad)
        streamer.adopt(copy)
        memo[id(self)] = copy
        return copy
    return __deepcopy__


def _reduce(original):
    """What is saved knows nothing of homes."""
    def __reduce_ex__(self, protocol):
        ours = {name: self.__dict__.pop(name) for name in OURS if name in self.__dict__}
        try:
            return original(self, protocol)
        finally:
            self.__dict__.update(ours)
    return __reduce_ex__
