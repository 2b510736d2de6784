"""The replay job over files: every source gives the same state, and a killed replay can be resumed."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from infra.local.simulator import SimulationConfig, simulate
from jobs import replay
from shared.features.history import MemoryHistory
from shared.features.state import State
from tests.unit.replays import records, table_of

AHEAD = str(366 * 86_400)  # the simulator also writes the reports that come after its period
KEY = "a key of the tests that is long enough"
ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT": "test", "PIX_HMAC_KEY": KEY, "PIX_AHEAD_SECONDS": AHEAD}
TRANSACTIONS = 25_000


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of events, of which a few are malformed."""
    file = tmp_path_factory.mktemp("events") / "events.ndjson"
    config = SimulationConfig(
        end=dt.datetime(2026, 11, 20, tzinfo=dt.UTC),
        transactions=TRANSACTIONS,
        days=60,
        fraud_rate=0.02,
        outcomes=False,
    )
    lines = list(simulate(config))
    spoilt = b'{"topic": "pix-transactions", "data": {"amount": "1.00"}}\n'
    file.write_bytes(b"".join([*lines[:5_000], spoilt, *lines[5_000:], spoilt]))
    return file


@pytest.fixture(scope="module")
def replayed(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows and the state of an uninterrupted replay."""
    folder = tmp_path_factory.mktemp("replayed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        assert run(events, "--out", folder, "--state-out", folder / "state.npz") == 0
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows and the state of events with outcomes: Pix that settle later, are rejected or returned."""
    folder = tmp_path_factory.mktemp("told")
    config = SimulationConfig(
        end=dt.datetime(2026, 11, 20, tzinfo=dt.UTC), transactions=5_000, days=60, fraud_rate=0.02
    )
    (folder / "events.ndjson").write_bytes(b"".join(simulate(config)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        assert run(folder / "events.ndjson", "--out", folder, "--state-out", folder / "state.npz") == 0
    return folder


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


OPTIONS = [
    ["tables"],
    ["tables", "--state", "redis://127.0.0.1:1"],
    ["x", "--resume"],
    ["x", "--out", "y", "--state-only"],
    ["tables", "--out", "y", "--lines", "1"],
    ["x", "--feedback", "y"],
]


def run(*arguments: object) -> int:
    return replay.main([str(each) for each in arguments])


def same_rows(one: Path, other: Path) -> bool:
    return all(table_of(one, name).equals(table_of(other, name)) for name in ("score_events", "feedback"))


def same_state(one: Path, other: Path) -> bool:
    first, second = State.load(one), State.load(other)
    return first.sequence == second.sequence and set(records(first)) == set(records(second))


def alike(one: Path, other: Path) -> bool:
    """Return whether two states differ by rounding only: the order of their sums differs."""
    first, second = (dict(_by_key(State.load(file))) for file in (one, other))
    return first.keys() == second.keys() and all(np.allclose(first[key], second[key], 1e-9) for key in first)


def replaced(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def _by_key(state: State) -> Iterator[tuple[tuple[int, int], NDArray[np.float64]]]:
    for number, key, record in records(state):
        yield (number, key), np.frombuffer(record)


def test_events_become_rows_and_a_state_that_serves(replayed: Path) -> None:
    rows, feedback = table_of(replayed, "score_events"), table_of(replayed, "feedback")
    settled = table_of(replayed, "outcomes")
    asked = rows["history_sequence"].to_pylist()
    assert asked == sorted(set(asked))
    assert len(asked) == TRANSACTIONS
    assert set(settled["status"].to_pylist()) == {"SETTLED"}
    assert set(rows["decision"].to_pylist()) == {"APPROVE", "HOLD", "REJECT"}
    counted = [place for place in feedback["history_sequence"].to_pylist() if place is not None]
    assert counted == sorted(counted)
    assert len(counted) > 100
    places = {*asked, *counted, *settled["history_sequence"].to_pylist()}
    assert places == set(range(1, len(asked) + len(counted) + settled.num_rows + 1))
    assert MemoryHistory.load(replayed / "state.npz").sequence == len(places)


def test_parquet_gives_the_same_rows_and_state_as_the_events(replayed: Path, tmp_path: Path) -> None:
    assert run(replayed, "--out", tmp_path, "--state-out", tmp_path / "state.npz") == 0
    assert table_of(tmp_path, "score_events").equals(table_of(replayed, "score_events"))
    assert same_state(tmp_path / "state.npz", replayed / "state.npz")


def test_rows_without_a_place_in_history_are_taken_by_time(replayed: Path, tmp_path: Path) -> None:
    """A report then counts at its time, which here is the time of receipt; changes take places in that order."""
    rows = table_of(replayed, "score_events").drop_columns(["history_sequence", "scored_at"])
    pq.write_table(rows, tmp_path / "rows.parquet")
    arguments = ("--feedback", replayed, "--out", tmp_path / "out", "--state-out", tmp_path / "state.npz")
    assert run(tmp_path / "rows.parquet", *arguments) == 0
    assert alike(tmp_path / "state.npz", replayed / "state.npz")
    places = table_of(tmp_path / "out", "score_events")["history_sequence"].to_pylist()
    assert places == sorted(set(places))
    assert State.load(tmp_path / "state.npz").sequence >= places[-1] + 1  # the last one settled


def test_outcomes_beside_rows_say_when_their_pix_settle(told: Path, tmp_path: Path) -> None:
    assert {"SETTLED", "REJECTED", "RETURNED"} <= set(table_of(told, "outcomes")["status"].to_pylist())
    assert run(told, "--out", tmp_path, "--state-out", tmp_path / "state.npz") == 0
    assert table_of(tmp_path, "score_events").equals(table_of(told, "score_events"))
    assert alike(tmp_path / "state.npz", told / "state.npz")
    assert State.load(tmp_path / "state.npz").sequence == State.load(told / "state.npz").sequence


def test_approved_rows_settle_at_once_where_nothing_says_when(told: Path, tmp_path: Path) -> None:
    """As they do if their decisions say so, each with a place of its own."""
    rows = table_of(told, "score_events")
    places = pc.multiply(rows["history_sequence"], 2)
    pq.write_table(replaced(rows, "history_sequence", places), tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", "--out", tmp_path, "--state-out", tmp_path / "silent.npz") == 0
    own = pc.if_else(pc.equal(rows["decision"], "APPROVE"), pc.add(places, 1), None)
    decided = replaced(table_of(tmp_path, "score_events"), "decided_sequence", own)
    pq.write_table(decided, tmp_path / "decided.parquet")
    assert run(tmp_path / "decided.parquet", "--state-only", "--state-out", tmp_path / "decided.npz") == 0
    assert alike(tmp_path / "silent.npz", tmp_path / "decided.npz")
    assert State.load(tmp_path / "decided.npz").sequence >= pc.max(own).as_py()


def test_outcomes_need_the_features_by_which_they_count(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, outcomes = table_of(told, "score_events"), table_of(told, "outcomes")
    pq.write_table(rows.drop_columns(["f_new_pair"]), tmp_path / "score_events-0.parquet")
    pq.write_table(outcomes, tmp_path / "outcomes-0.parquet")
    assert run(tmp_path, "--state-only") == 1
    assert "lack the columns f_new_pair" in " ".join(capsys.readouterr().err.split())


def test_a_repeated_row_counts_once(replayed: Path, tmp_path: Path) -> None:
    rows = table_of(replayed, "score_events").slice(0, 9_000)
    twice = rows.take(pa.array(np.repeat(np.arange(9_000), np.where(np.arange(9_000) % 5 == 0, 2, 1))))
    for name, each in (("once", rows), ("twice", twice)):
        pq.write_table(each, tmp_path / f"{name}.parquet", row_group_size=1_000)
        assert run(tmp_path / f"{name}.parquet", "--state-only", "--state-out", tmp_path / f"{name}.npz") == 0
    assert same_state(tmp_path / "once.npz", tmp_path / "twice.npz")


def test_unordered_rows_are_refused(replayed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table_of(replayed, "score_events").slice(0, 10)
    pq.write_table(rows.take(pa.array([1, 0])), tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.parquet", "--state-only") == 1
    assert "ORDER BY" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("source", ["events", "parquet"])
def test_a_killed_replay_resumes_with_the_same_result(
    source: str, events: Path, replayed: Path, tmp_path: Path
) -> None:
    file = events if source == "events" else replayed
    out, notes, state = tmp_path / "out", tmp_path / "notes", tmp_path / "state.npz"
    arguments = [file, "--out", out, "--state-out", state, "--checkpoint", notes, "--every", "2"]
    command = [sys.executable, "-m", "jobs.replay", *map(str, arguments)]
    child = subprocess.Popen(command, env=os.environ | ENVIRONMENT, stderr=subprocess.DEVNULL)
    while not (notes / "checkpoint.json").exists():
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not state.exists()
    assert run(*arguments) == 1  # it does not overwrite a checkpoint that can be resumed
    assert run(*arguments, "--resume") == 0
    assert same_state(state, replayed / "state.npz")
    assert table_of(out, "score_events").equals(table_of(replayed, "score_events"))
    assert source == "parquet" or same_rows(out, replayed)
    assert not list(notes.iterdir())


def test_a_checkpoint_of_another_replay_is_refused(
    events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "checkpoint.json").write_text(
        '{"identity": ["other"], "state": "x", "transactions": 0, "parts": [], "source": null}'
    )
    assert run(events, "--state-only", "--checkpoint", notes, "--resume") == 1
    assert "another replay" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["/nowhere.ndjson"], "No such file"), (["/nowhere.parquet"], "cannot be read as Parquet")],
)
def test_an_unreadable_file_is_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments, "--state-only") == 1
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("arguments", OPTIONS)
def test_invalid_options_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert "usage" in capsys.readouterr().err
