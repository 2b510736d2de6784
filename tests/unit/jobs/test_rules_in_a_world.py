"""The rules alone, in a simulated world: they stop few Pix, and frauds among these."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig
from infra.local.simulator.run import Simulation
from jobs import replay

END = datetime(2026, 11, 20, tzinfo=UTC)
ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT": "test", "PIX_HMAC_KEY": "a key of the tests that is long enough"}
COLUMNS = ["end_to_end_id", "initiated_at", "reasons"]
SUSPICIONS = (
    *("PAYEE_MARKED_IN_DICT", "PAYEE_UNDER_SUSPICION", "PAYEE_MARKED", "PAYEE_CONFIRMED_FRAUD"),
    "PAYER_CONFIRMED_FRAUD",
)
CONFIG = SimulationConfig(end=END, transactions=60_000, days=120, seed=12, labels_until=END)


class Decided(NamedTuple):
    """The Pix of the last thirty days: codes of rules, and whether each is a fraud, both [n]."""

    codes: list[list[str]]
    fraud: NDArray[np.bool_]

    def by(self, code: str) -> NDArray[np.bool_]:
        """Return the Pix for which a rule fired."""
        return np.array([code in codes for codes in self.codes])


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Decided:
    folder = tmp_path_factory.mktemp("world")
    simulation = Simulation(CONFIG)
    with (folder / "events.ndjson").open("wb") as out:
        for day in simulation.days():
            out.writelines(day)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        assert replay.main([str(folder / "events.ndjson"), "--out", str(folder / "rows")]) == 0
    return _last_days(folder / "rows", set(simulation.frauds))


def _last_days(folder: Path, frauds: set[str]) -> Decided:
    rows = pq.read_table(sorted(folder.glob("score_events-*.parquet")), columns=COLUMNS)
    since = np.datetime64(END.replace(tzinfo=None)) - np.timedelta64(30, "D")
    rows = rows.filter(rows["initiated_at"].to_numpy() >= since)
    fraud = np.array([each in frauds for each in rows["end_to_end_id"].to_pylist()])
    return Decided(rows["reasons"].to_pylist(), fraud)


def test_a_refusal_for_suspicion_meets_frauds(decided: Decided) -> None:
    refused = decided.by("PAYEE_UNDER_SUSPICION")
    assert decided.fraud[refused].mean() > 20 * decided.fraud.mean()


def test_markers_and_confirmed_frauds_stop_few_pix_and_many_frauds(decided: Decided) -> None:
    stopped = np.logical_or.reduce([decided.by(code) for code in SUSPICIONS])
    assert stopped.mean() < 0.025
    assert decided.fraud[stopped].mean() > 10 * decided.fraud.mean()
    assert stopped[decided.fraud].mean() > 0.3


def test_money_that_a_reported_account_passes_on_is_often_stolen(decided: Decided) -> None:
    passed_on = decided.by("PAYER_CONFIRMED_FRAUD")
    assert passed_on.mean() < 0.005
    assert decided.fraud[passed_on].mean() > 20 * decided.fraud.mean()
