"""The view `labels` and history judge every Pix alike, whatever is reported and in whatever order it arrives."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest

from infra.deploy.migrate import NO_RETRY, make
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.contract.rows import FeedbackRow
from shared.features.reports import state_of
from shared.features.verdicts import VerdictSource, in_force
from tests.contract.local_servers import PROJECT, LocalBigQuery, local_bigquery
from tests.contract.rows import Writer
from tests.contract.test_views import REPORTED, SAID, SCORED, outcome, scored
from tests.unit.report_states import NOON, analyst, customer, marker, med, row

PIX = [f"E12345678202611201432{i:011d}" for i in range(400)]
MINUTES = range(5)


def history(rng: random.Random, pix: str) -> list[dict[str, Any]]:
    """Draw reports about one Pix; ids and times are few, so that they collide."""
    ours = [f"m{i}-{pix}" for i in (1, 2)]
    return [_message(rng, pix, ours, rng.choice(MINUTES)) for _ in range(rng.randint(1, 7))]


def _message(rng: random.Random, pix: str, reports: list[str], at: int) -> dict[str, Any]:
    match rng.choice(["MED", "MED", "MED", "ANALYST", "CUSTOMER", "MARKER"]):
        case "MED":
            status = rng.choice(["OPEN", "ACKNOWLEDGED", "AGREED", "AGREED", "DISAGREED", "CANCELLED"])
            return med(status, at, rng.choice(reports), pix, hop=rng.choice([None, None, 1, 2, 3]))
        case "ANALYST":
            return analyst(rng.choice(["FRAUD", "LEGITIMATE"]), at, rng.choice(["a1", "a2", reports[0]]), pix)
        case "CUSTOMER":
            return customer(rng.choice(["CONTESTED", "WITHDRAWN"]), at, "c1", pix)
        case _:
            status, about = rng.choice(["REGISTERED", "CANCELLED"]), rng.choice(reports)
            return marker(status, at, f"f{rng.randint(1, 2)}-{pix}", about=about)


def columns(each: FeedbackRow, received_at: int) -> dict[str, Any]:
    return {name: value for name, value in each.columns().items() if name in REPORTED} | {"received_at": received_at}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBigQuery]:
    state = tmp_path_factory.mktemp("verdicts")
    with local_bigquery(state, state) as local:
        make(local.client, "pix", contract.tables(), contract.views(PROJECT, "pix", 87))
        yield local


def test_the_view_and_history_agree_on_random_reports(local: LocalBigQuery) -> None:
    rng = random.Random(20261124)
    told = {pix: [row(message) for message in history(rng, pix)] for pix in PIX}
    rows = [each for several in told.values() for each in several]
    rows += rng.sample(rows, len(rows) // 5)  # delivered again
    rng.shuffle(rows)
    writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/feedback", REPORTED)
    assert writer.append([columns(each, place) for place, each in enumerate(rows)]) == ""
    writer.close()
    stopped = _stopped(local)
    for minute in (1, max(MINUTES)):
        as_of = NOON + dt.timedelta(minutes=minute)
        sql = contract.query("labels", PROJECT, "pix", 87, contract.timestamp(as_of))
        found = local.client.query(sql, retry=NO_RETRY, job_retry=NO_RETRY).result()
        labels = {
            each.end_to_end_id: (each.verdict, each.verdict_source, micros(each.labelled_at), each.hop or 0)
            for each in found
        }
        judged = _judged(told, stopped, micros(as_of))
        assert labels == judged
    assert {"UNKNOWN", "LEGITIMATE", "FRAUD", "PENDING"} == {verdict for verdict, *_ in judged.values()}


def _stopped(local: LocalBigQuery) -> set[str]:
    """Score every other Pix as rejected, a third of them as settled after all; return those that were not paid."""
    scores = [scored(pix, 1) | {"decision": "REJECT"} for pix in PIX[::2]]
    paid = [outcome(pix, 1, "SETTLED") for pix in PIX[::6]]
    for table, fields, rows in (("score_events", SCORED, scores), ("outcomes", SAID, paid)):
        writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
        assert writer.append(rows) == ""
        writer.close()
    return set(PIX[::2]) - set(PIX[::6])


def _judged(
    told: dict[str, list[FeedbackRow]], stopped: set[str], as_of: int
) -> dict[str, tuple[str, str, int, int]]:
    """Return the verdicts of the state machine over the reports until a moment; none clears a stopped Pix."""
    verdicts = {
        pix: in_force([state for each in rows if each.reported_at <= as_of and (state := state_of(each))])
        for pix, rows in told.items()
    }
    ended = (VerdictSource.DISAGREED, VerdictSource.CANCELLED, VerdictSource.WITHDRAWN)
    return {
        pix: (
            "UNKNOWN" if pix in stopped and found.source in ended else str(found.verdict),
            *(str(found.source), found.at, found.hop),
        )
        for pix, found in verdicts.items()
        if found
    }
