"""Workers that pull: their number grows with the volume, and they cost less than functions where these are busy."""

from __future__ import annotations

from hypothesis import given

from infra.capacity.cost import cost
from infra.capacity.workers import BUSY, workers
from tests.unit.infra.capacity.planned import KNOWN, PRICES, planned, volumes


@given(volumes, volumes)
def test_more_pix_need_no_fewer_workers(one: float, other: float) -> None:
    few, many = (workers(planned(pix), KNOWN, PRICES) for pix in sorted((one, other)))
    assert (few.score, few.outcome, few.usd_a_month) <= (many.score, many.outcome, many.usd_a_month)


@given(volumes)
def test_the_busiest_second_leaves_workers_idle_time(pix: float) -> None:
    plan = planned(pix)
    used = plan.peak_pix_s * KNOWN.measured.pull_cpu_s.value * KNOWN.assumed.processor_ratio.value
    assert used <= BUSY * workers(plan, KNOWN, PRICES).score * (1 + 1e-9)


def test_a_volume_that_keeps_functions_busy_is_cheaper_by_pull() -> None:
    plan = planned(313e6)
    assert workers(plan, KNOWN, PRICES).usd_a_month < cost(plan, KNOWN, PRICES).cloud_run
