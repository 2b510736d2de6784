"""Costs: they never fall as volume grows, and known cases match a calculation by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from msgspec.structs import asdict, replace

from infra.capacity import cost as cost_module
from infra.capacity import desk, late, register
from infra.capacity.cost import cost
from infra.capacity.figures import Known, PubSubPrices
from infra.capacity.plan import plan
from shared.adapters.bigquery.asked import scored_statement
from shared.contract.tables import table
from shared.operations.late import PAGE
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


def test_the_lookup_of_a_late_outcome_reads_more_the_older_its_pix() -> None:
    days = KNOWN.assumed.outcome_lookup_days
    older = replace(KNOWN, assumed=replace(KNOWN.assumed, outcome_lookup_days=replace(days, value=2 * days.value)))
    young, old = (late.outcome_lookup_bytes(1e6, known_) for known_ in (KNOWN, older))
    assert cost_module.lookup_bytes(1e6, KNOWN) < young < old < 2 * young


def test_the_bytes_of_a_late_outcome_are_those_of_the_columns_that_its_query_reads() -> None:
    """A column of the tables has its size by its type; texts that are no ids are short."""
    names = scored_statement("bank", "pix", ["E1234567820261120"]).partition(" FROM ")[0].split(" ", 1)[1].split(", ")
    types = {column.name: column.type for column in table("score_events").schema}
    ids = [name for name in names if name.endswith("_id")]
    texts = [name for name in names if types[name] in ("STRING", "BOOLEAN", "BOOL") and name not in ids]
    sizes = {"NUMERIC": 16, "TIMESTAMP": 8, "DATE": 8, "INTEGER": 8, "INT64": 8, "FLOAT": 8, "FLOAT64": 8}
    fixed = sum(sizes[types[name]] for name in names if name not in {*ids, *texts})
    assert fixed + 34 * len(ids) <= late.ASKED_BYTES <= fixed + 34 * len(ids) + 12 * len(texts)


@given(volumes, volumes)
def test_late_outcomes_cost_no_less_at_a_larger_volume(one: float, other: float) -> None:
    few, many = sorted((one, other))
    small, large = (late.late_bytes_a_day(pix, KNOWN, 3_600, 288) for pix in (few, many))
    assert 288 * 10e6 <= small <= large * 1.001, "a run has a whole number of pages"


def test_late_outcomes_cost_less_the_longer_they_wait_for_each_other() -> None:
    """And at once, with queries for each, more than by any run of a job."""
    singly = KNOWN.assumed.outcome_lookups_per_pix.value * 313e6 * late.outcome_lookup_bytes(313e6, KNOWN)
    by_wait = [late.late_bytes_a_day(313e6, KNOWN, seconds, 288) for seconds in (86_400, 3_600, 300)]
    assert by_wait == sorted(by_wait)
    assert by_wait[-1] < singly / 5
    assert by_wait[1] < singly / 20


def test_a_run_reads_at_most_the_days_in_which_its_pix_may_be() -> None:
    """However many ids a page has, it reads no row of a partition twice."""
    page = late.run_bytes(313e6, KNOWN, PAGE)
    outcomes = KNOWN.assumed.outcomes_per_pix.value * late.TOLD_BYTES
    every = (late.RETURNED_DAYS + 1) * 313e6 * (late.KNOWN_BYTES + late.ASKED_BYTES + outcomes)
    assert late.outcome_lookup_bytes(313e6, KNOWN) < page < every


def test_a_run_for_a_single_outcome_reads_as_much_as_its_lookup() -> None:
    days = KNOWN.assumed.outcome_lookup_days.value
    median = replace(KNOWN.assumed.outcome_lookup_days, value=days / math.log(2))  # so that the one Pix is as old
    known_ = replace(KNOWN, assumed=replace(KNOWN.assumed, outcome_lookup_days=median))
    single = late.outcome_lookup_bytes(313e6, KNOWN)
    assert late.run_bytes(313e6, known_, 1) == pytest.approx(single, rel=0.25)


def test_a_case_reads_a_block_of_each_copy_and_account_at_most() -> None:
    block = KNOWN.assumed.block_bytes.value
    few, many, more = (desk.case_bytes(pix, KNOWN) for pix in (1e3, 1e7, 1e9))
    assert 0 < few < many == more < 2 * block + 8 * block
    assert many < 0.02 * 365 * 1e7 * desk.COPIED_BYTES, "little of these columns in a year of score_events"


def test_instances_read_the_register_each_minute() -> None:
    found = cost(replace(planned(1e6), score_instances=2), KNOWN, PRICES)
    assert found.bigquery_register == pytest.approx(2 * 43_200 * 10e6 / 2**40 * 6.25 * 1.8), "10 MB at least"
    rows = 360 * 1e9 * 0.0003 / 4 * 0.1 * 2
    assert register.register_bytes(1e9, KNOWN) == pytest.approx(rows * register.ROW_BYTES)


def test_the_cost_of_metrics_grows_with_instances() -> None:
    few, many = (cost(planned(pix), KNOWN, PRICES).monitoring for pix in (1e5, 1e10))
    assert 0 < few < many


@pytest.mark.parametrize(
    ("message", "outcome", "counted"), [(500, 130, 1_000 + 1_000), (2_000, 130, 2_000 + 1_000), (500, 3_000, 4_000)]
)
def test_pubsub_charges_bytes_in_and_out_per_tebibyte(message: float, outcome: float, counted: float) -> None:
    known_ = with_outcomes(1, outcome)
    size = replace(KNOWN.measured.message_bytes, value=message)
    known_ = replace(known_, measured=replace(KNOWN.measured, message_bytes=size))
    listed = replace(PRICES, pubsub=PubSubPrices(tib=40, request_bytes_min=1_000))
    assert cost(planned(1e6), known_, listed).pubsub == pytest.approx(2 * 30 * 1e6 * counted / 2**40 * 40)


def test_outcomes_add_to_all_costs_of_a_message() -> None:
    without, with_ = (
        asdict(cost(plan(1e9, known_, PRICES), known_, PRICES)) for known_ in map(with_outcomes, (0, 1))
    )
    dearer = {name for name, value in with_.items() if value > without[name] * (1 + 1e-9)}
    of_history = {"valkey", "valkey_files", "valkey_backups"}
    of_others = {"keys", "scans", "retraining", "other", "bigquery_desk", "bigquery_register"}
    assert dearer == set(without) - of_history - of_others, "memory of history hardly depends on them"


def test_what_keeps_the_system_safe_by_hand() -> None:
    of = replace(
        planned(1e6), valkey_node="STANDARD_SMALL", valkey_shards=3, valkey_gb=10, pointer_reads_s=2, pix_a_day=1e6
    )
    found = cost(of, KNOWN, PRICES)
    assert found.valkey_files == pytest.approx(3 * 2 * 5.2 * 0.17 * 1.6), "of the replicas too"
    assert found.valkey_backups == pytest.approx(7 * 10 * 0.02 * 1.6)
    assert found.keys == pytest.approx((2 + 360 / 90) * 0.06 + (2 * 30 * 86_400 + 2 * 30 + 6 * 40) / 10_000 * 0.03)
    assert found.scans == pytest.approx(6 * 40 * 0.26)


def with_outcomes(of_pix: float, size: float = 130) -> Known:
    """Return the known figures with this mean number of outcomes for each Pix, of `size` bytes each."""
    assumed = KNOWN.assumed
    return replace(
        KNOWN,
        assumed=replace(
            assumed,
            outcomes_per_pix=replace(assumed.outcomes_per_pix, value=of_pix),
            outcome_lookups_per_pix=replace(assumed.outcome_lookups_per_pix, value=of_pix / 500),
            outcome_message_bytes=replace(assumed.outcome_message_bytes, value=size),
        ),
    )


def test_the_total_is_the_sum() -> None:
    found = cost(planned(1e8), KNOWN, PRICES)
    assert found.total == pytest.approx(sum(asdict(found).values()))
