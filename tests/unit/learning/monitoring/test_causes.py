"""Planted causes in small samples: each is found first, by source, publisher and kind, and a quiet day has none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.contract.event import EPOCH
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.monitoring.causes.ranking import DriftCause, causes
from shared.learning.monitoring.causes.report import record_of
from shared.learning.monitoring.causes.rows import CauseRows
from shared.learning.monitoring.causes.sources import CALENDAR, SOURCES, source_of
from shared.learning.monitoring.causes.step import step_of
from shared.scoring.thresholds import SideThresholds, Thresholds

DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
MICROS = 1_000_000
PUBLISHERS = ("11111111", "22222222", "33333333")
WEIGHTS = {
    "amount_log": 0.4,
    "device_registered_age": -0.002,
    "payer_account_age": -0.0005,
    "payee_account_age": -0.001,
    "new_pair": 0.8,
    "form_manu": 0.5,
    "hour": 0.01,
    "dict_watermark_age": 0.1,
    "dict_markers_d90": 1.0,
    "payee_new_payers_1d": 0.3,
}
"""Of a missing value the model makes 0."""
FROM = 6
"""Hour (UTC) of the day from which a fault is there."""


class LinearModel:
    """What the exchange asks of a bundle."""

    version, feature_names = "v1", tuple(WEIGHTS)
    thresholds = SideThresholds(payer=Thresholds(0.3, 0.9), payee=Thresholds(0.3, 0.9))

    def inputs(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return features[:, [FEATURE_NAMES.index(name) for name in WEIGHTS]]

    def raw(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(4 - np.nan_to_num(inputs) @ np.array(list(WEIGHTS.values())))))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.raw(self.inputs(features))


def at(name: str) -> int:
    return FEATURE_NAMES.index(name)


def sample(day: dt.datetime, days: int, rows: int, seed: int) -> CauseRows:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, days * 86_400, rows))
    moments = [day + dt.timedelta(seconds=int(second)) for second in times]
    publisher = rng.choice(PUBLISHERS, rows, p=[0.5, 0.3, 0.2])
    ids = [
        f"E{own}{when:%Y%m%d%H%M}{number:011d}"
        for number, (own, when) in enumerate(zip(publisher, moments, strict=True))
    ]
    amount = rng.lognormal(4, 1, rows).round(2)
    features = np.full((rows, len(FEATURE_NAMES)), np.nan, dtype=np.float32)
    columns = {
        "amount": amount,
        "amount_log": np.log1p(amount),
        "device_registered_age": rng.uniform(1, 900, rows),
        "device_unregistered": np.zeros(rows),
        "payer_account_age": rng.uniform(30, 3_000, rows),
        "payee_account_age": rng.uniform(1, 3_000, rows),
        "new_pair": rng.random(rows) < 0.3,
        "form_manu": rng.random(rows) < 0.1,
        "hour": (times / 3_600 - 3) % 24,
        "dict_watermark_age": rng.uniform(0, 1, rows),
        "dict_markers_d90": rng.random(rows) < 0.02,
        "payee_new_payers_1d": rng.exponential(1, rows),
    }
    for name, values in columns.items():
        features[:, at(name)] = values
    form = np.where(features[:, at("form_manu")] == 1, "MANU", "DICT")
    micros = np.array([int((when - EPOCH) / dt.timedelta(microseconds=1)) for when in moments])
    return CauseRows(np.array(ids), micros, publisher, form, np.zeros(rows, dtype=bool), amount, features)


REFERENCE = sample(DAY - dt.timedelta(days=7), 7, 4_000, 1)


class Planted(NamedTuple):
    """A change of the rows chosen, and the truth about it: source, publisher and kind."""

    change: Callable[[CauseRows, NDArray[np.bool_]], CauseRows | None]
    source: str
    publisher: str | None
    kind: str


def setter(**values: Any) -> Callable[[CauseRows, NDArray[np.bool_]], None]:
    def change(rows: CauseRows, own: NDArray[np.bool_]) -> None:
        for name, value in values.items():
            rows.features[own, at(name)] = value

    return change


def in_centavos(rows: CauseRows, own: NDArray[np.bool_]) -> None:
    rows.amount[own] *= 100
    rows.features[own, at("amount")] *= 100
    rows.features[own, at("amount_log")] = np.log1p(rows.amount[own])


def earlier(rows: CauseRows, own: NDArray[np.bool_]) -> None:
    rows.at[own] -= 3 * 3_600 * MICROS
    rows.features[own, at("hour")] = (rows.features[own, at("hour")] - 3) % 24


def scam(rows: CauseRows, own: NDArray[np.bool_]) -> None:
    chosen = np.flatnonzero(own)[::12]
    rows.features[chosen, at("payee_new_payers_1d")] = 12.0


DEVICE = setter(device_registered_age=np.nan, device_unregistered=np.nan)
PLANTED = {
    "a publisher drops the device": Planted(DEVICE, "device", PUBLISHERS[1], "CONTRACT"),
    "reais for centavos": Planted(in_centavos, "amount", PUBLISHERS[0], "CONTRACT"),
    "a time zone twice": Planted(earlier, "initiated_at", None, "CODE"),
    "a stale feed": Planted(setter(dict_watermark_age=9.0), "payee_statistics", None, "CONTRACT"),
    "openings by migration": Planted(setter(payer_account_age=2.5), "payer.opened_at", PUBLISHERS[2], "CONTRACT"),
    "history lost": Planted(setter(new_pair=1.0), "history of the pair", None, "CODE"),
    "a scam": Planted(scam, "history of the payee", None, "TRAFFIC"),
}


def found(planted: Planted | None = None) -> list[DriftCause]:
    rows = sample(DAY, 1, 1_500, 2)
    if planted:
        own = (rows.at - int((DAY - EPOCH) / dt.timedelta(microseconds=1))) / MICROS >= FROM * 3_600
        planted.change(rows, own & (rows.publisher == planted.publisher if planted.publisher else True))
    return causes(LinearModel(), rows, REFERENCE, 150_000)[1]  # type: ignore[arg-type]  # a model that needs no file


@pytest.mark.parametrize("title", PLANTED)
def test_a_planted_cause_comes_first(title: str) -> None:
    planted = PLANTED[title]
    first = found(planted)[0]
    assert (first.source, first.publisher, first.kind) == planted[1:]


def test_a_quiet_day_has_no_cause() -> None:
    assert [(each.source, each.kind) for each in found()] == []


def test_the_minute_of_a_fault_and_its_examples_are_named() -> None:
    first = found(PLANTED["a publisher drops the device"])[0]
    record = record_of(1, first)
    [minute] = [sign for sign in record.evidence if "changes at" in sign]
    assert minute.split(" at ")[1][:2] in ("05", "06")
    assert all(example[1:9] == PUBLISHERS[1] for example in record.examples)
    assert record.score > 0, "a missing device counts as one that was just registered"


def test_a_part_is_that_of_the_whole_day() -> None:
    first = found(PLANTED["a scam"])[0]
    assert first.score.value == pytest.approx(0.3 * 11 / 12 * (24 - FROM) / 24, rel=0.25)
    assert first.share == pytest.approx(1, abs=0.4)
    assert first.alerts.value > 1_000


def test_every_feature_has_a_source() -> None:
    assert {source_of(name) for name in FEATURE_NAMES} <= {*SOURCES, CALENDAR}


def test_a_slow_change_is_no_step() -> None:
    rng, rows = np.random.default_rng(3), 2_000
    times = np.arange(rows, dtype=np.int64) * 43 * MICROS
    usual = rng.random(rows).astype(np.float32)
    slow = (rng.random(rows) + np.linspace(0, 0.5, rows)).astype(np.float32)
    assert step_of(times, usual, times, rng.random(rows).astype(np.float32)) is None
    sudden = np.where(np.arange(rows) < 700, usual, usual + 1).astype(np.float32)
    step = step_of(times, sudden, times, usual)
    assert step is not None
    assert abs((step.at - EPOCH).total_seconds() - 700 * 43) < 900
    assert step_of(times, slow, times, slow) is None
