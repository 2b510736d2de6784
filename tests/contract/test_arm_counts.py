"""The counts of both arms of a test, from rows in a local BigQuery."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from infra.deploy.migrate import make
from shared.adapters.bigquery.query import BigQueryQueries
from shared.contract import tables as contract
from shared.learning.judging.live_rejects import RejectSums
from shared.learning.lifecycle.arm_counts import RECENT, ArmRows
from shared.learning.lifecycle.guards import ArmCounts
from shared.scoring.challenge import CHALLENGER, CHAMPION, Challenge
from shared.scoring.rules import Rules
from tests.contract.local_servers import PROJECT, local_bigquery
from tests.contract.rows import Field, Writer
from tests.contract.test_health import RATED
from tests.contract.test_views import REPORTED

NOW = dt.datetime(2026, 8, 3, 12, tzinfo=dt.UTC)
BEGAN = NOW - dt.timedelta(hours=2)
TRIED = RATED | {
    "challenger_version": (Field.TYPE_STRING, False),
    "challenger_score": (Field.TYPE_DOUBLE, False),
    "challenger_decision": (Field.TYPE_STRING, False),
    "arm": (Field.TYPE_STRING, False),
}


def micros(at: dt.datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def decided(id_: str, arm: str | None, decision: str = "APPROVE", minutes: float = 60, **more: Any) -> dict[str, Any]:
    """Return a row decided so many minutes ago, 20 ms after its message."""
    at = micros(NOW - dt.timedelta(minutes=minutes))
    times = {"initiated_at": at, "published_at": at, "scored_at": at + 20_000}
    known = {"amount": "1.00", "side": "PAYER", "history_sequence": 1, "degraded": False, "score": 0.1}
    tried = {"challenger_version": "v2", "challenger_score": 0.2, "challenger_decision": decision, "arm": arm}
    tried = tried if arm else {}
    row = {"end_to_end_id": id_, "decision": decision, **times, **known, **tried, **more}
    return {name: value for name, value in row.items() if value is not None}


ROWS = [
    decided("a", CHAMPION),
    decided("b", CHAMPION, "HOLD"),
    decided("c", CHAMPION, "APPROVE", policy_decision="HOLD"),
    decided("d", CHALLENGER, "REJECT", minutes=1, challenger_score=0.75, reasons=["NEW_PAYEE"]),
    decided("e", CHALLENGER, minutes=1, challenger_score=None),
    decided("f", CHALLENGER, degraded=True, score=None, challenger_score=None),
    decided("g", CHALLENGER, "BLOCK", side="PAYEE", published_at=micros(NOW - dt.timedelta(minutes=61))),
    decided("h", CHAMPION, "HOLD", challenger_decision="REJECT", challenger_score=0.5),
    decided("i", CHAMPION, "REJECT", reasons=["UNREGISTERED_DEVICE_DAY_LIMIT"]),
    decided("alone", None),
    decided("before", CHAMPION, minutes=180),
    decided("other", CHAMPION, challenger_version="v3"),
]
SAID = {"reported_at": micros(NOW), "received_at": micros(NOW)}
REPORTS = [
    {"end_to_end_id": "a", "source": "MED", "report_id": "1", "status": "OPEN", **SAID},
    {"end_to_end_id": "a", "source": "MED", "report_id": "1", "status": "CLOSED", **SAID},
    {"end_to_end_id": "e", "source": "CUSTOMER", "report_id": "2", "status": "CONTESTED", **SAID},
    {"end_to_end_id": "d", "source": "CUSTOMER", "report_id": "3", "status": "WITHDRAWN", **SAID},
]


def test_each_arm_is_counted_over_its_stage_and_over_its_last_minutes(tmp_path: Path) -> None:
    with local_bigquery(tmp_path, tmp_path) as local:
        make(local.client, "pix", contract.tables())
        for table, fields, rows in (("score_events", TRIED, ROWS), ("feedback", REPORTED, REPORTS)):
            writer = Writer(local.server.grpc_endpoint, f"projects/{PROJECT}/datasets/pix/tables/{table}", fields)
            assert writer.append(rows) == ""
            writer.close()
        arms = ArmRows(BigQueryQueries(local.client), PROJECT, "pix", Rules.load())
        challenge = Challenge("v2", "SHARE", BEGAN.isoformat(), BEGAN.isoformat(), 0.5)
        found = arms.read(challenge, 1_000, NOW)
    assert found.stage == {
        CHAMPION: ArmCounts(pix=5, held=3, rejected=1, reported=1),
        CHALLENGER: ArmCounts(pix=4, held=1, rejected=1, degraded=1, unscored=1, slow=1, contested=1),
    }
    assert dt.timedelta(minutes=10) == RECENT
    assert found.rejects == {"PAYER": RejectSums(4 * 0.8 + 0.25 + 0.5, 0.25 + 0.5), "PAYEE": RejectSums(0.8)}
    assert found.recent_rejects == {"PAYER": RejectSums(0.25, 0.25)}
    assert found.recent == {CHALLENGER: ArmCounts(pix=2, rejected=1, unscored=1, contested=1)}
