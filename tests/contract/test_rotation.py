"""Rows under two HMAC keys, in a local BigQuery: read under either, backfilled, and left with one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.asked import BigQueryAsked
from shared.adapters.bigquery.lookup import BigQueryLookup
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.bigquery.unplaced import BigQueryUnplaced
from shared.contract import tables
from shared.contract.event import Event, micros
from shared.contract.mapping import REPORT_IDS
from shared.contract.rows import FeedbackRow, NextIds, Record, ReviewRow, ScoreRow, SuspicionRow
from shared.contract.tables import NEXT, NEXT_KEY, PIX_IDS
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.operations.erasure import Erasure, Person
from shared.operations.rotation import Rotation
from shared.ports.places import UnplacedPeriod
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.unit.replay.rows import score_row
from tests.unit.streams import event

OLD, NEW = "0000aaaa", "1111bbbb"
DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
WRITTEN, UNTIL, YOUNG = micros(DAY), DAY + dt.timedelta(days=2), micros(DAY + dt.timedelta(days=3))
PLACE = f"{PROJECT}.pix"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    with local_bigquery(tmp_path_factory.mktemp("tables"), tmp_path_factory.mktemp("objects")) as running:
        make(running.client, "pix", tables.tables())
        yield running


def under(key: str, id_: str | None) -> str | None:
    """Return an id as it would be under a key."""
    return id_ and f"{id_}-{key}"


def pix(number: int, payer: str, payee: str, device: str | None = None, **changes: Any) -> Event:
    """Return a Pix under the old key."""
    own = event(0, 1, number, end_to_end_id=f"E12345678202611200000{number:011d}")
    ids = {"payer_id": payer, "payee_id": payee, "payer_person_id": f"of-{payer}", "device_id": device}
    ids = {name: under(OLD, each) for name, each in (ids | changes).items()}
    return msgspec.structs.replace(own, initiated_at=WRITTEN + number, **ids)


def row(of: Event, both: bool, scored_at: int = WRITTEN, place: int | None = None) -> ScoreRow:
    features = np.full(len(FEATURE_NAMES), np.nan, dtype=np.float32)
    found = score_row(of, scored_at=scored_at, features=features, history_sequence=place)
    if not both:
        return found
    ids = {f"{NEXT}{name}": (getattr(of, name) or "").replace(OLD, NEW) or None for name in PIX_IDS}
    return msgspec.structs.replace(found, next_ids=NextIds(next_hmac_key=NEW, **ids))


OLDER = pix(1, "ana", "shop", "phone", payee_person_id="shopper", payee_key_id="mail")
UNPAIRED = pix(2, "gone", "shop")
COLLECTED = pix(3, "ana", "shop", "phone", payee_person_id="shopper", payee_key_id="mail")
LATEST = pix(4, "ana", "shop")
MARKER = FeedbackRow("FRAUD_MARKER", "m", None, WRITTEN, WRITTEN, person_id=f"shopper-{OLD}", key_id=f"mail-{OLD}")
JUDGED = FeedbackRow("ANALYST", "a", OLDER.end_to_end_id, WRITTEN, WRITTEN, "FRAUD", analyst_id=f"eva-{OLD}")
AGAIN = msgspec.structs.replace(JUDGED, next_hmac_key=NEW, next_analyst_id=f"eva-{NEW}")
MED = FeedbackRow("MED", "r", OLDER.end_to_end_id, WRITTEN, WRITTEN, "FRAUD")
REVIEW = ReviewRow("v", OLDER.end_to_end_id, "PAYER", "JUDGED", WRITTEN, f"eva-{OLD}")
SUSPICION = SuspicionRow("e", "s", f"shop-{OLD}", "OPENED", WRITTEN, f"eva-{OLD}", "found", 1)


def append(local: LocalBigQuery, name: str, rows: Sequence[Record]) -> None:
    async def send() -> None:
        service = WriteService.connect(local.server.grpc_endpoint)
        table = BigQueryTable(service, PROJECT, "pix", tables.table(name), 60.0, Metrics())
        assert await table.append(rows) == []

    asyncio.run(send())


@pytest.fixture
def filled(local: LocalBigQuery) -> LocalBigQuery:
    for name in ("score_events", "feedback", "reviews", "suspicions"):
        local.client.query(f"DELETE FROM pix.{name} WHERE TRUE").result()
    append(local, "score_events", [row(OLDER, False), row(UNPAIRED, False), row(COLLECTED, True)])
    append(local, "score_events", [row(LATEST, True, YOUNG)])
    append(local, "feedback", [MARKER, JUDGED, AGAIN, MED])
    append(local, "reviews", [REVIEW])
    append(local, "suspicions", [SUSPICION])
    return local


def ids_of(local: LocalBigQuery, sql: str, names: Sequence[str]) -> dict[str, tuple[str | None, ...]]:
    rows = local.client.query(sql).result()
    return {each["end_to_end_id"]: tuple(each[name] for name in names) for each in rows}


def stored_ids(local: LocalBigQuery, key: str | None) -> dict[str, tuple[str | None, ...]]:
    """Return the ids of all decisions as they are read under a key."""
    return ids_of(local, tables.counted(PROJECT, "pix", ("initiated_at", *PIX_IDS), hmac_key=key), PIX_IDS)


def ids(of: Event, key: str) -> tuple[str | None, ...]:
    return tuple((getattr(of, name) or "").replace(OLD, key) or None for name in PIX_IDS)


def rotation(local: LocalBigQuery) -> Rotation:
    return Rotation(BigQueryQueries(local.client), PLACE)


def test_rows_are_read_under_the_key_that_is_asked_for(filled: LocalBigQuery) -> None:
    every = (OLDER, UNPAIRED, COLLECTED, LATEST)
    as_written = {each.end_to_end_id: ids(each, OLD) for each in every}
    assert stored_ids(filled, None) == stored_ids(filled, OLD) == as_written
    collected = {each.end_to_end_id: ids(each, NEW) for each in (COLLECTED, LATEST)}
    assert stored_ids(filled, NEW) == as_written | collected


def test_older_rows_get_the_ids_that_newer_ones_have_and_no_others(filled: LocalBigQuery) -> None:
    done = rotation(filled).backfill(OLD, NEW, UNTIL)
    assert (done.outcome, done.score_events, done.feedback, done.without_pair) == ("BACKFILLED", 2, 2, 1)
    found = stored_ids(filled, NEW)
    assert found[OLDER.end_to_end_id] == ids(OLDER, NEW)
    assert found[UNPAIRED.end_to_end_id][0] == f"gone-{OLD}", "nothing newer is known of the account"
    assert found[UNPAIRED.end_to_end_id][2] == f"shop-{NEW}"
    assert stored_ids(filled, OLD)[OLDER.end_to_end_id] == ids(OLDER, OLD), "it still reads as it was written"
    marked = filled.client.query(f"SELECT * FROM ({tables.reported(PROJECT, 'pix', NEW)}) WHERE report_id = 'm'")
    [report] = marked.result()
    assert [report[name] for name in REPORT_IDS] == [f"shopper-{NEW}", f"mail-{NEW}", None]
    again = rotation(filled).backfill(OLD, NEW, UNTIL)
    assert (again.score_events, again.without_pair) == (1, 1)


def test_lookups_give_ids_under_the_key_in_force(filled: LocalBigQuery) -> None:
    rotation(filled).backfill(OLD, NEW, UNTIL)
    id_ = OLDER.end_to_end_id
    lookup = BigQueryLookup(filled.client, PROJECT, "pix", 30, hmac_key=NEW)
    assert asyncio.run(lookup.parties([id_]))[id_] == (f"ana-{NEW}", f"shop-{NEW}", f"phone-{NEW}")
    asked = asyncio.run(BigQueryAsked(filled.client, PROJECT, "pix", 30, NEW).asked([id_]))[id_].event
    assert (asked.payer_id, asked.device_id) == (f"ana-{NEW}", f"phone-{NEW}")
    window = UnplacedPeriod(DAY - dt.timedelta(days=1), UNTIL)
    unplaced = BigQueryUnplaced(BigQueryQueries(filled.client), PROJECT, "pix", NEW).scores(window, None, 10)
    assert {each.event.end_to_end_id: each.event.payee_id for each in unplaced}[id_] == f"shop-{NEW}"


def test_a_finished_change_leaves_ids_of_one_key(filled: LocalBigQuery) -> None:
    rotation(filled).backfill(OLD, NEW, UNTIL)
    done = rotation(filled).finish(NEW, 2, UNTIL)
    assert (done.outcome, done.score_events, done.left) == ("UNFINISHED", 4, 1), "the latest row is too new"
    done = rotation(filled).finish(NEW, 2, DAY + dt.timedelta(days=9))
    assert (done.outcome, done.score_events, done.left) == ("FINISHED", 1, 0)
    expected = {each.end_to_end_id: ids(each, NEW) for each in (OLDER, COLLECTED, LATEST)}
    found = stored_ids(filled, None)
    assert {id_: found[id_] for id_ in expected} == expected
    gone = filled.client.query(
        f"SELECT end_to_end_id, hmac_key_version, {NEXT_KEY} AS next_key, next_payer_id FROM pix.score_events"
    )
    rows = {each.end_to_end_id: tuple(each.values())[1:] for each in gone.result()}
    assert rows == dict.fromkeys(expected, (2, None, None)) | {UNPAIRED.end_to_end_id: (1, None, None)}
    others = "SELECT by_id FROM pix.reviews UNION ALL SELECT account_id FROM pix.suspicions"
    others += " UNION ALL SELECT analyst_id FROM pix.feedback WHERE analyst_id IS NOT NULL"
    assert {each.by_id for each in filled.client.query(others).result()} == {f"eva-{NEW}", f"shop-{NEW}"}
    assert rotation(filled).finish(NEW, 2, UNTIL).outcome == "UNCHANGED"


def test_no_key_follows_one_that_has_not_replaced_its_former(filled: LocalBigQuery) -> None:
    rotation(filled).backfill(OLD, NEW, UNTIL)
    with pytest.raises(Misconfigured, match="not finished"):
        rotation(filled).backfill(NEW, "2222cccc", UNTIL)
    assert stored_ids(filled, NEW)[OLDER.end_to_end_id] == ids(OLDER, NEW)


def test_a_person_is_erased_from_rows_under_both_keys(filled: LocalBigQuery) -> None:
    rotation(filled).backfill(OLD, NEW, UNTIL)
    queries, person = BigQueryQueries(filled.client), Person(f"shopper-{NEW}", (f"mail-{NEW}",))
    later = msgspec.structs.replace(pix(5, "ana", "shop"), payee_id=f"shop-{NEW}", payer_id=f"ana-{NEW}")
    append(filled, "score_events", [row(later, False)])
    assert Erasure(queries, PLACE, person).run(dry_run=True).score_events == 0, "not without the key"
    found = Erasure(queries, PLACE, person, hmac_key=NEW).run(dry_run=False)
    assert (found.score_events, found.accounts) == (5, 1), "two name the person, the others the account alone"
    for table in ("score_events", "feedback"):
        assert not list(filled.client.query(f"SELECT * FROM pix.{table}").result())
