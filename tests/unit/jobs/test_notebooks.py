"""The exploration notebook on a simulated world: its figures are those of the events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from infra.local.notebook import NotOpened, Source, main, make_rows
from infra.local.simulator import SimulationConfig, simulate
from jobs.notebooks import rows
from shared.errors import Misconfigured
from tests.notebooks import FOLDER, last_shown, notebook

PIX = 12_000


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of events of a world in which the frauds of the first two months are known."""
    file = tmp_path_factory.mktemp("events") / "events.ndjson"
    end = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
    file.write_bytes(
        b"".join(simulate(SimulationConfig(transactions=PIX, days=120, end=end, seed=5, fraud_rate=0.02)))
    )
    return file


@pytest.fixture(scope="module")
def folder(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `make notebook EVENTS=file` makes."""
    made = tmp_path_factory.mktemp("notebook") / "rows"
    assert main(["--events", str(events), "--folder", str(made), "--rows-only"]) == 0
    return made


@pytest.fixture(scope="module")
def figures(folder: Path) -> Iterator[dict[str, Any]]:
    """Return the figures of the exploration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIX_ROWS", str(folder))
        yield last_shown("exploration.ipynb")


def agreed(events: Path) -> set[str]:
    """Return the EndToEndIds with an infraction report that was agreed to."""
    found = set()
    for line in events.read_bytes().splitlines():
        data = msgspec.json.decode(line)["data"]
        if data.get("source") == "MED" and data.get("analysis_result") == "AGREED":
            found.add(data["end_to_end_id"])
    return found


def test_it_counts_the_pix_and_frauds_of_the_events(events: Path, folder: Path, figures: dict[str, Any]) -> None:
    pix = rows.read(folder).pix
    assert figures["pix"] == len(pix) == PIX
    frauds = set(pix.loc[pix["verdict"] == "FRAUD", "end_to_end_id"])
    assert figures["frauds"] == len(frauds) >= 100
    assert len(frauds & agreed(events)) >= 0.9 * len(frauds)  # the rest by analysts, markers cancelled aside


def test_labels_come_late_and_frauds_are_rare(figures: dict[str, Any]) -> None:
    assert 0 < figures["delay_days_median"] < figures["delay_days_90"] <= 87
    assert 0 < figures["judged"] < figures["pix"]
    assert 200 < figures["frauds_per_100_000"] < 5_000


def test_a_first_model_beats_the_amount(figures: dict[str, Any]) -> None:
    assert figures["average_precision"] > 3 * figures["average_precision_of_amount"]
    assert figures["average_precision"] > 3 * figures["prevalence_tested"]


def test_it_says_whether_the_gate_can_judge(figures: dict[str, Any]) -> None:
    assert figures["gate_can_judge"] == (figures["frauds_in_test_weeks"] >= figures["frauds_min"])
    assert figures["frauds_in_test_weeks"] > 0


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.ipynb")))
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    cells = [cell for cell in notebook(name).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_rows_of_a_source_are_made_once(events: Path, folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert main(["--events", str(events), "--folder", str(folder), "--rows-only"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_what_cannot_be_explored_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(NotOpened, match="this program did not make"):
        make_rows(tmp_path / "mine", Source(transactions=10), Console())
    assert main(["--events", str(tmp_path / "none"), "--folder", str(tmp_path / "rows")]) == 1
    bad = tmp_path / "bad.ndjson"
    bad.write_text("no event\n")
    assert main(["--events", str(bad), "--folder", str(tmp_path / "rows"), "--rows-only"]) == 1
    assert "cannot be replayed" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("rows")] == []
    with pytest.raises(Misconfigured, match=r"no score_events"):
        rows.read(tmp_path / "mine")
