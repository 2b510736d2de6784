"""A message that decoding accepts has a row that the table takes and a query returns, whatever its dates."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pytest
from google.cloud import bigquery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.deploy.migrate import NO_RETRY, make
from shared.adapters.bigquery.append import WriteService
from shared.adapters.bigquery.table import BigQueryTable
from shared.adapters.memory.serving import MemoryTable
from shared.contract.envelope import PubsubMessage
from shared.contract.event import micros
from shared.contract.pseudonyms import Pseudonymiser
from shared.contract.rows import Record, ScoreRow
from shared.contract.tables import table, tables
from shared.errors import PixError
from shared.features.columns import Events
from shared.features.layout import READ_WIDTH
from shared.features.vector import feature_matrix
from shared.scoring.scorer import Scorer
from shared.serving.label_service import LabelPipeline
from shared.serving.outcome_service import OutcomePipeline
from shared.serving.score_service import ScorePipeline
from shared.telemetry.metrics import Metrics
from tests.builders import encoded, med_report, transaction
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.unit.replay import rows
from tests.waiting import PATIENCE

NOW = dt.datetime(2026, 11, 29, 12, tzinfo=dt.UTC)
SENTINELS = ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
AHEAD_SECONDS = 300.0
PSEUDONYMISER = Pseudonymiser(b"secret")

lately = st.integers(-2_000 * 86_400, 86_400).map(lambda seconds: (NOW + dt.timedelta(seconds=seconds)).isoformat())
anytime = st.datetimes(timezones=st.just(dt.UTC)).map(dt.datetime.isoformat) | st.sampled_from(SENTINELS) | lately
any_day = st.dates().map(str)


@st.composite
def dated_transactions(draw: st.DrawFn) -> dict[str, Any]:
    """Return a transaction in which every time is any, and the id fits one of them."""
    at, scheduled = draw(anytime), draw(st.none() | anytime)
    minute = (scheduled if scheduled and draw(st.booleans()) else at).translate({ord(c): None for c in "-T:"})[:12]
    return transaction(
        initiated_at=at,
        scheduled_for=scheduled,
        end_to_end_id=f"E12345678{minute}{draw(st.integers(0, 10**11 - 1)):011d}",
        payer__opened_at=draw(any_day),
        payee__opened_at=draw(any_day),
        payee__key_owned_since=draw(any_day),
        device__registered_at=draw(st.none() | anytime),
        payee_statistics__watermark=draw(anytime),
        amount=draw(st.sampled_from(["0.01", "9999999999999.99", "1.5"])),
    )


dated_outcomes = st.builds(
    lambda at: {"end_to_end_id": transaction()["end_to_end_id"], "status": "SETTLED", "at": at}, anytime
)
dated_reports = st.builds(
    lambda at, created: med_report(transaction()["end_to_end_id"], reported_at=at, created_at=created),
    anytime,
    st.none() | anytime,
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    with local_bigquery(tmp_path_factory.mktemp("bigquery"), tmp_path_factory.mktemp("objects")) as local:
        local.client.create_dataset("pix", retry=NO_RETRY)
        make(local.client, "pix", tables(), [])
        yield local


def score_row(message: PubsubMessage) -> ScoreRow:
    """Return the row of a Pix as the score function makes it, without a model."""
    scorer = cast(Scorer, None)  # decoding needs none
    pipeline = ScorePipeline(scorer, MemoryTable(), PSEUDONYMISER, lambda: micros(NOW), AHEAD_SECONDS, Metrics())
    event = pipeline.decode(message).event
    unread = np.full((1, READ_WIDTH), np.nan, dtype=np.float32)
    features = feature_matrix(Events([event]).columns, unread)[0]
    scored_at, hold_until = micros(NOW), event.scheduled_for
    plain: dict[str, Any] = {"scored_at": scored_at, "decision": "HOLD", "hold_until": hold_until}
    return rows.score_row(event, None, features, place_pending=True, claim_number=None, **plain)


def outcome_row(message: PubsubMessage) -> Record:
    return OutcomePipeline(None, MemoryTable(), lambda: micros(NOW), AHEAD_SECONDS, Metrics()).decode(message)


def feedback_row(message: PubsubMessage) -> Record:
    pipeline = LabelPipeline(None, MemoryTable(), PSEUDONYMISER, lambda: micros(NOW), AHEAD_SECONDS, Metrics())
    return pipeline.decode(message)


def accepted(messages: Sequence[dict[str, Any]], row: Callable[[PubsubMessage], Record]) -> list[Record]:
    """Return the rows of the messages that decoding accepts."""
    rows = []
    for message in messages:
        try:
            rows.append(row(PubsubMessage(encoded(message), "1")))
        except PixError:
            continue
    return rows


def stored(local: LocalBigQuery, name: str, rows: Sequence[Record]) -> list[bigquery.Row]:
    """Append rows, none of which may be refused, and return what a query finds of them."""

    async def append() -> list[int]:
        target = BigQueryTable(
            WriteService.connect(local.server.grpc_endpoint), PROJECT, "pix", table(name), PATIENCE
        )
        try:
            return await target.append(rows)
        finally:
            await target.close()

    assert asyncio.run(append()) == []
    job = local.client.query(f"SELECT * FROM pix.{name}", retry=NO_RETRY, job_retry=NO_RETRY)
    return list(job.result(retry=NO_RETRY, job_retry=NO_RETRY, timeout=PATIENCE))


@pytest.mark.parametrize(
    ("name", "messages", "row"),
    [
        ("score_events", dated_transactions(), score_row),
        ("outcomes", dated_outcomes, outcome_row),
        ("feedback", dated_reports, feedback_row),
    ],
)
def test_what_is_accepted_is_stored_and_found(
    local: LocalBigQuery, name: str, messages: st.SearchStrategy[Any], row: Callable[[PubsubMessage], Record]
) -> None:
    found = 0

    @settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(messages, min_size=50, max_size=50))
    def check(dated: list[dict[str, Any]]) -> None:
        nonlocal found
        rows = accepted(dated, row)
        found += len(rows)
        assert len(stored(local, name, rows)) == found
        for each in rows:
            at = each.columns()[table(name).partition_field]
            assert -1_800 * 86_400e6 <= at - micros(NOW) <= AHEAD_SECONDS * 1e6

    check()
    assert found
