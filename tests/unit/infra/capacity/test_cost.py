"""Costs: they never fall as volume grows, and known cases match a calculation by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import asdict, replace

from infra.capacity import cost as cost_module
from infra.capacity.cost import cost
from infra.capacity.figures import PubSubPrices
from tests.unit.infra.capacity.planned import KNOWN, PRICES, planned, volumes


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


def test_the_cost_of_metrics_grows_with_instances() -> None:
    few, many = (cost(planned(pix), KNOWN, PRICES).monitoring for pix in (1e5, 1e10))
    assert 0 < few < many


@pytest.mark.parametrize(("message", "counted"), [(500, 1_000), (2_000, 2_000)])
def test_pubsub_charges_bytes_in_and_out_per_tebibyte(message: float, counted: float) -> None:
    size = replace(KNOWN.measured.message_bytes, value=message)
    known_ = replace(KNOWN, measured=replace(KNOWN.measured, message_bytes=size))
    listed = replace(PRICES, pubsub=PubSubPrices(tib=40, request_bytes_min=1_000))
    assert cost(planned(1e6), known_, listed).pubsub == pytest.approx(2 * 30 * 1e6 * counted / 2**40 * 40)


def test_the_total_is_the_sum() -> None:
    found = cost(planned(1e8), KNOWN, PRICES)
    assert found.total == pytest.approx(sum(asdict(found).values()))
