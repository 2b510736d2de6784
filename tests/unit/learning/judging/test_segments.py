"""Segments of the test period, and differences between them beyond chance."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.key_columns import Categories
from shared.learning.judging import comparison
from shared.learning.judging.review import Review
from shared.learning.judging.segments import Dimension, Segment, dimensions, disparities, segments
from tests.unit.learning.judging.reviews import DATA, TEST


def cut(codes: list[int], **facts: bool) -> Dimension:
    return Dimension("it", ("a", "b", "c"), np.array(codes), **({"comparable": True} | facts))


def apart(rows: int) -> np.ndarray:
    """A Pix for each row."""
    return np.arange(rows, dtype=np.int32)


def test_segments_add_up_to_the_period(reviewed: Review, period: comparison.TestPeriod) -> None:
    truth, decided = period.truth, reviewed.challenger.scored.decisions
    for dimension in period.dimensions:
        rows = [one for one in reviewed.segments if one.dimension == dimension.title]
        assert sum(one.frauds for one in rows) == truth.fraud.sum()
        assert sum(one.caught for one in rows) == (truth.fraud & (decided > 0)).sum()
        assert sum(one.missed_value for one in rows) == pytest.approx(
            truth.amount[truth.fraud & (decided == 0)].sum()
        )
        if not dimension.only_frauds:
            assert sum(one.rows for one in rows) == len(truth.fraud)


def test_the_figures_of_a_segment() -> None:
    decided, fraud = np.array([1, 0, 2, 0, 1], np.int8), np.array([True, True, False, False, False])
    amount, weight = np.array([10.0, 20, 30, 40, 50]), np.array([1.0, 1, 3, 1, 1])
    one, other = segments(cut([0, 0, 0, 0, 1]), decided, fraud, amount, weight, apart(5), 0.95)
    assert (one.rows, one.frauds, one.caught, one.recall, one.missed_value) == (4, 2, 1, 0.5, 20.0)
    assert (one.precision, one.alert_rate) == (0.25, 4 / 6)
    assert one.false_alarms == pytest.approx(0.75)
    assert (other.label, other.frauds, other.false_alarms) == ("b", 0, 1.0)
    assert np.isnan(other.recall)
    labelled = segments(cut([0, 1, 2, 2, 2], only_frauds=True), decided, fraud, amount, weight, apart(5), 0.95)
    assert [(part.label, part.precision, part.false_alarms) for part in labelled] == [
        ("a", None, None),
        ("b", None, None),
    ]


def test_a_fraud_that_stands_for_many_counts_as_many_in_shares_and_value() -> None:
    decided, fraud = np.array([1, 0, 0, 1], np.int8), np.array([True, True, False, False])
    amount, weight = np.array([10.0, 20, 30, 40]), np.array([3.0, 1, 1, 1])
    [one] = segments(cut([0, 0, 0, 0]), decided, fraud, amount, weight, apart(4), 0.95)
    assert (one.frauds, one.caught, one.missed_value) == (2, 1, 20.0)
    assert one.recall == pytest.approx(0.75)
    [other] = segments(cut([0, 0, 0, 0]), decided, fraud, amount, np.ones(4), apart(4), 0.95)
    assert other.recall == 0.5


def test_institutions_by_number_of_pix_and_a_segment_of_missing_values() -> None:
    found = {one.title: one for one in dimensions(DATA, TEST)}
    assert found["payer's institution (ISPB)"].labels[:3] == ("00000000", "12345678", "60701190")
    age = found["age of the payer's account"]
    missing = np.isnan(DATA.features[TEST, FEATURE_NAMES.index("payer_account_age")])
    np.testing.assert_array_equal(age.codes == age.labels.index("not known"), missing)
    assert not found["amount"].comparable


@pytest.mark.parametrize(("rate", "clear"), [(0.02, False), (0.2, True)])
def test_only_differences_beyond_chance_are_called_clear(rate: float, clear: bool) -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 2_000)
    decided = (rng.random(4_000) < np.where(codes == 0, rate, 0.02)).astype(np.int8)
    found = disparities(cut(codes.tolist()), decided, np.zeros(4_000, bool), np.ones(4_000), apart(4_000), 0.95, 30)
    assert [one.clear for one in found] == [clear, clear]
    assert all(one.recall_ratio is None for one in found)
    assert ("legitimate Pix are stopped" in found[0].text) is clear


def test_weights_do_not_narrow_an_interval() -> None:
    codes, decided = [0] * 20 + [1] * 20, np.array(([1] * 4 + [0] * 16) + ([1] * 1 + [0] * 19), np.int8)

    def lower_end(weight: float) -> float:
        found = disparities(cut(codes), decided, np.zeros(40, bool), np.full(40, weight), apart(40), 0.95, 30)
        return found[0].false_alarm_interval.low

    assert lower_end(1.0) == pytest.approx(lower_end(1_000.0))


def test_the_second_side_of_a_pix_does_not_narrow_an_interval() -> None:
    fraud, decided = np.arange(40) < 20, (np.arange(40) % 3 == 0).astype(np.int8)
    once = segments(cut([0] * 40), decided, fraud, np.ones(40), np.ones(40), apart(40), 0.95)[0]
    ones, pix = np.ones(80), np.repeat(apart(40), 2)
    twice = segments(cut([0] * 80), np.repeat(decided, 2), np.repeat(fraud, 2), ones, ones, pix, 0.95)[0]
    assert (twice.rows, twice.frauds, twice.recall) == (2 * once.rows, 2 * once.frauds, once.recall)
    assert twice.recall_interval.low == pytest.approx(once.recall_interval.low)
    assert once.false_alarms_interval
    assert twice.false_alarms_interval
    assert twice.false_alarms_interval.high == pytest.approx(once.false_alarms_interval.high)


def test_sides_and_hops_are_segments_where_there_are_several() -> None:
    ones, codes = np.ones(len(DATA), np.int32), np.arange(len(DATA), dtype=np.int32) % 2
    known = {"side": Categories(("PAYEE", "PAYER"), codes), "hop": Categories(("", "later hop"), codes)}
    found = {one.title: one for one in dimensions(dataclasses.replace(DATA, facts={**DATA.facts, **known}), TEST)}
    assert found["side"].labels == ("payee's side", "payer's side")
    assert not found["side"].comparable
    assert found["hop from the contested Pix (MED)"].only_frauds
    one_sided = {"side": Categories(("PAYEE", "PAYER"), ones), "hop": Categories(("",), 0 * ones)}
    alone = {one.title for one in dimensions(dataclasses.replace(DATA, facts={**DATA.facts, **one_sided}), TEST)}
    assert alone == set(found) - {"side", "hop from the contested Pix (MED)"}


def test_dimensions_that_are_not_comparable_have_no_disparities() -> None:
    ones, alike = np.ones(4), cut([0, 0, 1, 1], comparable=False)
    assert disparities(alike, ones.astype(np.int8), ones < 0, ones, apart(4), 0.95, 30) == []


def test_a_segment_can_be_stored(reviewed: Review) -> None:
    stored = msgspec.json.encode(reviewed.segments[0])
    assert msgspec.json.decode(stored, type=Segment) == reviewed.segments[0]
