"""A model whose weights are to stream packed, and a resident one that is equal."""
import torch

import models

MIB = models.MIB
WIDTH = 768  # of a layer of 1.125 MiB in bfloat16
SIZE = 2 * WIDTH * WIDTH


def network(layers=4, dtype=torch.bfloat16):
    return models.network(layers, WIDTH).to(dtype).requires_grad_(False).eval()


def weights(model):
    return [part.weight for part in model if isinstance(part, torch.nn.Linear)]


def packed_ones(model):
    """How many weights go over the link packed."""
    found = [weight.spillway_weight for weight in weights(model)]
    return sum(one.packed is not None and one.packed.version == one.version for one in found)


class Pair:
    """A model of which all weights stream, and a resident one that is equal."""

    def __init__(self, stream, device, model=None, host_bytes=512 * MIB):
        self.model = network() if model is None else model
        self.resident = models.resident_twin(self.model, device)
        self.streamer = stream(0, host_bytes, packing=True)
        self.model.to(device)
        assert all(models.homes(self.model))
        self.x = torch.linspace(-1, 1, 2 * WIDTH, device=device).view(2, WIDTH)

    def same(self, times=2):
        with torch.no_grad():
            x = self.x.to(self.model[0].weight.dtype)
            for _ in range(times):
                assert torch.equal(self.model(x), self.resident(x))

    def pack(self):
        """As many as can be; how many that are."""
        for weight in weights(self.model):
            if (one := weight.__dict__.get("spillway_weight")) is not None:
                one.uses_until_packing = min(one.uses_until_packing, 0)
        self.same(1)
        self.streamer.packing.wait()
        return packed_ones(self.model)

    def pass_bytes(self):
        """Over the link in a pass, from the second one on."""
        self.same()
        before = self.streamer.ring.counts.bytes
        self.same(4)
        return (self.streamer.ring.counts.bytes - before) / 4
