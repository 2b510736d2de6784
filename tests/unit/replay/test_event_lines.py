"""A file of events gives the rows, places and state that the functions give to its messages."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.contract.event import micros
from shared.contract.mapping import event_of, outcome_row
from shared.contract.outcome import decode_outcome
from shared.contract.reading import Clock
from shared.contract.rows import FeedbackRow, OutcomeRow
from shared.contract.transaction import decode_transaction
from shared.features.state import State
from shared.features.vector import feature_matrix
from shared.replay import event_lines
from shared.replay.event_lines import EventLines
from shared.replay.recurrence import Replay
from tests.builders import encoded, outcome, transaction
from tests.unit.report_states import PSEUDONYMS, marker, med
from tests.unit.served import Served, vectors

Message = tuple[str, dict[str, Any]]
PIX = 12
CLOCK = Clock(micros(dt.datetime(2026, 12, 31, tzinfo=dt.UTC)), 300.0)
RETURNS = [f"D123456782026112014320000000000{n}" for n in range(3)]


def id_of(number: int) -> str:
    return f"E12345678202611201432{number:011d}"


def pix(number: int, **changes: Any) -> Message:
    """Return a Pix among few accounts, some seconds after the one before."""
    return "pix-transactions", transaction(
        end_to_end_id=id_of(number),
        initiated_at=f"2026-11-20T14:{32 + number // 6}:{number % 6 * 9:02d}Z",
        amount=f"{100 + 13 * number}.25",
        payer__account=str(number % 3),
        payee__account=str((number * 2 + 1) % 4),
        payer__branch="1",
        payee__branch="1",
        payer__ispb="12345678",
        payee__ispb="12345678",
        **changes,
    )


def told(about: int, status: str, seconds: int = 0, share: float = 1.0, return_id: str = RETURNS[0]) -> Message:
    """Return an outcome of a Pix."""
    more: dict[str, Any] = {"at": f"2026-11-20T15:{seconds // 60:02d}:{seconds % 60:02d}Z"}
    if status == "RETURNED":
        more |= {"return_id": return_id, "amount": f"{(100 + 13 * about) * share:.2f}"}
    if status in ("BLOCKED", "RELEASED"):
        more |= {"side": "PAYEE"}
    return "pix-outcomes", outcome(id_of(about), status, **more)


def reported(about: int, status: str, at: float) -> Message:
    """Return an infraction report about a Pix."""
    return "pix-feedback", med(status, at, f"m-{about}", id_of(about))


outcomes = st.builds(
    told,
    st.integers(0, PIX - 1),
    st.sampled_from(
        [*("SETTLED", "SETTLED", "SETTLED", "REJECTED", "EXPIRED"), *("RETURNED", "RETURNED", "BLOCKED", "RELEASED")]
    ),
    st.integers(0, 3000),
    st.sampled_from([0.3, 0.7, 1.0]),
    st.sampled_from(RETURNS),
)
reports = st.builds(
    reported,
    st.integers(0, PIX - 1),
    st.sampled_from(["OPEN", "AGREED", "AGREED", "DISAGREED", "CANCELLED"]),
    st.integers(0, 5),
)


def unlike(messages: st.SearchStrategy[Message], least: int, most: int) -> st.SearchStrategy[list[Message]]:
    """Draw messages of which none repeats another."""
    return st.lists(messages, min_size=least, max_size=most, unique_by=json.dumps)


@st.composite
def files(draw: st.DrawFn) -> list[Message]:
    """Draw Pix in order, with outcomes and reports anywhere between them, also before their Pix."""
    messages = [pix(number) for number in range(PIX)]
    for more in draw(unlike(outcomes, 1, 24)) + draw(unlike(reports, 0, 6)):
        messages.insert(draw(st.integers(0, len(messages))), more)
    return messages


def by_functions(messages: Sequence[Message]) -> Served:
    """Serve messages one by one; one that comes before its Pix comes again right after it, outcomes first."""
    served, waiting = Served("published"), defaultdict[str, list[Message]](list)
    for topic, message in messages:
        id_ = message["end_to_end_id"]
        if topic == "pix-transactions":
            served.score([event_of(decode_transaction(encoded(message)).value, PSEUDONYMS)], ["APPROVE"])
            for again in sorted(waiting.pop(id_, []), key=lambda each: each[0] == "pix-feedback"):
                tell(served, again)
        elif id_ in served.lookup.known:
            tell(served, (topic, message))
        else:
            waiting[id_].append((topic, message))
    return served


def tell(served: Served, message: Message) -> None:
    if message[0] == "pix-feedback":
        served.report(message[1])
        return
    found = decode_outcome(encoded(message[1])).value
    served.count(outcome_row(found, micros(found.at)))


class Replayed(NamedTuple):
    features: NDArray[np.float32]
    places: list[int]
    outcomes: list[OutcomeRow]
    feedback: list[FeedbackRow]
    state: State
    source: EventLines


def by_file(path: Path, messages: Sequence[Message], resumed: bool = False) -> Replayed:
    """Replay messages from a file; if `resumed`, each batch by a fresh source, from the note of the last."""
    path.write_bytes(b"".join(json.dumps({"topic": t, "data": m}).encode() + b"\n" for t, m in messages))
    replay, source = Replay(), EventLines(path, None, PSEUDONYMS, CLOCK)
    features, places, outcomes, feedback = [], [], [], []
    while True:
        left = False
        for batch in source.batches(replay.sequence):
            reads = replay.run(batch.chunk)
            source.learn(replay.extras(batch.chunk.slots))
            replay.sequence = max(replay.sequence, batch.place)
            features.append(feature_matrix(batch.chunk.events, reads))
            places += batch.rows["history_sequence"].to_pylist()
            outcomes += batch.outcomes
            feedback += batch.feedback
            if resumed:
                note, left = source.note(), True
                replay, source = Replay(replay.state()), EventLines(path, None, PSEUDONYMS, CLOCK)
                source.resume(note)
                break
        if not left:
            return Replayed(np.concatenate(features), places, outcomes, feedback, replay.state(), source)


def told_of(rows: Sequence[OutcomeRow]) -> list[tuple[Any, ...]]:
    return [(row.end_to_end_id, row.status, row.at, row.return_id, row.amount, row.history_sequence) for row in rows]


def assert_same_state(found: State, expected: State) -> None:
    """Agree to float32, in which records are stored: the order of sums and a resumption round differently."""
    for (keys, values), (others, known) in zip(found.tables, expected.tables, strict=True):
        order, other_order = np.argsort(keys), np.argsort(others)
        np.testing.assert_array_equal(keys[order], others[other_order])
        np.testing.assert_allclose(values[order], known[other_order], rtol=1e-6, atol=1e-6)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=files(), size=st.integers(1, 40), resumed=st.booleans())
def test_a_file_is_replayed_as_it_is_served(
    messages: list[Message],
    size: int,
    resumed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Outcomes in any order, early ones, returns, and a resumption while lives are open."""
    monkeypatch.setattr(event_lines, "CHUNK", size)
    served, found = by_functions(messages), by_file(tmp_path / "events", messages, resumed)
    np.testing.assert_allclose(found.features, vectors(served.rows), rtol=2e-6, atol=2e-6)
    assert found.places == [row.history_sequence for row in served.rows]
    assert told_of(found.outcomes) == told_of(served.outcomes)
    assert [row.history_sequence for row in found.feedback] == [each.row.history_sequence for each in served.reports]
    assert found.state.sequence == served.history.history.sequence
    assert_same_state(found.state, served.history.history.state())


def test_a_pix_of_a_file_without_outcomes_settles_when_it_was_asked_for(tmp_path: Path) -> None:
    plain = [pix(number) for number in range(PIX)]
    at = [outcome(m["end_to_end_id"], at=m["initiated_at"]) for _, m in plain]
    named = [each for one, two in zip(plain, at, strict=True) for each in (one, ("pix-outcomes", two))]
    without, with_outcomes = by_file(tmp_path / "plain", plain), by_file(tmp_path / "named", named)
    np.testing.assert_array_equal(without.features, with_outcomes.features)
    assert told_of(without.outcomes) == told_of(with_outcomes.outcomes)
    assert_same_state(without.state, with_outcomes.state)


def test_a_pix_whose_outcome_is_missing_stays_in_flight(tmp_path: Path) -> None:
    """Another Pix of the file has an outcome, so the file tells outcomes."""
    messages = [pix(0), pix(3), told(3, "SETTLED"), pix(6)]
    found = by_file(tmp_path / "events", messages)
    assert found.places == [1, 2, 4]
    assert [row.history_sequence for row in found.outcomes] == [3]


def test_an_outcome_without_a_pix_has_no_row(tmp_path: Path) -> None:
    found = by_file(tmp_path / "events", [pix(0), told(5, "SETTLED"), told(0, "SETTLED")])
    assert [row.end_to_end_id for row in found.outcomes] == [id_of(0)]


def test_a_repeated_outcome_counts_once_and_keeps_its_place(tmp_path: Path) -> None:
    found = by_file(tmp_path / "events", [pix(0), told(0, "SETTLED"), told(0, "SETTLED", 30), told(0, "EXPIRED")])
    assert [row.history_sequence for row in found.outcomes] == [2, 2, None]


@pytest.mark.parametrize("resumed", [False, True])
def test_a_return_more_than_a_life_holds_is_malformed(
    resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_lines, "CHUNK", 40)
    returns = [told(0, "RETURNED", n, 0.005, f"D1234567820261120143200000000{n:03d}") for n in range(101)]
    found = by_file(tmp_path / "events", [pix(0), told(0, "SETTLED"), *returns, told(0, "BLOCKED"), pix(3)], resumed)
    assert [row.history_sequence for row in found.outcomes] == list(range(2, 104))
    assert (found.source.left_out.malformed, found.places) == (1, [1, 104])


def test_a_report_without_a_verdict_takes_no_place(tmp_path: Path) -> None:
    messages = [pix(0), told(0, "SETTLED"), reported(0, "OPEN", 0), pix(1), reported(0, "AGREED", 1)]
    found = by_file(tmp_path / "events", messages)
    assert (found.places, [row.history_sequence for row in found.feedback]) == ([1, 3], [None, 4])


@pytest.mark.parametrize("resumed", [False, True])
def test_a_marker_waits_for_its_infraction_report(
    resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also over a resumption."""
    monkeypatch.setattr(event_lines, "CHUNK", 1)
    mark = "pix-feedback", marker("REGISTERED", 3, about="m-0")
    found = by_file(tmp_path / "events", [mark, reported(0, "AGREED", 1), pix(0)], resumed)
    assert [(row.source, row.history_sequence) for row in found.feedback] == [("MED", 3), ("FRAUD_MARKER", 4)]
    assert found.source.reports == 2


def test_malformed_lines_are_counted_over_a_resumption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_lines, "CHUNK", 2)
    spoilt = ("pix-outcomes", outcome(id_of(0), "RETURNED"))
    found = by_file(tmp_path / "events", [pix(0), spoilt, told(0, "SETTLED"), ("pix-transactions", {}), spoilt], True)
    assert (found.source.left_out.malformed, found.places) == (3, [1])


def test_memory_keeps_no_life_after_its_last_outcome(tmp_path: Path) -> None:
    messages = [pix(0), told(0, "SETTLED"), told(0, "RETURNED"), pix(1)]
    note = json.loads(by_file(tmp_path / "events", messages).source.note())
    assert note["outcomes"] == {"lives": {}, "extras": {}, "places": {}, "early": {}}
