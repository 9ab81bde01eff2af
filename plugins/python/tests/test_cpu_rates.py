"""Which share the CPU gets, from rates that are given, and that they are measured."""
import json

import models
import pytest

from spillway.row_worker import RowWorker
from spillway.torch import cpu_rates
from spillway.torch.cpu_rates import Amounts, Rates, share_of

MIB = models.MIB
GB = 1e9


def rates(cpu=50 * GB, link=50 * GB, many=50 * GB):
    return Rates(link_alone=link, link=link, cpu={1: cpu, 4: many}, hbm=3000 * GB)


def amounts(link=10 * GB, shared=10 * GB):
    return Amounts(12 * GB, 10 * GB, link, shared, 100)


@pytest.mark.parametrize("shared", [10 * GB, 8 * GB])
@pytest.mark.parametrize("link", [10 * GB, 7 * GB])
def test_both_are_done_together(link, shared):
    found = rates(cpu=40 * GB, link=50 * GB)
    share = share_of(found, amounts(link, shared))
    link_seconds = (10 * GB - share * shared) * link / 10 / GB / 50 / GB
    cpu_seconds = share * shared / 40 / GB
    between = 12 / 3000 + 100 * cpu_rates.HANDOVER_SECONDS
    assert link_seconds == pytest.approx(cpu_seconds + between)
    assert link_seconds < 0.75 * link / 50 / GB


def test_a_link_that_brings_packed_weights_leaves_less_to_the_cpu():
    found = rates(cpu=40 * GB, link=50 * GB, many=22 * GB)
    assert share_of(found, amounts(link=7 * GB)) < share_of(found, amounts())
    assert found.most_tokens(0.4) == 4 and found.most_tokens(0.4, 0.7) == 1


def test_never_all_rows():
    found = rates(cpu=500 * GB, link=10 * GB)
    assert share_of(found, amounts(shared=GB)) < 1


def test_a_cpu_that_takes_the_links_bandwidth_away_gets_nothing():
    shared = Rates(link_alone=400 * GB, link=200 * GB, cpu={1: 200 * GB}, hbm=3000 * GB)
    assert share_of(shared, amounts()) == 0


def test_more_tokens_only_while_the_cpu_is_no_slower_than_the_link_alone():
    found = rates(cpu=50 * GB, link=50 * GB, many=10 * GB)
    assert found.most_tokens(0.15) == 4
    assert found.most_tokens(0.45) == 1
    assert found.most_tokens(0) == 0


def test_a_job_that_had_to_wait_for_a_core_does_not_count():
    class Jobs(cpu_rates._Work):
        def __init__(self, rates):
            self._rates, self.made = list(rates), 0

        def __call__(self):
            self.made += 1
            self._rates.append(100.0)

    jobs = Jobs([100.0, 7.0, 101.0, 3.0, 99.0])
    assert jobs.rate == 99.0 and jobs.made == 0
    assert jobs.rate == 100.0 and jobs.made == cpu_rates.LEAST_JOBS


def held_bytes(streamer):
    """Of the host by the pool, and of HBM."""
    report = json.loads(streamer.pool.text("pool_report"))
    return report["tiers"]["host"]["bytes"], streamer.allocated_bytes()


def test_rates_are_measured_and_leave_nothing_behind(stream):
    streamer = stream(40 * MIB)
    before = held_bytes(streamer)
    worker = RowWorker(streamer.pool, 1)
    found = cpu_rates.measure(streamer.device, streamer.pool, worker)
    worker.close()
    assert held_bytes(streamer) == before
    assert sorted(found.cpu) == [1, 2, 4, 8]
    for rate in (found.link, found.link_alone, found.hbm, *found.cpu.values()):
        assert 1e8 < rate < 1e13
