"""Plans, costs and quotas: resources never fall as volume grows, and known cases match a calculation by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from infra.capacity import cost as cost_module
from infra.capacity import profile
from infra.capacity.binding import bounds
from infra.capacity.cost import cost
from infra.capacity.figures import Node, PubSubPrices, Quota, known, prices, quotas
from infra.capacity.plan import Plan, plan, valkey_cores, valkey_nodes

KNOWN, PRICES = known(), prices()
volumes = st.floats(1e3, 2e9)
DIVIDED = ("valkey_node", "valkey_shards")  # a larger node may take the place of several


def planned(pix: float, days: int = 180) -> Plan:
    return plan(pix, KNOWN, PRICES, days)


@given(volumes, volumes)
def test_resources_and_costs_never_fall_as_volume_grows(one: float, other: float) -> None:
    few, many = sorted((one, other))
    small, large = planned(few), planned(many)
    assert all(asdict(large)[name] >= asdict(small)[name] for name in asdict(small) if name not in DIVIDED)
    assert all(
        asdict(cost(large, KNOWN, PRICES))[name] >= value * (1 - 1e-9)
        for name, value in asdict(cost(small, KNOWN, PRICES)).items()
    )


def test_the_first_valkey_quota_binds_where_a_second_shard_is_planned() -> None:
    own = [quota for quota in quotas() if quota.needs in ("valkey_filled", "valkey_cores")]
    first = bounds(planned(1e6), own, planned)[0].reached_at
    assert first
    assert planned(first * 0.999).valkey_shards == 1
    assert planned(first * 1.001).valkey_shards > 1


@given(volumes, volumes)
def test_a_lookup_reads_at_most_one_block_of_three_days(one: float, other: float) -> None:
    few, many = sorted((one, other))
    small, large = (cost_module.lookup_bytes(pix, KNOWN) for pix in (few, many))
    assert 10e6 <= small <= large
    assert large <= 3 * KNOWN.assumed.block_bytes.value


def test_lookup_bytes_grow_with_volume_up_to_one_block() -> None:
    rows = KNOWN.assumed.block_bytes.value / KNOWN.measured.stored_row_bytes.value
    half, whole, beyond = (cost_module.lookup_bytes(share * rows, KNOWN) for share in (0.5, 1, 2))
    assert whole == pytest.approx(2 * half)
    assert beyond == whole


def test_more_instances_load_valkey_more() -> None:
    few, many = (valkey_cores(10_000, instances, KNOWN) for instances in (5, 50))
    assert few < many


def test_the_cost_of_metrics_grows_with_instances() -> None:
    few, many = (cost(planned(pix), KNOWN, PRICES).monitoring for pix in (1e5, 1e10))
    assert 0 < few < many


@given(volumes)
def test_records_that_expire_sooner_take_less_memory(pix: float) -> None:
    assert planned(pix, 30).valkey_gb < planned(pix, 90).valkey_gb < planned(pix, 180).valkey_gb


@given(st.floats(0.01, 1e5), st.floats(0, 100))
def test_shards_cover_memory_and_cpu(gigabytes: float, cores: float) -> None:
    name, shards = valkey_nodes(gigabytes, cores, PRICES)
    assert shards * PRICES.valkey.nodes[name].writable_gb >= gigabytes
    assert shards >= cores


def test_one_larger_node_is_preferred_to_two_smaller_ones() -> None:
    nodes = {"small": Node(hour=1, writable_gb=5), "large": Node(hour=9, writable_gb=50)}
    listed = replace(PRICES, valkey=replace(PRICES.valkey, nodes=nodes))
    assert valkey_nodes(3, 0.1, listed) == ("small", 1)
    assert valkey_nodes(4.5, 0.1, listed) == ("large", 1)
    assert valkey_nodes(3, 1.0, listed) == ("small", 2)
    assert valkey_nodes(45, 0.1, listed) == ("small", 12)


@pytest.mark.parametrize(("message", "counted"), [(500, 1_000), (2_000, 2_000)])
def test_pubsub_charges_bytes_in_and_out_per_tebibyte(message: float, counted: float) -> None:
    size = replace(KNOWN.measured.message_bytes, value=message)
    known_ = replace(KNOWN, measured=replace(KNOWN.measured, message_bytes=size))
    listed = replace(PRICES, pubsub=PubSubPrices(tib=40, request_bytes_min=1_000))
    assert cost(planned(1e6), known_, listed).pubsub == pytest.approx(2 * 30 * 1e6 * counted / 2**40 * 40)


def test_the_total_is_the_sum() -> None:
    found = cost(planned(1e8), KNOWN, PRICES)
    assert found.total == pytest.approx(sum(asdict(found).values()))


@pytest.mark.parametrize("quota", quotas(), ids=lambda quota: quota.needs)
def test_a_quota_binds_at_its_volume(quota: Quota) -> None:
    [bound] = bounds(planned(1e6), [quota], planned)
    if bound.reached_at is None:
        assert getattr(planned(1e11), bound.quota.needs) <= bound.quota.limit
        return
    assert getattr(planned(bound.reached_at * 0.999), bound.quota.needs) <= bound.quota.limit
    assert getattr(planned(bound.reached_at * 1.001), bound.quota.needs) >= bound.quota.limit


def test_the_quota_that_binds_first_comes_first() -> None:
    found = [bound.reached_at or float("inf") for bound in bounds(planned(1e6), quotas(), planned)]
    assert found == sorted(found)
    assert len(found) == len(quotas())


def test_faster_processors_need_fewer_instances() -> None:
    assumed = replace(KNOWN.assumed, processor_ratio=replace(KNOWN.assumed.processor_ratio, value=0.5))
    faster = replace(KNOWN, assumed=assumed)
    assert plan(1e9, faster, PRICES).score_instances <= planned(1e9).score_instances
    assert plan(1e9, faster, PRICES).valkey_cores < planned(1e9).valkey_cores


@given(st.floats(1, 1e9))
def test_hourly_rates_add_up_to_the_day(pix: float) -> None:
    rates = profile.rates(pix, KNOWN.measured.hourly_shares.values)
    assert rates.sum() == pytest.approx(pix)
    assert rates.min() > 0


def test_pix_peak_at_noon_and_in_the_evening() -> None:
    by_hour = profile.rates(1e6, KNOWN.measured.hourly_shares.values).reshape(24, -1).sum(axis=1)
    assert by_hour[2:5].max() < by_hour[14] / 3
    assert by_hour[12] > by_hour[15] < by_hour[18]


def test_date_factors_average_to_one_and_peak_on_paydays() -> None:
    dates = [dt.date(2026, 1, 1) + dt.timedelta(days=day) for day in range(365)]
    factors = [profile.factor(date) for date in dates]
    assert sum(factors) / 365 == pytest.approx(1, abs=0.01)
    assert profile.factor(dt.date(2026, 11, 27)) > profile.factor(dt.date(2026, 11, 20))
    assert profile.factor(profile.busiest(2026)) == max(factors)
