"""The simulated day: messages are conserved, instances stay within bounds, and queues grow with load."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.capacity.__main__ import days, main
from infra.capacity.autoscaling import Service, arrivals, simulate, summarize, without_start
from infra.capacity.figures import known
from infra.capacity.plots import picture
from infra.capacity.profile import busiest

SERVICE = Service(cpu_s=0.001, answer_s=0.1, start_s=5, concurrency=50, instances_min=1, instances_max=20)
loads = st.lists(st.integers(0, 4_000), min_size=1, max_size=12).map(lambda levels: np.repeat(np.array(levels), 60))
services = st.builds(
    Service,
    cpu_s=st.floats(1e-4, 1e-2),
    answer_s=st.floats(0.01, 2),
    start_s=st.floats(0.1, 30),
    concurrency=st.integers(1, 500),
    instances_min=st.integers(0, 3),
    instances_max=st.integers(3, 50),
)


@given(loads, services)
@settings(max_examples=40)
def test_every_message_is_acknowledged_or_waits(arrived: np.ndarray, service: Service) -> None:
    day = simulate(arrived, service)
    np.testing.assert_array_equal(day.arrived.cumsum() - day.acknowledged.cumsum(), day.queued)


@given(loads, services)
@settings(max_examples=40)
def test_counts_and_instances_stay_within_bounds(arrived: np.ndarray, service: Service) -> None:
    day = simulate(arrived, service)
    assert all(values.min() >= 0 for values in day)
    assert service.instances_min <= day.instances.max() <= service.instances_max
    assert np.all(day.acknowledged <= np.maximum(day.instances.max(), 1) * service.pix_s)


@given(st.integers(1, 4), st.integers(0, 3_000), st.integers(0, 3_000))
@settings(max_examples=25)
def test_instances_and_queues_never_fall_as_load_grows(minutes: int, one: int, other: int) -> None:
    few, many = (summarize(simulate(np.full(60 * minutes, rate), SERVICE)) for rate in sorted((one, other)))
    assert many.instances_mean >= few.instances_mean
    assert many.queued_most >= few.queued_most
    assert many.acknowledged >= few.acknowledged


def test_instances_settle_at_sixty_per_cent_utilisation() -> None:
    day = simulate(np.full(1_800, 3_000), SERVICE)  # 3 cores, 300 requests at a time
    assert day.instances[-1] >= 10  # 300 / 50 / 0.6
    assert day.queued[-1] <= 3_000 * 0.5
    assert day.acknowledged[-300:].mean() == pytest.approx(3_000, rel=0.01)


def test_the_queue_of_a_surge_drains() -> None:
    surge = np.concatenate((np.full(600, 100), np.full(60, 8_000), np.full(1_200, 100)))
    day = simulate(surge, replace(SERVICE, start_s=20))
    assert day.age.max() > 10
    assert day.queued[-1] <= 100
    assert day.started.sum() > 5


def test_slower_starts_make_messages_older() -> None:
    surge = np.concatenate((np.full(300, 50), np.full(120, 5_000)))
    fast, slow = (simulate(surge, replace(SERVICE, start_s=seconds)) for seconds in (1, 40))
    assert slow.age.max() > fast.age.max()


def test_the_first_message_starts_an_instance() -> None:
    day = simulate(np.concatenate((np.zeros(10, int), np.ones(60, int))), replace(SERVICE, instances_min=0))
    assert day.instances[0] == 0
    assert day.instances[-1] == 1
    assert day.queued[-1] == 0


def test_idle_instances_stay_for_15_minutes() -> None:
    day = simulate(np.concatenate((np.full(300, 3_000), np.zeros(1_200, int))), SERVICE)
    assert day.instances[300 + 600] == day.instances[300]
    assert day.instances[-1] == SERVICE.instances_min


def test_too_few_instances_make_messages_wait() -> None:
    found = summarize(simulate(np.full(600, 4_000), replace(SERVICE, instances_max=1)))
    assert found.queued_most > 1_000_000
    assert found.age_most_s > 400
    assert found.seconds_over_40 > 400


def test_a_long_surge_is_refused_and_shrinks_the_push_window() -> None:
    slow = Service(cpu_s=0.001, answer_s=10, start_s=30, concurrency=10, instances_min=1, instances_max=600)
    busy, quiet, surge = np.full(600, 250), np.zeros(1_200, int), np.full(300, 250)
    day = simulate(np.concatenate((busy, quiet, surge)), slow)
    assert day.instances[1_799] == 1
    assert day.refused[1_800:].sum() > 0
    assert day.window[1_800:].min() < day.window[1_799]


def test_the_same_seed_gives_the_same_day() -> None:
    rates = np.full(100, 7.5)
    np.testing.assert_array_equal(arrivals(rates, 3), arrivals(rates, 3))
    assert not np.array_equal(arrivals(rates, 3), arrivals(rates, 4))


def test_a_picture_has_a_column_for_each_option() -> None:
    day = simulate(np.full(600, 100), SERVICE)
    one, two = picture({"a": day}, "one"), picture({"a": day, "b": day}, "two")
    assert one.startswith(b"\x89PNG")
    width = [int.from_bytes(png[16:20], "big") for png in (one, two)]
    assert width[1] == 2 * width[0]


def test_the_default_deployment_keeps_up_with_the_busiest_day_of_all_pix() -> None:
    found = summarize(days(313e6, busiest(2026), known(), seed=1)["as deployed"])
    assert found.acknowledged == pytest.approx(found.pix, rel=1e-4)
    assert found.age_most_s <= 5
    assert found.instances_most < 50


def test_the_start_of_a_day_can_be_dropped() -> None:
    day = simulate(np.full(100, 10), SERVICE)
    assert len(without_start(day, 60).age) == 40


def test_the_command_prints_json_and_a_picture(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    file = f"{tmp_path}/day.png"
    assert main(["--pix-a-day", "2e6", "--record-days", "30", "--json", "--plot", file]) == 0
    [found] = msgspec.json.decode(capsys.readouterr().out)
    assert found["plan"]["pix_a_day"] == 2e6
    assert found["total_usd_a_month"] == pytest.approx(sum(found["cost"].values()))
    assert set(found["days"]) == {"as deployed", "none kept", "one Pix at a time"}


def test_unmeasured_record_days_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.capacity", "--record-days", "31"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "[30, 90, 180]" in done.stderr
