"""Publish one invented Pix and its outcome, wait for their rows in BigQuery and print them: a test of the full path.

With --candidates, publish a report about it too, and ask about a second Pix, so that each function has had a message.

It runs against a Google Cloud project, or against the local cloud in a shell with the variables printed by `make up`.
Both accounts belong to an institution that does not exist (`shared.contract.fields.NOBODY`), so the Pix cannot be
mistaken for a customer's. Training, drift and alerts on rows exclude it; the metrics of the functions, and alerts on
them, include it.

Exit codes: 0 all rows arrived, 1 one did not in time, or the score is degraded with --full, 2 wrong options.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import secrets
import sys
import time
from typing import Any, NamedTuple

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.pubsub_v1 import PublisherClient
from rich.console import Console

from shared.contract.fields import NOBODY
from shared.contract.topics import FEEDBACK, OUTCOMES, TRANSACTIONS
from shared.errors import PixError
from shared.settings import Settings
from shared.wiring.common import bigquery_client

CANDIDATES = "-smoke"
"""Ending of the topics whose messages reach only revisions without traffic (infra/terraform/pubsub.tf)."""
PAUSE_FIRST, PAUSE_MAX = 0.5, 8.0  # seconds; each query is billed as at least 10 MB


class Wanted(NamedTuple):
    """A kind of row: its topic, table, column of its partition (as in the message), order, columns shown."""

    topic: str
    table: str
    at: str
    order: str
    shown: str

    def question(self, dataset: str) -> str:
        """Return the GoogleSQL that finds the row of a Pix in one partition; a view would read all of them."""
        return (
            f"SELECT {self.shown} FROM `{dataset}.{self.table}` "  # noqa: S608 (columns and table of our own)
            f"WHERE `{self.at}` = @moment AND end_to_end_id = @id ORDER BY {self.order} LIMIT 1"
        )


SCORE = Wanted(
    TRANSACTIONS,
    "score_events",
    "initiated_at",
    "scored_at",
    "end_to_end_id, initiated_at, scored_at, score, decision, reasons, reason_contributions, model_version, late, "
    "degraded",
)
OUTCOME = Wanted(OUTCOMES, "outcomes", "at", "received_at", "end_to_end_id, side, status, `at`, received_at")
REPORT = Wanted(
    FEEDBACK, "feedback", "reported_at", "received_at", "end_to_end_id, source, status, reported_at, received_at"
)
QUESTION = SCORE._replace(topic="pix-questions")
"""Messages of its topic become requests to the decide function (infra/terraform/pubsub.tf), with CANDIDATES alone."""


def transaction(now: dt.datetime) -> dict[str, Any]:
    """Return a Pix initiated at `now`, from one invented person to another."""
    return {
        "end_to_end_id": f"E{NOBODY}{now:%Y%m%d%H%M}{secrets.token_hex(6)[:11]}",
        "initiated_at": now.isoformat(),
        "amount": "0.01",
        "initiation_form": "DICT",
        "payer": {"tax_id": "12345678909", "ispb": NOBODY, "branch": "0001", "account": "smoke-1"},
        "payee": {"ispb": NOBODY, "account": "smoke-2", "key": "+5511999999999", "key_type": "PHONE"},
        "device": {"id": "smoke", "registered_at": "2024-01-02T00:00:00Z"},
    }


def outcome(pix: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """Return the message that a Pix settled at `now`."""
    return {"end_to_end_id": pix["end_to_end_id"], "side": "PAYER", "status": "SETTLED", "at": now.isoformat()}


def report(pix: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    """Return the message that a contest of a Pix was withdrawn, which changes nothing."""
    told = {"source": "CUSTOMER", "report_id": f"smoke-{pix['end_to_end_id']}", "status": "WITHDRAWN"}
    return {**told, "end_to_end_id": pix["end_to_end_id"], "reported_at": now.isoformat()}


class Smoke:
    """A run against the topics of one deployment."""

    def __init__(self, settings: Settings, ending: str, patience: float) -> None:
        """Publish to topics with this `ending`, and wait up to `patience` seconds for each row."""
        self._settings, self._ending, self._patience = settings, ending, patience
        self._publisher, self._client = PublisherClient(), bigquery_client(settings)

    def row(self, wanted: Wanted, message: dict[str, Any]) -> dict[str, Any] | None:
        """Publish a message and return its row; None without one. Raises GoogleAPICallError."""
        topic = self._publisher.topic_path(self._settings.project, wanted.topic + self._ending)
        self._publisher.publish(topic, json.dumps(message).encode()).result(self._patience)
        parameters = [
            bigquery.ScalarQueryParameter("id", "STRING", message["end_to_end_id"]),
            bigquery.ScalarQueryParameter("moment", "TIMESTAMP", dt.datetime.fromisoformat(message[wanted.at])),
        ]
        return self._wait(
            wanted.question(f"{self._client.project}.{self._settings.dataset}"),
            bigquery.QueryJobConfig(query_parameters=parameters),
        )

    def _wait(self, question: str, config: bigquery.QueryJobConfig) -> dict[str, Any] | None:
        give_up, pause = time.monotonic() + self._patience, PAUSE_FIRST
        while True:
            for row in self._client.query(question, job_config=config).result(timeout=self._patience):
                return dict(row.items())
            left = give_up - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(pause, left))
            pause = min(2 * pause, PAUSE_MAX)


def main(arguments: list[str] | None = None) -> int:
    """Run the smoke test and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", action="store_true", help="reach the revisions that get no traffic yet")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="wait for each row (default: %(default)s)"
    )
    parser.add_argument("--full", action="store_true", help="fail if history or model was missing (degraded)")
    options = parser.parse_args(arguments)
    try:
        smoke = Smoke(Settings.from_env(os.environ), CANDIDATES if options.candidates else "", options.timeout)
        failure = _failure(smoke, options.full, options.candidates)
    except (PixError, GoogleAPICallError, TimeoutError) as error:
        failure = f"{type(error).__name__}: {error}"
    if failure:
        Console(stderr=True, highlight=False).print(f"smoke: {failure}", style="red")
    return 1 if failure else 0


def _failure(smoke: Smoke, full: bool, candidates: bool) -> str | None:
    """Send the messages, print their rows, and return the reason of a failure. Raises GoogleAPICallError."""
    pix = transaction(dt.datetime.now(dt.UTC))
    scored = smoke.row(SCORE, pix)
    if scored is None:
        return "no score in time"
    _print(scored)
    if full and scored["degraded"]:
        return "scored, but degraded"
    told = smoke.row(OUTCOME, outcome(pix, dt.datetime.now(dt.UTC)))
    if told is None:
        return "scored, but no row of the outcome in time"
    _print(told)
    return _failure_of_others(smoke, pix, full) if candidates else None


def _failure_of_others(smoke: Smoke, pix: dict[str, Any], full: bool) -> str | None:
    reported = smoke.row(REPORT, report(pix, dt.datetime.now(dt.UTC)))
    if reported is None:
        return "scored, but no row of the report in time"
    _print(reported)
    decided = smoke.row(QUESTION, transaction(dt.datetime.now(dt.UTC)))
    if decided is None:
        return "scored, but no answer to a question in time"
    _print(decided)
    return "answered, but degraded" if full and decided["degraded"] else None


def _print(row: dict[str, Any]) -> None:
    for name, value in row.items():
        sys.stdout.write(f"{name:18} {value}\n")


if __name__ == "__main__":
    sys.exit(main())
