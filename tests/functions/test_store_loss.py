"""The store of history restarts empty: scoring continues without it, and a repair restores it from a snapshot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from infra.local.cloud import LocalCloud
from jobs import repair, skew, snapshot
from shared.features.places import Place
from tests.builders import encoded, med_report, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, led_to, url
from tests.waiting import until

Result = dict[str, Any]
SNAPSHOT, REPAIR = ["--lag", "0"], ["--settle", "1", "--days", "3650"]


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


@contextmanager
def stopping(event: threading.Event) -> Iterator[None]:
    """Set an event at the end of the block, whatever happens."""
    try:
        yield
    finally:
        event.set()


def result(capsys: pytest.CaptureFixture[str]) -> Result:
    """Return the result of the job that ended last."""
    found: Result = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_lost_store_is_refilled_without_deciding_or_counting_twice(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    score, label = url(cloud, "score"), url(cloud, "label")

    def scored(messages: list[dict[str, Any]]) -> list[Any]:
        assert set(deliver(score, [push_body(encoded(each)) for each in messages])) == {204}
        return scores(cloud, messages)

    unknown = transaction()
    before, late, blind, after = ([transaction(payer__account="4242") for _ in range(20)] for _ in range(4))
    early, fraud = med_report(unknown["end_to_end_id"]), med_report(before[0]["end_to_end_id"])
    assert deliver(label, [push_body(encoded(early))]) == [503]  # about a Pix that is not known yet
    assert all(row.history_sequence for row in scored([*before, unknown]))
    assert deliver(label, [push_body(encoded(early))]) == [204]
    assert snapshot.main(SNAPSHOT) == 0
    taken = result(capsys)
    assert taken["outcome"] == "WRITTEN"
    scored(late)

    cloud.state_server.stop(grace=0)
    cloud.state_server.start()
    cloud.state_server.wait_ready()
    rows = until(lambda: scored(blind))
    assert {(row.history_sequence, row.degraded, "NO_HISTORY" in row.reasons) for row in rows} == {(None, True, True)}
    assert deliver(label, [push_body(encoded(fraud))]) == [503]

    last = last_place(cloud)
    assert repair.main(REPAIR) == 0
    found = result(capsys)
    assert (found["outcome"], found["rebuilt"]["snapshots"]) == ("REBUILT", [taken["snapshot"]])
    assert 20 <= found["rebuilt"]["transactions"] < 41, "only the rows after the snapshot were read"
    assert found["epochs_noted"] == 1
    assert found["filled"] == {"decisions": 20, "outcomes": 0, "reports": 0, "left": 0}
    again = {row.end_to_end_id: row.scored_at for row in scored([*before, *late, *blind])}
    assert deliver(label, [push_body(encoded(fraud))]) == [204]
    places = sorted(row.history_sequence for row in scored(after))
    assert len(set(places)) == len(after)
    assert Place.of(places[0]).epoch > Place.of(last).epoch, "no place is given twice"
    (sums,) = ask(cloud, "SELECT COUNT(*) AS n, COUNT(DISTINCT end_to_end_id) AS ids FROM pix.score_events")
    assert sums.n == sums.ids == 81, "what had its row was not written again"
    assert again == {row.end_to_end_id: row.scored_at for row in scores(cloud, [*before, *late, *blind])}

    assert repair.main(REPAIR) == 0
    assert result(capsys)["outcome"] == "HEALTHY"
    assert skew.main(["--all"]) == 0
    audited = result(capsys)
    assert (audited["outcome"], audited["compared"], audited["skipped"]["without_history"]) == ("EQUAL", 81, 0)


def test_a_store_is_repaired_under_traffic_by_one_of_two_repairs(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    score, ended = url(cloud, "score"), threading.Event()
    statuses: set[int] = set()

    def publish() -> None:
        while not ended.is_set():
            statuses.update(deliver(score, [push_body(encoded(transaction(payer__account="77"))) for _ in range(4)]))

    def placed() -> int:
        (row,) = ask(cloud, "SELECT COUNT(history_sequence) AS n FROM pix.score_events")
        return int(row.n)

    with ThreadPoolExecutor() as threads, stopping(ended):
        traffic = threads.submit(publish)
        until(lambda: placed() >= 12)
        with Redis.from_url(cloud.settings.state) as store:
            store.flushall()
        codes = [each.result() for each in [threads.submit(repair.main, REPAIR) for _ in range(2)]]
        known = placed()
        until(lambda: placed() > known)
        ended.set()
        traffic.result()
    outcomes = {json.loads(line)["outcome"] for line in capsys.readouterr().out.splitlines() if line.startswith("{")}
    assert (sorted(codes), outcomes) == ([0, 0], {"REBUILT", "BUSY"})
    assert statuses == {204}, "no Pix was refused meanwhile"
    assert repair.main(REPAIR) == 0
    capsys.readouterr()
    assert skew.main(["--all"]) == 0
    audited = result(capsys)
    assert (audited["outcome"], audited["counted_twice"]) == ("EQUAL", 0)
    assert audited["skipped"]["without_history"] == 0, "what was decided meanwhile has its place"
