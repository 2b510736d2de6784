"""Limits of norms: read from their file, refused if invalid, and used by features and simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from infra.local.simulator import amounts, clock
from shared.errors import Misconfigured
from shared.features import limits as module
from shared.features.columns import Columns
from shared.features.history import MemoryHistory
from shared.features.limits import LIMITS_FILE, Limits, limits_in_force
from shared.features.vector import Reads, limits
from tests.unit.streams import event

FILE = yaml.safe_load(LIMITS_FILE.read_text("utf-8"))


def test_limits_of_the_norms() -> None:
    limits = limits_in_force()
    assert (limits.night.amount, limits.night.from_hour, limits.night.until_hour) == (1000.0, 20, 6)
    assert limits.unregistered_device_transaction.amount == 200.0
    assert limits.unregistered_device_day.amount == 1000.0


@pytest.mark.parametrize(
    ("limit", "field", "value"),
    [
        ("night", "amount", 0),
        ("night", "amount", "much"),
        ("night", "from_hour", 24),
        ("night", "until_hour", 22),
        ("night", "source", "unknown field"),
        ("unregistered_device_day", "amount", -1),
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
    columns = Columns.of([event(initiated_at=evening * 1_000_000, amount=60_000)])
    left = limits(columns, Reads(MemoryHistory().observe(columns)[0]))["night_limit_left"]
    assert (columns.night.tolist(), left.tolist()) == ([True], [-100.0])
    assert clock.is_night(np.array([evening * 1000])).tolist() == [True]
    assert amounts.night_limit() == 50_000
