"""The store of history restarts empty: scoring continues, a replay restores it, and a job fills what came between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloud import LocalCloud
from jobs import fill, replay, skew
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, led_to, url
from tests.waiting import until

ALL = ["--since", "2000-01-01", "--older-than", "0"]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path, pubsub="embedded", state_pause_seconds=0.1) as running, led_to(running):
        running.start_functions()
        yield running


def last_place(cloud: LocalCloud) -> int:
    """Return the place of the last change of history that a row names."""
    (row,) = ask(
        cloud,
        "SELECT MAX(place) AS place FROM ("
        "SELECT GREATEST(history_sequence, IFNULL(decided_sequence, 0)) AS place FROM pix.score_events "
        "UNION ALL SELECT GREATEST(history_sequence, IFNULL(decided_sequence, 0)) FROM pix.fills "
        "UNION ALL SELECT history_sequence FROM pix.feedback) AS places",
    )
    return int(row.place)


def test_a_lost_store_is_refilled_without_deciding_or_counting_twice(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    score, label = url(cloud, "score"), url(cloud, "label")

    def scored(messages: list[dict[str, Any]]) -> list[Any]:
        assert set(deliver(score, [push_body(encoded(each)) for each in messages])) == {204}
        return scores(cloud, messages)

    unknown = transaction()
    before, blind, after = ([transaction(payer__account="4242") for _ in range(20)] for _ in range(3))
    early, fraud = med_report(unknown["end_to_end_id"]), med_report(before[0]["end_to_end_id"])
    assert deliver(label, [push_body(encoded(early))]) == [503]  # about a Pix that is not known yet
    assert all(row.history_sequence for row in scored([*before, unknown]))
    assert deliver(label, [push_body(encoded(early))]) == [204]

    cloud.state_server.stop(grace=0)
    cloud.state_server.start()
    cloud.state_server.wait_ready()
    rows = until(lambda: scored(blind))
    assert {(row.history_sequence, row.degraded, "NO_HISTORY" in row.reasons) for row in rows} == {(None, True, True)}
    assert deliver(label, [push_body(encoded(fraud))]) == [503]

    assert fill.main(ALL) == 1, "an empty store counts nothing"
    assert replay.main(["tables", "--state", cloud.settings.state]) == 0
    capsys.readouterr()
    assert fill.main(ALL) == 0
    filled = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (filled["outcome"], filled["decisions"], filled["left"]) == ("FILLED", 20, 0)
    again = {row.end_to_end_id: row.scored_at for row in scored([*before, *blind])}
    assert deliver(label, [push_body(encoded(fraud))]) == [204]
    last = last_place(cloud)
    places = sorted(row.history_sequence for row in scored(after))
    assert (len(set(places)), places[0]) == (len(after), last + 1)
    (sums,) = ask(cloud, "SELECT COUNT(*) AS n, COUNT(DISTINCT end_to_end_id) AS ids FROM pix.score_events")
    assert sums.n == sums.ids == 61, "what had its row was not written again"
    assert again == {row.end_to_end_id: row.scored_at for row in scores(cloud, [*before, *blind])}

    capsys.readouterr()
    assert skew.main(["--all"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["outcome"], found["compared"], found["skipped"]["without_history"]) == ("EQUAL", 61, 0)
