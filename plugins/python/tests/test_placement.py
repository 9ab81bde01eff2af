"""Which weights go to the host: pure functions of sizes."""
import pytest
import torch

from spillway.torch import placement


def random_sizes(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 60, (40,), generator=generator).tolist()
    return sizes, int(torch.randint(200, sum(sizes) + 20, (1,), generator=generator))


def ring(size):
    return 3 * size


@pytest.mark.parametrize("seed", range(20))
def test_what_stays_and_the_ring_fit(seed):
    sizes, hbm = random_sizes(seed)
    goes = placement.stream(sizes, hbm, ring)
    streams = [size for size, leaves in zip(sizes, goes) if leaves]
    assert bool(streams) == (sum(sizes) > hbm)
    if streams:
        left = hbm - (sum(sizes) - sum(streams)) - ring(max(streams))
        assert left >= 0
        assert min(streams) > left  # nothing more has room


def test_a_large_weight_does_not_make_the_ring():
    sizes = [10] * 20 + [100]
    goes = placement.stream(sizes, 200, ring)
    assert not goes[-1] and sum(goes[:-1]) == 13  # 100 stay, 30 are the ring, 70 more stay


def test_where_nothing_fits_the_least_is_taken():
    sizes = [10, 10, 10, 50]
    assert placement.stream(sizes, 0, ring) == [True, True, True, False]  # 80, not a ring of 150


def test_a_ring_that_is_there_is_used_by_all_that_it_can_hold():
    goes = placement.stream([10] * 10 + [20] * 10, 50, lambda size: 0)
    assert any(goes[:10]) and any(goes[10:])


def test_large_weights_go_first_and_evenly():
    sizes = [20, 10, 10, 40, 40, 40] * 8  # a layer: 160, of which 40 go
    goes = placement.spread(sizes, 8 * 120)
    assert [size for size, leaves in zip(sizes, goes) if leaves] == [40] * 8
    assert all(sum(goes[at:at + 6]) == 1 for at in range(0, len(goes), 6))


def test_the_first_ones_stay_where_they_leave_room_for_others():
    sizes = [10] * 32
    for room, kept in ((320, 4), (200, 4), (79, 0), (0, 0)):
        assert placement.keep_first(sizes, room) == kept
    goes = placement.stream(sizes, 200, ring, kept=4)
    assert not any(goes[:4]) and sum(goes) == sum(placement.stream(sizes, 200, ring))
    assert abs(goes[4:18].count(True) - goes[18:].count(True)) <= 1  # the others lie evenly
    near = placement.spread_near(sizes, 170, goes, kept=4)
    assert near == goes
    assert [index for index in range(20) if placement.leads(index, 20)] == [0, 1]


def test_look_ups_leave_as_far_as_it_takes():
    assert placement.look_ups([5, 30, 10], 0) == [False, False, False]
    assert placement.look_ups([5, 30, 10], 8) == [False, True, False]
    assert placement.look_ups([5, 30, 10], 31) == [False, True, True]
    assert placement.look_ups([5, 30, 10], 1000) == [True, True, True]
