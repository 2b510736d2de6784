"""A file of events replayed in partitions gives the rows, messages and records of one process, in every bit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from infra.local.simulator import SimulationConfig, simulate
from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.reading import Clock
from shared.contract.rows import FEATURE_PREFIX
from shared.contract.topics import OUTCOMES
from shared.features.state import State
from shared.replay import event_lines
from shared.replay.event_lines import EventLines
from shared.replay.partitioned.run import MESSAGES, SliceTally, Spread
from shared.replay.run import ReplayRun, Sinks
from shared.replay.sinks import Folder, ParquetParts
from tests.unit.replay.partitioned.event_worlds import MULES, chain
from tests.unit.replay.partitioned.worlds import SCORED, assert_same, replayed_in_partitions
from tests.unit.replays import table_of

END = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
CHAINS = 4


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """The lines of a world in time order, some of them twice and some malformed."""
    config = SimulationConfig(end=END, transactions=400, days=12, fraud_rate=0.03, both_sides=0.3)
    every = [*simulate(config), *(each for number in range(CHAINS) for each in chain(number, CHAINS))]
    spoilt = [each.replace(b'"amount"', b'"sum"') for each in every[::50]]
    return sorted([*every, *every[::9], *spoilt], key=time_of)


def time_of(line: bytes) -> str:
    """Return the time by which lines are ordered."""
    message = msgspec.json.decode(line)["data"]
    return str(message.get("initiated_at") or message.get("at") or message.get("reported_at"))


def in_one_process(source: EventLines, out: Path) -> tuple[pa.Table, State]:
    """Return the rows and the state of a replay in one process, which writes the messages, too."""
    parts = [ParquetParts(Folder(out, name)) for name in ("score_events", *MESSAGES)]
    run = ReplayRun(source, Sinks(*parts), SCORED.rules, SCORED.key_version)
    run.run(lambda _: None)
    for each in parts:
        each.finish()
    return table_of(out, "score_events"), run.state()


def compared(
    lines: Iterable[bytes], folder: Path, spread: Spread, patched: pytest.MonkeyPatch, size: int = 150
) -> tuple[pa.Table, SliceTally]:
    """Replay lines in both ways, in partitions by batches of another size, and compare."""
    (folder / "events").write_bytes(b"".join(lines))

    def source() -> EventLines:
        clock = Clock(micros(END) + 366 * 86_400 * 1_000_000, 0.0)
        return EventLines(folder / "events", None, Pseudonymiser(b"a key of the tests that is long enough"), clock)

    (one, here), (other, there) = ((folder / name, source()) for name in ("one", "other"))
    rows, state = in_one_process(here, one)
    patched.setattr(event_lines, "CHUNK", size)
    *found, tally = replayed_in_partitions(there, other, spread)
    assert_same((rows, state), (found[0], found[1]))
    assert (here.left_out, here.reports, here.verdicts.encoded()) == (
        there.left_out,
        there.reports,
        there.verdicts.encoded(),
    )
    for name in MESSAGES:
        assert list(one.glob(f"{name}-*")) or not list(other.glob(f"{name}-*"))
        assert not list(one.glob(f"{name}-*")) or table_of(one, name).equals(table_of(other, name))
    return rows, tally


@pytest.mark.parametrize("spread", [Spread(4, 10_000, 64), Spread(5, 120, 50), Spread(3, 1)], ids=str)
def test_outcomes_of_the_same_and_of_later_slices_are_the_same(
    spread: Spread, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, tally = compared(lines, tmp_path, spread, monkeypatch)
    tainted = pc.greater(rows[FEATURE_PREFIX + "payer_taint_30d"], 0)
    assert pc.sum(tainted).as_py() > CHAINS * (MULES - 2)
    assert tally.slices > 1 or max(tally.rounds) > 3
    assert pc.sum(pc.equal(table_of(tmp_path / "other", "outcomes")["status"], "RETURNED")).as_py() >= 3 * CHAINS


def test_pix_of_a_file_without_outcomes_settle_at_once(
    lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [line for line in lines if f'"{OUTCOMES}"'.encode() not in line]
    _, tally = compared(asked, tmp_path, Spread(4, 300, 100), monkeypatch)
    assert max(tally.rounds) > 3


def test_a_file_without_lines_has_a_state(tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(b"")
    source = EventLines(tmp_path / "events", None, Pseudonymiser(b"k" * 32), Clock(0, 0.0))
    rows, state, tally = replayed_in_partitions(source, tmp_path, Spread(2, 10))
    assert (rows, state.places, tally.slices) == (None, (0,), 0)
