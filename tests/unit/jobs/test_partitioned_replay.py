"""A replay in partitions of a simulated world equals the one in one process, value by value."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from infra.local.simulator import SimulationConfig, simulate
from jobs import replay
from shared.contract.rows import FEATURE_PREFIX
from shared.features.state import State
from shared.replay.parquet import Files
from shared.replay.partitioned.run import SliceTally, Spread
from tests.unit.replay.partitioned.event_worlds import MULES, chain
from tests.unit.replay.partitioned.worlds import assert_same, replayed, replayed_in_partitions
from tests.unit.replays import table_of

END = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
ENVIRONMENT = {
    "GOOGLE_CLOUD_PROJECT": "test",
    "PIX_HMAC_KEY": "a key of the tests that is long enough",
    "PIX_AHEAD_SECONDS": str(366 * 86_400),
}
CHAINS = 8
SPREAD = ("--engine", "processes", "--workers", "2", "--partitions", "5", "--slice-rows", "1000")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of a world with outcomes, of which both sides asked about some, and chains of mules within seconds."""
    folder = tmp_path_factory.mktemp("told")
    config = SimulationConfig(end=END, transactions=1_200, days=20, fraud_rate=0.03, both_sides=0.3)
    lines = [*simulate(config), *(line for number in range(CHAINS) for line in chain(number))]
    (folder / "events.ndjson").write_bytes(b"".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        assert run(folder / "events.ndjson", "--out", folder, "--state-out", folder / "state.npz") == 0
    return folder


def run(*arguments: object) -> int:
    return replay.main([str(each) for each in arguments])


def compared(source: Path, feedback: Path | None, folder: Path) -> tuple[pa.Table, SliceTally]:
    """Replay rows in both ways, compare, and return the rows and the counts."""
    one = replayed(Files(source, feedback).source(), folder / "one")
    *other, tally = replayed_in_partitions(Files(source, feedback).source(), folder / "other", Spread(5, 1_000))
    assert_same(one, (other[0], other[1]))
    assert one[0] is not None
    return one[0], tally


def test_rows_with_outcomes_returns_and_reports_are_the_same(told: Path, tmp_path: Path) -> None:
    assert pc.sum(pc.equal(table_of(told, "outcomes")["status"], "RETURNED")).as_py() >= CHAINS
    rows, tally = compared(told, None, tmp_path)
    assert len(rows) > 1_200
    assert tally.rounds == [2, 2]  # the weights of settlements are in the rows


def test_approved_rows_with_places_and_reports_between_them_are_the_same(told: Path, tmp_path: Path) -> None:
    pq.write_table(table_of(told, "score_events"), tmp_path / "rows.parquet")
    _, tally = compared(tmp_path / "rows.parquet", told, tmp_path)
    assert max(tally.rounds) > 2


def test_the_job_replays_rows_by_time_whose_taint_goes_down_chains_in_processes(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = table_of(told, "score_events").drop_columns(["history_sequence", "scored_at"])
    pq.write_table(rows, tmp_path / "rows.parquet")
    for name, more in (("one", ()), ("other", SPREAD)):
        (tmp_path / name).mkdir()
        files = ("--out", tmp_path / name, "--state-out", tmp_path / f"{name}.npz")
        assert run(tmp_path / "rows.parquet", "--feedback", told, *files, *more) == 0
    one, other = (
        (table_of(each, "score_events"), State.load(f"{each}.npz")) for each in (tmp_path / "one", tmp_path / "other")
    )
    assert_same(one, other)
    tainted = pc.greater(one[0][FEATURE_PREFIX + "payer_taint_30d"], 0)
    assert pc.sum(tainted).as_py() > CHAINS * (MULES - 2)
    counts = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert counts["slices"] == 2
    assert counts["rounds_max"] > 3


def test_the_job_replays_a_file_of_events_in_processes(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--out", tmp_path, "--state-out", tmp_path / "state.npz")
    assert run(told / "events.ndjson", *more, *SPREAD) == 0
    one, other = ((table_of(each, "score_events"), State.load(each / "state.npz")) for each in (told, tmp_path))
    assert_same(one, other)
    for name in ("outcomes", "feedback"):
        assert table_of(told, name).equals(table_of(tmp_path, name))
    counts = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert counts["transactions"] == len(one[0])
    assert counts["other_sides"] > CHAINS
    assert counts["rounds_max"] > 3


OPTIONS: Sequence[tuple[str, Sequence[str]]] = [
    ("--out", ["events.ndjson", "--engine", "spark"]),
    ("--checkpoint", ["x.parquet", "--out", "x", "--engine", "processes", "--checkpoint", "y"]),
    ("--out", ["x.parquet", "--engine", "processes"]),
    ("--engine processes", ["x.parquet", "--out", "x", "--engine", "spark", "--workers", "2"]),
    ("--engine spark", ["x.parquet", "--out", "x", "--engine", "processes", "--master", "local"]),
    ("--partitions", ["x.parquet", "--out", "x", "--partitions", "2"]),
]


@pytest.mark.parametrize(("named", "arguments"), OPTIONS)
def test_options_that_contradict_each_other_are_refused(
    named: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert named in capsys.readouterr().err
