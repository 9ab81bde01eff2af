"""A torch that lacks one of the names that are not public: slower, and as right."""
import pytest
import torch

from models import MIB, WIDTH, homes, network, resident_twin
from spillway.torch import compat, segments

OBSERVERS = [(torch._C, "_are_functorch_transforms_active"), (torch._C, "_is_tracing"),
             (torch._C, "_len_torch_dispatch_stack"),
             (torch.autograd.forward_ad, "_current_level")]


@pytest.mark.parametrize("owner, name", OBSERVERS, ids=lambda value: str(value))
def test_what_cannot_be_seen_is_read_in_place(stream, monkeypatch, device, owner, name):
    model = network(2)
    resident = resident_twin(model, device)
    streamer = stream(0)
    model.to(device)
    assert all(homes(model))
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        wanted = resident(x)
        assert torch.equal(model(x), wanted)
        before = streamer.ring.counts.hits + streamer.ring.counts.misses
        with monkeypatch.context() as lacking:
            lacking.delattr(owner, name)
            with pytest.warns(RuntimeWarning, match=name):
                always = compat.find_observers()
        monkeypatch.setattr(compat, "observed", always)
        assert torch.equal(model(x), wanted)
    assert streamer.ring.counts.hits + streamer.ring.counts.misses == before


def test_where_views_cannot_be_counted_nothing_moves(stream, monkeypatch, device):
    with monkeypatch.context() as lacking:
        lacking.delattr(torch._C, "_storage_Use_Count")
        unknown = compat.find_storage_uses()
    monkeypatch.setattr(compat, "storage_uses", unknown)
    stream(20 * MIB)
    with device:
        model = network(12)
    x = torch.randn(2, WIDTH, device=device)
    with torch.no_grad():
        for _ in range(3):
            model(x)
    assert not any(homes(model))


def test_where_backward_passes_cannot_be_told_results_are_the_same(stream, monkeypatch, device):
    with monkeypatch.context() as lacking:
        lacking.delattr(torch._C, "_current_graph_task_id")
        lacking.delattr(torch.autograd.Variable, "_execution_engine")
        found = compat.find_in_backward(), compat.find_at_end_of_backward()
    for name, function in zip(("in_backward", "at_end_of_backward"), found):
        monkeypatch.setattr(compat, name, function)
    model = network(3)
    resident = resident_twin(model, device)
    theirs = torch.optim.AdamW(resident.parameters(), fused=True)
    stream(0)
    model.to(device)
    ours = torch.optim.AdamW(model.parameters(), fused=True)
    assert any(homes(model)) and any("spillway_gradient" in p.__dict__ for p in model.parameters())
    x = torch.randn(2, WIDTH, device=device)
    for _ in range(2):
        for one, optimizer in ((model, ours), (resident, theirs)):
            one(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    for one, other in zip(model.parameters(), resident.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def nothing_set(monkeypatch):
    """Of torch's allocator."""
    for name in segments.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if compat.allocator_settings():
        pytest.skip("something is set already, by whoever began this")
    reset = compat.set_allocator_settings
    yield
    reset("")


def test_segments_grow_until_that_is_removed(nothing_set):
    for _ in range(2):
        growing = segments.GrowingSegments()
        assert compat.allocator_settings() in (segments.GROWING, None)  # old ones do not tell
        growing.remove()
        assert compat.allocator_settings() in ("", None)


def test_they_grow_where_torch_does_not_tell(nothing_set, monkeypatch):
    settings = []
    monkeypatch.setattr(compat, "allocator_settings", lambda: None)
    monkeypatch.setattr(compat, "set_allocator_settings", settings.append)
    growing = segments.GrowingSegments()
    assert settings == [segments.GROWING]
    growing.remove()
    assert settings == [segments.GROWING, segments.FIXED, ""]


def test_what_is_set_meanwhile_stays(nothing_set):
    growing = segments.GrowingSegments()
    if compat.allocator_settings() is None:
        pytest.skip("this torch does not tell")
    compat.set_allocator_settings("max_split_size_mb:64")
    growing.remove()
    assert compat.allocator_settings() == "max_split_size_mb:64"


@pytest.mark.parametrize("variable", [*segments.VARIABLES, None])
def test_what_somebody_set_of_the_allocator_stays(nothing_set, monkeypatch, variable):
    if variable:
        monkeypatch.setenv(variable, "max_split_size_mb:64")
    else:
        monkeypatch.setattr(compat, "allocator_settings", lambda: "max_split_size_mb:64")
    monkeypatch.setattr(compat, "set_allocator_settings", lambda settings: pytest.fail(settings))
    segments.GrowingSegments().remove()


def test_an_allocator_without_settings_is_left_alone(nothing_set, monkeypatch):
    with monkeypatch.context() as lacking:
        for name in ("_accelerator_getAllocatorSettings", "_accelerator_setAllocatorSettings"):
            lacking.delattr(torch._C, name, raising=False)
        found = compat.find_allocator_settings(), compat.find_set_allocator_settings()
    for name, function in zip(("allocator_settings", "set_allocator_settings"), found):
        monkeypatch.setattr(compat, name, function)
    segments.GrowingSegments().remove()
    assert found[0]() is None
