"""Rows without places, and places found later, are the same in BigQuery and in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from infra.deploy.migrate import make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.query import BigQueryQueries
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.bigquery.unplaced import BigQueryUnplaced
from shared.adapters.memory.unplaced import MemoryUnplaced, counted, told
from shared.contract import tables as contract
from shared.contract.event import Event, micros
from shared.contract.rows import FillRow, LostRow, OutcomeRow, Record, ScoreRow
from shared.contract.stored import stored
from shared.features.catalogue import FEATURE_NAMES
from shared.features.places import Place
from shared.ports.places import UnplacedPeriod
from shared.telemetry.metrics import Metrics
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.unit.replay.rows import score_row
from tests.unit.streams import event

DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
SECOND = 1_000_000
WINDOW = UnplacedPeriod(DAY - dt.timedelta(days=3), DAY + dt.timedelta(days=9))
EPOCHS = (0, 5, 9)
LOST = [LostRow(5, 20, 1), LostRow(5, 12, 2), LostRow(7, 3, 2)]


def moment(number: int) -> int:
    return micros(DAY) + number * 3_600 * SECOND


LOST.append(LostRow(5, 15, moment(100) + 10 * SECOND, shard=1))


def place(chance: random.Random, missing: float) -> int | None:
    return None if chance.random() < missing else int(Place(chance.choice(EPOCHS), chance.randrange(1, 25)))


def others(chance: random.Random) -> tuple[int, ...]:
    """Return places on other shards, of which some are lost."""
    return tuple(int(Place(5, chance.randrange(1, 22), shard)) for shard in (1, 2)[: chance.choice([0, 0, 1, 2])])


def features(chance: random.Random) -> Any:
    return np.array([chance.choice([float("nan"), 1.5, 2.0]) for _ in FEATURE_NAMES], dtype=np.float32)


def pix(number: int, side: str) -> Event:
    id_ = f"E12345678202611200000{number:011d}"
    own = event(number % 4, (number + 1) % 5, 0, 1_000 + number, end_to_end_id=id_)
    return msgspec.structs.replace(own, initiated_at=moment(number), side=side)


def rows_of(chance: random.Random) -> tuple[list[ScoreRow], list[FillRow], list[OutcomeRow]]:
    """Return rows of which some lack a place, came twice, or have lost it, with fills that may be lost too."""
    scores: list[ScoreRow] = []
    fills: list[FillRow] = []
    outcomes: list[OutcomeRow] = []
    for number in range(40):
        for side in ("PAYER", "PAYEE")[: chance.choice([1, 1, 2])]:
            one = pix(number, side)
            for again in range(chance.choice([1, 1, 2])):
                own: dict[str, Any] = {
                    "scored_at": one.initiated_at + chance.randrange(5) * SECOND,
                    "published_at": one.initiated_at + chance.choice([again, -again]),
                    "claim_number": chance.choice([None, 1, 2]),
                    "decided_sequence": place(chance, 0.6),
                    "place_pending": chance.random() < 0.2,
                    "visited": others(chance),
                    "decided_visited": others(chance),
                }
                scores.append(score_row(one, 1, features(chance), history_sequence=place(chance, 0.3), **own))
            for _ in range(chance.choice([0, 0, 1, 2])):
                where = place(chance, 0.0) or 0
                found = (one.initiated_at, moment(100) + len(fills) * SECOND, where, place(chance, 0.5))
                own_facts, recounted = chance.random() < 0.5, chance.random() < 0.5
                told_of = others(chance), others(chance), own_facts, recounted
                fills.append(FillRow(one.end_to_end_id, side, *found, *told_of, features(chance)))
        for status in chance.sample(["SETTLED", "REJECTED", "EXPIRED"], chance.choice([0, 1, 2])):
            at = moment(number) + SECOND
            for _ in range(chance.choice([1, 2])):
                received = moment(100) + (len(outcomes) - 20) * SECOND
                own_place = place(chance, 0.4)
                known = OutcomeRow(pix(number, "PAYER").end_to_end_id, "PAYER", status, at, received)
                late = (own_place is None and chance.random() < 0.3) or None
                places = () if late else others(chance)
                outcomes.append(
                    msgspec.structs.replace(known, history_sequence=own_place, visited=places, place_pending=late)
                )
    return scores, fills, outcomes


ROWS = rows_of(random.Random(3))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("unplaced")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        scores, fills, outcomes = ROWS
        asyncio.run(
            append(local, {"score_events": scores, "fills": fills, "outcomes": outcomes, "lost_places": LOST})
        )
        yield local


async def append(local: LocalBigQuery, rows: dict[str, Any]) -> None:
    service = WriteService.connect(local.server.grpc_endpoint)
    for name, several in rows.items():
        records: list[Record] = several
        table = BigQueryTable(service, PROJECT, "pix", contract.table(name), 60.0, Metrics())
        assert await table.append(records) == []
        await table.close()


def known(row: dict[str, Any]) -> tuple[Any, ...]:
    vector = [row[name] for name in contract.feature_columns()]
    return (
        *(row["end_to_end_id"], row["side"], micros(row["published_at"]), row["history_sequence"]),
        *(row["decided_sequence"], row["place_pending"], row["filled"], row["turn"], row["part_lost"]),
        *(tuple(row["visited"]), tuple(row["decided_visited"])),
        tuple(-1.0 if value is None else value for value in vector),
    )


def test_places_and_features_are_counted_alike(local: LocalBigQuery) -> None:
    scores, fills, _ = ROWS
    found = BigQueryQueries(local.client).rows(contract.counted(PROJECT, "pix"), {})
    expected = [
        (
            *(row.event.end_to_end_id, row.event.side, row.published_at, row.history_sequence),
            *(row.decided_sequence, row.place_pending, filled, turn, part_lost, row.visited, row.decided_visited),
            tuple(np.nan_to_num(row.features, nan=-1.0).tolist()),
        )
        for row, filled, turn, part_lost in counted(scores, fills, LOST)
    ]
    assert sorted(map(known, found), key=str) == sorted(expected, key=str)
    assert {row[6] for row in expected} == {True, False}
    assert {row[7] for row in expected} == {0, 1, 2}
    assert {row[8] for row in expected} == {True, False}


def test_the_same_rows_are_to_be_found_in_pages(local: LocalBigQuery) -> None:
    scores, fills, outcomes = ROWS
    memory = MemoryUnplaced(scores, outcomes, [], fills, LOST)
    stored_ = BigQueryUnplaced(BigQueryQueries(local.client), PROJECT, "pix")
    expected = memory.scores(WINDOW, None, 1_000)
    assert len(expected) > 10
    first = stored_.scores(WINDOW, None, 7)
    assert first + stored_.scores(WINDOW, first[-1], 1_000) == expected
    assert stored_.scores(WINDOW, expected[-1], 7) == []
    assert stored_.scores(UnplacedPeriod(WINDOW.since, WINDOW.since), None, 7) == []


def test_the_row_that_stands_is_the_one_that_is_filled(local: LocalBigQuery) -> None:
    scores, fills, outcomes = ROWS
    rows = BigQueryQueries(local.client).rows(contract.first(PROJECT, "pix", contract.timestamp(WINDOW.until)), {})
    standing = {(row["end_to_end_id"], row["side"]): micros(row["scored_at"]) for row in rows}
    chosen = {
        (each.event.end_to_end_id, each.event.side): each.claim.scored_at
        for each in MemoryUnplaced(scores, outcomes, [], fills, LOST).scores(WINDOW, None, 1_000)
    }
    every = counted(scores, fills, LOST)
    with_place = {(each.row.event.end_to_end_id, each.row.event.side) for each in every if not each.row.place_pending}
    without = chosen.keys() - with_place
    assert len(without) > 5
    assert {each: chosen[each] for each in without} == {each: standing[each] for each in without}


def test_the_same_outcomes_are_to_be_told_again(local: LocalBigQuery) -> None:
    scores, fills, outcomes = ROWS
    memory = MemoryUnplaced(scores, outcomes, [], fills, LOST)
    stored_ = BigQueryUnplaced(BigQueryQueries(local.client), PROJECT, "pix")
    expected = sorted(memory.outcomes(WINDOW), key=str)
    assert len(expected) > 3
    assert sorted(stored_.outcomes(WINDOW), key=str) == expected
    assert stored_.reports(WINDOW) == []


def test_outcomes_are_told_alike(local: LocalBigQuery) -> None:
    found = BigQueryQueries(local.client).rows(contract.told(PROJECT, "pix"), {})
    rows = [stored(OutcomeRow, "outcomes", row) for row in found]
    assert sorted(rows, key=str) == sorted(told(ROWS[2], LOST), key=str)
    assert not any(row.place_pending for row in rows)
    assert any(row.place_pending for row in ROWS[2])


def test_a_stored_row_gives_its_event_again(local: LocalBigQuery) -> None:
    full = event(
        *(1, 2, 3, 12_345),
        payer_opened_at=17_000,
        payee_key_owned_since=18_000,
        device_registered=True,
        device_registered_at=micros(DAY) + 7,
        payee_statistics='{"registered_accounts":2}',
        scheduled_for=micros(DAY) + 123_456,
        night_limit=100_001,
        night_from=1_200,
        payee_registered=False,
        payee_kind="COMPANY",
        payer_kind="ENTREPRENEUR",
        service_level="PAGPRI",
    )
    asyncio.run(append(local, {"score_events": [score_row(full)]}))
    sql = f"SELECT * FROM pix.score_events WHERE end_to_end_id = '{full.end_to_end_id}'"
    (row,) = BigQueryQueries(local.client).rows(sql, {})
    assert stored(Event, "score_events", row) == full
