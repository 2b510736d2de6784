"""Publish one invented Pix, wait for its row in BigQuery and show it: that everything between the two works.

It runs against a project of Google Cloud, or against the local cloud in a shell that has the variables that `make up`
prints. The Pix is between accounts of an institution that does not exist (`shared.contract.fields.NOBODY`), so that
nobody takes it for a customer's. Training, drift and alerts on rows leave it out; what functions measure of
themselves, and alerts on that, count it.

Exit codes: 0 scored, 1 no row in time or a degraded one with --full, 2 wrong options.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import secrets
import sys
import time
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.pubsub_v1 import PublisherClient
from rich.console import Console

from shared.contract.fields import NOBODY
from shared.contract.topics import TRANSACTIONS
from shared.errors import PixError
from shared.settings import Settings
from shared.wiring.common import bigquery_client

SHOWN = "end_to_end_id, initiated_at, scored_at, score, decision, reasons, model_version, late, degraded"
PAUSE_FIRST, PAUSE_MOST = 0.5, 8.0  # seconds; each question is billed as 10 MB at least


def transaction(now: dt.datetime) -> dict[str, Any]:
    """Return a Pix of that moment, from one invented person to another."""
    return {
        "end_to_end_id": f"E{NOBODY}{now:%Y%m%d%H%M}{secrets.token_hex(6)[:11]}",
        "initiated_at": now.isoformat(),
        "amount": "0.01",
        "initiation_form": "DICT",
        "payer": {"tax_id": "12345678909", "ispb": NOBODY, "branch": "0001", "account": "smoke-1"},
        "payee": {"ispb": NOBODY, "account": "smoke-2", "key": "+5511999999999", "key_type": "PHONE"},
        "device": {"id": "smoke", "registered_at": "2024-01-02T00:00:00Z"},
    }


def question(table: str) -> str:
    """Return the GoogleSQL that finds the row of a Pix: in the partition of its day, unlike the view of all."""
    return (
        f"SELECT {SHOWN} FROM `{table}` "  # noqa: S608 (names of our own)
        "WHERE initiated_at = @initiated_at AND end_to_end_id = @id ORDER BY scored_at LIMIT 1"
    )


def row_of(client: bigquery.Client, dataset: str, message: dict[str, Any], patience: float) -> dict[str, Any] | None:
    """Return the row of a Pix, or None if there is none within `patience` seconds."""
    initiated_at = dt.datetime.fromisoformat(message["initiated_at"])
    parameters = [
        bigquery.ScalarQueryParameter("id", "STRING", message["end_to_end_id"]),
        bigquery.ScalarQueryParameter("initiated_at", "TIMESTAMP", initiated_at),
    ]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    give_up, pause = time.monotonic() + patience, PAUSE_FIRST
    while True:
        asked = client.query(question(f"{client.project}.{dataset}.score_events"), job_config=config)
        for row in asked.result(timeout=patience):
            return dict(row.items())
        left = give_up - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(2 * pause, PAUSE_MOST)


def smoke(settings: Settings, topic: str, patience: float) -> dict[str, Any] | None:
    """Publish to `topic` and return the row that comes of it, or None. Raises GoogleAPICallError."""
    message = transaction(dt.datetime.now(dt.UTC))
    publisher = PublisherClient()
    publisher.publish(publisher.topic_path(settings.project, topic), json.dumps(message).encode()).result(patience)
    client = bigquery_client(settings)
    return row_of(client, settings.dataset, message, patience)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--topic", default=TRANSACTIONS, help="where to publish (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="fail if history or model were missing (degraded)")
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False)
    try:
        row = smoke(Settings.from_env(os.environ), options.topic, options.timeout)
    except (PixError, GoogleAPICallError, TimeoutError) as error:
        console.print(f"smoke: {type(error).__name__}: {error}", style="red")
        return 1
    if row is None:
        console.print(f"smoke: no score within {options.timeout:g} s", style="red")
        return 1
    for name, value in row.items():
        sys.stdout.write(f"{name:18} {value}\n")
    if options.full and row["degraded"]:
        console.print("smoke: scored, but degraded", style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
