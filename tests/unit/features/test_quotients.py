"""Every feature is finite or missing, and within the range of its unit, whatever was taken back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.features.catalogue import FEATURE_NAMES, FEATURES
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.layout import OFFSETS, READ_WIDTH, ROLES
from shared.features.vector import feature_matrix
from shared.learning.data.defects import RANGES
from tests.unit.lives import live
from tests.unit.streams import Item, event, events, report

DAY = 86_400.0
_ages = st.floats(0, 2_000)


@st.composite
def lives_of_reports(draw: st.DrawFn) -> list[Item]:
    """Draw verdicts about one payee over 2,000 days, some of them taken back at some later time, and a Pix after."""
    told: list[tuple[float, Item]] = []
    for age in draw(st.lists(_ages, min_size=1, max_size=12)):
        fraud, back = draw(st.booleans()), draw(st.none() | _ages)
        told.append((age, report(0, 1, age * DAY, fraud, device=1)))
        if back is not None:
            told.append((max(age, back), report(0, 1, age * DAY, fraud, -1, device=1)))
    told += [(age, event(0, 1, age * DAY)) for age in draw(st.lists(_ages, max_size=3))]
    return [item for _, item in sorted(told, key=lambda one: one[0])]


def outside(vectors: NDArray[np.float32]) -> list[str]:
    """Return the features of vectors [n, F] that are infinite or leave the range of their unit."""
    ranges = [RANGES.get(feature.unit, (-np.inf, np.inf)) for feature in FEATURES]
    low, high = np.array(ranges).T
    bad = (np.isinf(vectors) | (vectors < low) | (vectors > high)).any(axis=0)
    return [FEATURE_NAMES[j] for j in np.flatnonzero(bad)]


def vectors_after(stream: Sequence[Item], *finals: Event) -> NDArray[np.float32]:
    """Return the features [n, F] of Pix after a stream."""
    history = MemoryHistory()
    live(history, stream)
    columns = Columns.of(finals)
    return feature_matrix(columns, history.observe(columns)[0])


@settings(max_examples=150)
@given(lives_of_reports(), st.floats(0, 400))
def test_verdicts_taken_back_leave_every_feature_finite_or_missing(stream: list[Item], later: float) -> None:
    final = event(2, 1, (2_000 + later) * DAY, device_id="0" * 32)
    assert outside(vectors_after(stream, event(2, 1, 2_000 * DAY), final)) == []


@settings(max_examples=200)
@given(st.lists(events(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_counters_of_any_value_leave_every_feature_finite_or_missing(pix: list[Event], seed: int) -> None:
    values = [0.0, -6e-8, 1.1e-6, 1e-5, 1.1e-5, -0.02, 1.0, 170.0, 1e7, 3e38, -3e38, np.nan]
    reads = np.random.default_rng(seed).choice(values, (len(pix), READ_WIDTH)).astype(np.float32)
    marks = [OFFSETS[role] + mark for role, layout, _ in ROLES for mark in range(layout.mark_count)]
    reads[:, marks] = np.abs(reads[:, marks])
    assert outside(feature_matrix(Columns.of(pix), reads)) == []


@pytest.mark.parametrize("days", [160, 200, 300, 371, 500])
def test_an_old_fraud_beside_one_taken_back_has_a_sound_age_or_none(days: float) -> None:
    told = [report(0, 1), report(2, 1, days * DAY), report(2, 1, days * DAY, sign=-1)]
    features = dict(zip(FEATURE_NAMES, vectors_after(told, event(3, 1, days * DAY))[0].tolist(), strict=True))
    age, known = features["payee_fraud_age"], features["payee_frauds_known"]
    assert math.isnan(age) or age == pytest.approx(days, rel=0.5)
    assert math.isnan(known) or known == pytest.approx(1, abs=1)


def test_a_pix_counted_and_taken_back_leaves_no_count_below_zero() -> None:
    told = [report(i % 3, 1, i * 1e5, fraud, sign) for i in range(50) for fraud in (True, False) for sign in (1, -1)]
    vector = vectors_after(told, event(0, 1, 6e6))[0]
    counts = [j for j, feature in enumerate(FEATURES) if feature.unit == "count"]
    assert not (vector[counts] < 0).any()
