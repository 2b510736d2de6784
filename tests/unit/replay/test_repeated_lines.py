"""A file of events in which lines repeat, contradict each other or are dated ahead gives the state of a clean one."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contract.events_order import sort_by_time
from shared.replay import event_lines
from shared.replay.sources import LeftOut
from tests.unit.replay.test_event_lines import (
    PIX,
    Message,
    Replayed,
    assert_same_state,
    by_file,
    id_of,
    outcomes,
    pix,
    reported,
    reports,
    told,
)

CLEAN = [pix(0), pix(1), told(0, "SETTLED")]


def moment(message: Message) -> str:
    return str(message[1].get("at") or message[1].get("reported_at"))


later = st.tuples(
    st.lists(outcomes, min_size=1, max_size=12, unique_by=moment),
    st.lists(reports, max_size=6, unique_by=moment),
)


def other_words(message: Message) -> Message:
    """Return the same message as another publisher may write it."""
    topic, data = message
    data = {"unknown": 1, **dict(reversed(data.items()))}
    for name in ("initiated_at", "at", "reported_at"):
        if name in data:
            local = dt.datetime.fromisoformat(data[name]).astimezone(dt.timezone(dt.timedelta(hours=-3)))
            data[name] = local.isoformat()
    return topic, data


def sorted_file(folder: Path, messages: list[Message], resumed: bool = False) -> Replayed:
    """Replay messages as the job does, by time."""
    unsorted = folder / "unsorted"
    unsorted.write_bytes(b"".join(json.dumps({"topic": t, "data": m}).encode() + b"\n" for t, m in messages))
    lines = sort_by_time(unsorted, folder, lambda _: None).read_bytes().splitlines()
    return by_file(folder / "events", [(each["topic"], each["data"]) for each in map(json.loads, lines)], resumed)


def rows_of(replayed: Replayed) -> bytes:
    return msgspec.json.encode((replayed.places, replayed.outcomes, replayed.feedback))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(later=later, data=st.data(), size=st.integers(1, 40), resumed=st.booleans())
def test_lines_that_repeat_in_any_order_change_nothing(
    later: tuple[list[Message], list[Message]],
    data: st.DataObject,
    size: int,
    resumed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_lines, "CHUNK", size)
    clean = [*(pix(number) for number in range(PIX)), *later[0], *later[1]]
    again = data.draw(st.lists(st.sampled_from(clean), max_size=len(clean)))
    spoilt = data.draw(st.permutations([*clean, *map(other_words, again)]))
    expected, found = sorted_file(tmp_path, clean), sorted_file(tmp_path, list(spoilt), resumed)
    np.testing.assert_array_equal(found.features, expected.features)
    assert rows_of(found) == rows_of(expected)
    assert_same_state(found.state, expected.state)
    assert found.source.left_out == LeftOut(duplicates=len(again))
    assert found.source.reports == expected.source.reports


def test_a_different_message_under_a_taken_id_is_left_out(tmp_path: Path) -> None:
    """Another amount is another Pix; other statistics are those of a second try."""
    topic, taken = pix(0)
    contradicting, repeating = {**taken, "amount": "1.00"}, {**taken, "payee_statistics": {"registered_accounts": 3}}
    messages = [pix(0), (topic, contradicting), (topic, repeating), pix(1), told(0, "SETTLED")]
    clean, found = (
        by_file(tmp_path / "clean", [pix(0), pix(1), told(0, "SETTLED")]),
        by_file(tmp_path / "f", messages),
    )
    assert_same_state(found.state, clean.state)
    assert found.source.left_out == LeftOut(duplicates=1, taken=1)


def test_the_other_side_of_a_pix_counts_nothing_but_may_repeat(tmp_path: Path) -> None:
    messages = [pix(0), pix(0, side="PAYEE"), pix(0, side="PAYEE"), pix(1), told(0, "SETTLED")]
    clean, found = (
        by_file(tmp_path / "clean", [pix(0), pix(1), told(0, "SETTLED")]),
        by_file(tmp_path / "f", messages),
    )
    assert_same_state(found.state, clean.state)
    assert found.source.left_out == LeftOut(duplicates=1, other_sides=1)


def test_a_line_ahead_of_the_clock_blanks_no_account(tmp_path: Path) -> None:
    at = "2099-11-20T14:32:00Z"
    ahead: list[Message] = [
        (pix(0)[0], {**pix(0)[1], "end_to_end_id": id_of(0).replace("2026", "2099"), "initiated_at": at}),
        ("pix-outcomes", {**told(0, "SETTLED")[1], "at": at}),
        ("pix-feedback", {**reported(0, "AGREED", 0)[1], "reported_at": at}),
    ]
    plain = [pix(number) for number in range(PIX)]
    clean, found = by_file(tmp_path / "clean", plain), by_file(tmp_path / "f", [*plain[:3], *ahead, *plain[3:]])
    np.testing.assert_array_equal(found.features, clean.features)
    assert found.places == clean.places
    assert_same_state(found.state, clean.state)
    assert found.source.left_out == LeftOut(ahead=3)


def test_memory_keeps_no_life_for_an_outcome_that_repeats(tmp_path: Path) -> None:
    messages = [pix(0), told(0, "SETTLED"), told(0, "SETTLED"), pix(1)]
    note = json.loads(by_file(tmp_path / "events", messages).source.note())
    assert note["outcomes"] == {"lives": {}, "extras": {}, "places": {}, "early": {}}
