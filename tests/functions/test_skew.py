"""A replay computes the served features, also after repeated, late and unordered deliveries."""

import concurrent.futures
import datetime as dt
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from infra.local.cloud import LocalCloud
from infra.local.simulator import SimulationConfig, simulate
from jobs import replay, skew
from jobs.cli import history_wiring, wiring
from shared.contract.tables import feature_columns
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.features.state import State
from shared.replay.arrow_columns import whole
from shared.replay.audit import logged
from shared.replay.continuation import continued
from shared.replay.mark import CountedPlaces
from shared.replay.snapshots import SnapshotRetention
from shared.settings import Settings
from tests.builders import push_body
from tests.functions.world import ask, deliver, url
from tests.unit.replays import table_of

TOPICS = {TRANSACTIONS: "score", OUTCOMES: "outcome", FEEDBACK: "label"}
END = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
DAY_OF_COMPARISON = dt.datetime(2026, 11, 17, tzinfo=dt.UTC)
TRANSACTIONS_SERVED = 1_200
ROUND = 400
Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A local cloud after several thousand deliveries of `traffic`."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), pubsub="embedded") as cloud:
        cloud.start_functions()
        waiting: dict[str, list[bytes]] = {topic: [] for topic in TOPICS}
        for lines in traffic(random.Random(5)):
            waiting = delivered(cloud, {of: [data for to, data in lines if to == of] + waiting[of] for of in TOPICS})
        assert not any(delivered(cloud, waiting).values())
        yield cloud


def delivered(cloud: LocalCloud, messages: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    """Deliver messages by topic; return those to be redelivered: before their Pix, or while BigQuery is too slow."""
    with concurrent.futures.ThreadPoolExecutor() as all_topics:
        sent = {
            topic: all_topics.submit(deliver, url(cloud, name), [push_body(data) for data in messages[topic]], 64)
            for topic, name in TOPICS.items()
        }
    assert {status for each in sent.values() for status in each.result()} <= {204, 503}
    return {
        topic: [data for data, status in zip(messages[topic], each.result(), strict=True) if status == 503]
        for topic, each in sent.items()
    }


def traffic(chance: random.Random) -> Iterator[list[tuple[str, bytes]]]:
    """Yield rounds of messages in which a tenth comes late by rounds, and a fifth again, at once or rounds later."""
    config = SimulationConfig(
        end=END,
        transactions=TRANSACTIONS_SERVED,
        days=30,
        customers=250,
        fraud_rate=0.1,
        labels_until=END,
    )
    sent: list[tuple[int, str, bytes]] = []
    for position, text in enumerate(simulate(config)):
        line = json.loads(text)
        late = chance.choice([0] * 9 + [chance.randrange(5 * ROUND)])
        sent.append((position + late, line["topic"], json.dumps(line["data"]).encode()))
        if chance.random() < 0.2:
            again = chance.choice([0, chance.randrange(5 * ROUND)])
            sent.append((position + late + again, *sent[-1][1:]))
    sent.sort(key=lambda each: each[0])
    for start in range(0, len(sent), ROUND):
        lines = [each[1:] for each in sent[start : start + ROUND]]
        chance.shuffle(lines)
        yield lines


def served_rows(cloud: LocalCloud) -> pa.Table:
    """Return the logged features, each Pix once, in order of sequence."""
    columns = ", ".join(["history_sequence", *feature_columns()])
    sql = f"SELECT DISTINCT {columns} FROM pix.score_events ORDER BY history_sequence"
    return cloud.bigquery().query(sql).to_arrow(create_bqstorage_client=False)


@pytest.fixture
def checked(served: LocalCloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """A check in this process: its exit code and the last line that it prints."""
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)

    def check(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = skew.main(list(arguments))
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return check


def test_served_features_equal_replayed_ones(served: LocalCloud, checked: Check) -> None:
    code, found = checked("--all")
    assert (code, found["outcome"], found["features"]) == (0, "EQUAL", {})
    assert found["compared"] == TRANSACTIONS_SERVED
    assert found["duplicates"] > 0, "a Pix that comes again before its row is stored"
    assert found["unequal_duplicates"]["count"] == found["counted_twice"] == 0
    # The row of a report has its last place only: if two batches change one recovery at once, another one is apart.
    assert found["gaps"]["transactions"] <= 5
    (reports,) = ask(served, "SELECT COUNT(DISTINCT end_to_end_id) AS n FROM pix.feedback WHERE history_sequence > 0")
    (frauds,) = ask(served, "SELECT COUNT(*) AS n FROM pix.score_events WHERE f_payee_frauds_30d > 0.5")
    assert reports.n > 50 < frauds.n


def test_a_period_is_checked_after_a_replay_of_earlier_rows(
    served: LocalCloud, checked: Check, tmp_path: Path
) -> None:
    """A replay of the tables also gives the served features and the state after them."""
    since, later = DAY_OF_COMPARISON, "SELECT COUNT(DISTINCT end_to_end_id) AS n FROM pix.score_events WHERE {}"
    code, found = checked("--from", since.isoformat())
    (pix,) = ask(served, later.format(f"initiated_at >= '{since.isoformat()}'"))
    assert (code, found["compared"]) == (0, pix.n)
    assert 0 < found["compared"] < found["replayed"] <= TRANSACTIONS_SERVED

    state, rows = tmp_path / "state.npz", tmp_path / "rows"
    assert replay.main(["tables", "--out", str(rows), "--state-out", str(state)]) == 0
    again = table_of(rows, "score_events")
    places = whole(again["history_sequence"], -1)
    assert (len(places), bool(np.all(np.diff(places) > 0))) == (TRANSACTIONS_SERVED, True)
    assert State.load(state).sequence >= places[-1]
    np.testing.assert_allclose(logged(again), logged(served_rows(served)), rtol=1e-4, atol=1e-4)
    assert checked("--all", "--state", str(state))[0] == 2


def test_the_last_days_are_compared_from_a_snapshot_and_recorded(
    served: LocalCloud, checked: Check, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison of a day reads the state before it, and finds what one of all rows does."""
    monkeypatch.setattr(wiring, "now", lambda: DAY_OF_COMPARISON + dt.timedelta(hours=4))
    until = DAY_OF_COMPARISON - dt.timedelta(days=3)
    after = f"SELECT MIN(history_sequence) AS first FROM pix.score_events WHERE initiated_at >= '{until.isoformat()}'"
    place = ask(served, after)[0].first - 1
    taken_until(place, DAY_OF_COMPARISON)
    capsys.readouterr()
    code, found = checked("--last-days", "3", "--record")
    assert (code, found["outcome"], found["features"]) == (0, "EQUAL", {})
    assert len(found["snapshots"]) == 1
    assert 0 < found["compared"] <= found["replayed"] < TRANSACTIONS_SERVED
    (row,) = ask(served, "SELECT * FROM pix.model_ledger WHERE action IN ('SKEW', 'NO_SKEW')")
    figures = json.loads(row.metrics)
    assert (row.action, figures["compared"], figures["differing"]) == ("NO_SKEW", found["compared"], 0)
    assert (figures["since"], figures["until"]) == (until.timestamp(), DAY_OF_COMPARISON.timestamp())


def taken_until(place: int, now: dt.datetime) -> None:
    """Write a snapshot of history up to a place, as of a time."""
    settings = Settings.from_env(os.environ)
    (tables,), snapshots = history_wiring.stored_tables(settings), history_wiring.snapshots(settings)
    tally = CountedPlaces(tables).tally(place)
    state = continued(tables, State.empty(), lambda *_: None, place).state
    saved = snapshots.save(state._replace(sequence=place), tally, now, lambda _: None, hmac_key=tables.hmac_key)
    snapshots.publish(saved, snapshots.listing(), SnapshotRetention())


def test_one_wrong_value_is_found(served: LocalCloud, checked: Check) -> None:
    (row,) = ask(
        served,
        "SELECT end_to_end_id AS id FROM pix.score_events WHERE history_sequence > 1000 "
        "ORDER BY history_sequence LIMIT 1",
    )
    change = "UPDATE pix.score_events SET f_payee_count_7d = f_payee_count_7d {} 0.5 WHERE end_to_end_id = @id"
    ask(served, change.format("+"), id=row.id)
    code, found = checked("--all", "--record")
    ask(served, change.format("-"), id=row.id)
    (entry,) = ask(served, "SELECT * FROM pix.model_ledger WHERE action = 'SKEW'")
    assert "1 have other features than a replay: payee_count_7d" in entry.reason
    (last,) = ask(served, "SELECT MAX(initiated_at) AS at FROM pix.score_events")
    assert entry.as_of == last.at
    assert (code, found["outcome"], found["rows_with_differences"]) == (1, "SKEWED", 1)
    assert list(found["features"]) == ["payee_count_7d"]
    assert found["features"]["payee_count_7d"]["end_to_end_id"] == row.id
    assert found["features"]["payee_count_7d"]["largest"] == pytest.approx(0.5, rel=1e-5)


def test_nothing_to_compare_is_an_error(checked: Check) -> None:
    code, found = checked("--from", "2001-01-01", "--to", "2001-01-02")
    assert (code, found["outcome"]) == (2, "FAILED")
    assert "nothing to compare" in found["reasons"][0]
