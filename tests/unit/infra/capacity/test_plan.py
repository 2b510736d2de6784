"""Plans: resources never fall as volume grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from infra.capacity.cost import cost
from infra.capacity.figures import Node
from infra.capacity.plan import plan, valkey_cores, valkey_nodes
from tests.unit.infra.capacity.planned import KNOWN, PRICES, planned, volumes

DIVIDED = ("valkey_node", "valkey_shards")  # a larger node may take the place of several


@given(volumes, volumes)
def test_resources_and_costs_never_fall_as_volume_grows(one: float, other: float) -> None:
    few, many = sorted((one, other))
    small, large = planned(few), planned(many)
    assert all(asdict(large)[name] >= asdict(small)[name] for name in asdict(small) if name not in DIVIDED)
    assert all(
        asdict(cost(large, KNOWN, PRICES))[name] >= value * (1 - 1e-9)
        for name, value in asdict(cost(small, KNOWN, PRICES)).items()
    )


def test_more_instances_load_valkey_more() -> None:
    few, many = (valkey_cores(10_000, instances, 10_000, 5, KNOWN) for instances in (5, 50))
    assert few < many < valkey_cores(10_000, 50, 10_000, 50, KNOWN)


def test_outcomes_have_instances_of_their_own() -> None:
    assumed = KNOWN.assumed
    heavier = replace(KNOWN, assumed=replace(assumed, outcome_work=replace(assumed.outcome_work, value=10)))
    light, heavy = (plan(1e9, known, PRICES) for known in (KNOWN, heavier))
    assert light.outcome_instances < heavy.outcome_instances
    assert light.score_instances == heavy.score_instances
    assert heavy.vcpus == heavy.score_instances + heavy.outcome_instances


def test_assumed_outcomes_need_no_instances_and_load_valkey_all_the_same() -> None:
    assumed = KNOWN.assumed
    none = replace(KNOWN, assumed=replace(assumed, outcomes_per_pix=replace(assumed.outcomes_per_pix, value=0)))
    assumes, publishes = (plan(1e9, known, PRICES) for known in (none, KNOWN))
    assert assumes.outcome_instances == 0
    assert assumes.valkey_cores > 0.9 * publishes.valkey_cores
    assert assumes.pushed_mb_s < publishes.pushed_mb_s


@given(volumes)
def test_records_that_expire_sooner_take_less_memory(pix: float) -> None:
    assert planned(pix, 30).valkey_gb < planned(pix, 90).valkey_gb < planned(pix, 180).valkey_gb


@given(st.floats(0.01, 1e5), st.floats(0, 44))
def test_shards_cover_memory_and_cpu(gigabytes: float, cores: float) -> None:
    name, shards = valkey_nodes(gigabytes, lambda _: cores, PRICES)
    assert shards * PRICES.valkey.nodes[name].writable_gb >= gigabytes
    assert shards >= cores


def test_one_larger_node_is_preferred_to_two_smaller_ones() -> None:
    nodes = {"small": Node(hour=1, writable_gb=5), "large": Node(hour=9, writable_gb=50)}
    listed = replace(PRICES, valkey=replace(PRICES.valkey, nodes=nodes))
    assert valkey_nodes(3, lambda _: 0.1, listed) == ("small", 1)
    assert valkey_nodes(4.5, lambda _: 0.1, listed) == ("large", 1)
    assert valkey_nodes(3, lambda _: 1.0, listed) == ("small", 2)
    assert valkey_nodes(45, lambda _: 0.1, listed) == ("small", 12)


def test_faster_processors_need_fewer_instances() -> None:
    assumed = replace(KNOWN.assumed, processor_ratio=replace(KNOWN.assumed.processor_ratio, value=0.5))
    faster = replace(KNOWN, assumed=assumed)
    assert plan(1e9, faster, PRICES).score_instances <= planned(1e9).score_instances
    assert plan(1e9, faster, PRICES).valkey_cores < planned(1e9).valkey_cores


def test_a_divided_history_takes_more_processor_time_and_each_primary_less() -> None:
    loads = [valkey_cores(10_000, 50, 10_000, 50, KNOWN, shards) for shards in (1, 2, 3, 8)]
    assert loads == sorted(loads)
    each = [load / shards for load, shards in zip(loads, (1, 2, 3, 8), strict=True)]
    assert each[1:] == sorted(each[1:], reverse=True)
