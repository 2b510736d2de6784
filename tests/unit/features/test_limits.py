"""Limits of norms: read from their file, refused if invalid, and used by features and simulator."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.local.simulator import amounts, clock
from shared.contract.event import EARLIEST, LATEST, micros
from shared.errors import Misconfigured
from shared.features import limits as module
from shared.features.columns import Columns
from shared.features.layout import READ_WIDTH
from shared.features.limits import LIMITS_FILE, Limits, limits_in_force
from shared.features.vector import Reads, message
from shared.features.vector import limits as limits_left
from tests.unit.streams import event

FILE = yaml.safe_load(LIMITS_FILE.read_text("utf-8"))


def test_limits_of_the_norms() -> None:
    limits = limits_in_force()
    assert (limits.night.amount, limits.night.from_hour, limits.night.until_hour) == (1000.0, 20, 6)
    assert limits.unregistered_device_transaction.amount == 200.0
    assert limits.unregistered_device_day.amount == 1000.0


def test_each_number_has_a_norm_that_admits_how_far_it_was_read() -> None:
    limits = limits_in_force()
    assert "142/2021, art. 2, I" in limits.night.norm
    for device in (limits.unregistered_device_transaction, limits.unregistered_device_day):
        assert "491/2024 (from secondary sources)" in device.norm
        assert "art. 89, §§ 7 and 9, as given by Res. BCB 403/2024 (not read in full)" in device.norm
    assert "press" in limits.retention.norm
    assert "not read in full" in limits.block.norm


@pytest.mark.parametrize(
    ("local", "minutes"),
    [("05:59", 60), ("06:00", 30), ("12:00", 30), ("19:59", 30), ("20:00", 60), ("23:59", 60), ("00:00", 60)],
)
def test_a_pix_is_held_for_half_an_hour_by_day_and_an_hour_at_night(local: str, minutes: int) -> None:
    at = micros(dt.datetime.fromisoformat(f"2026-11-20T{local}:00-03:00"))
    until = limits_in_force().hold_until(np.array([at, at]), np.array([False, True]))
    assert ((until - at) / 60e6).tolist() == [minutes, 72 * 60]


@given(st.integers(micros(EARLIEST), micros(LATEST)), st.booleans())
def test_the_end_of_a_stop_is_exact_to_the_microsecond(at: int, by_payee: bool) -> None:
    (until,) = limits_in_force().hold_until(np.array([at]), np.array([by_payee]))
    assert until - at in ({72 * 3600 * 10**6} if by_payee else {30 * 60 * 10**6, 60 * 60 * 10**6})


@pytest.mark.parametrize(
    ("limit", "field", "value"),
    [
        ("night", "amount", 0),
        ("night", "amount", "much"),
        ("night", "from_hour", 24),
        ("night", "until_hour", 22),
        ("night", "source", "unknown field"),
        ("unregistered_device_day", "amount", -1),
        ("retention", "minutes_by_day", 0),
        ("retention", "night_until_hour", 21),
        ("block", "hours", 0.5),
    ],
)
def test_an_invalid_limit_is_refused(limit: str, field: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(yaml.safe_dump({**FILE, limit: {**FILE[limit], field: value}}), "utf-8")
    with pytest.raises(Misconfigured, match=r"limits\.yaml"):
        Limits.load(file)


def test_a_missing_file_or_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    with pytest.raises(Misconfigured):
        Limits.load(file)
    file.write_text(yaml.safe_dump({"night": FILE["night"]}), "utf-8")
    with pytest.raises(Misconfigured, match="unregistered_device"):
        Limits.load(file)


@pytest.fixture
def lower_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put a night limit of R$500, from 18h, into force."""
    file = tmp_path / "limits.yaml"
    file.write_text(yaml.safe_dump({**FILE, "night": {**FILE["night"], "amount": 500, "from_hour": 18}}), "utf-8")
    monkeypatch.setattr(module, "LIMITS_FILE", file)
    limits_in_force.cache_clear()
    yield
    limits_in_force.cache_clear()


@pytest.mark.usefixtures("lower_limits")
def test_features_and_simulator_follow_the_file() -> None:
    evening = 1_795_000_000 - 1_795_000_000 % 86_400 + 21 * 3600  # 18h in Brasília
    pix = Columns.of([event(initiated_at=evening * 1_000_000, amount=60_000)])
    assert message(pix)["night"].tolist() == [1.0]
    nothing_before = Reads(np.zeros((1, READ_WIDTH), dtype=np.float32))
    assert limits_left(pix, nothing_before)["night_limit_left"].tolist() == [-100.0]
    assert clock.is_night(np.array([evening * 1000])).tolist() == [True]
    assert amounts.night_limit() == 50_000
