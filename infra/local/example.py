"""Publish one Pix to the local cloud and read its score, with Google's own client libraries.

Run it in a shell that has the variables that `make up` prints.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import sys
import time
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.pubsub_v1 import PublisherClient

WAIT_SECONDS = 20.0
QUERY = "SELECT * EXCEPT (features) FROM pix.scores WHERE end_to_end_id = @id"


def transaction() -> dict[str, Any]:
    """Return a Pix of this moment, from one invented person to another."""
    now = dt.datetime.now(dt.UTC)
    return {
        "end_to_end_id": f"E12345678{now:%Y%m%d%H%M}{secrets.token_hex(6)[:11]}",
        "initiated_at": now.isoformat(),
        "amount": "150.00",
        "initiation_form": "DICT",
        "payer": {"tax_id": "12345678909", "ispb": "12345678", "branch": "0001", "account": "1234567"},
        "payee": {"ispb": "87654321", "account": "7654321", "key": "+5511999999999", "key_type": "PHONE"},
        "device": {"id": "example", "registered_at": "2024-01-02T00:00:00Z"},
    }


def main() -> int:
    """Publish, wait for the row, print it; return the exit status."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project or "PUBSUB_EMULATOR_HOST" not in os.environ:
        print("first paste the export lines that `make up` prints into this shell", file=sys.stderr)  # noqa: T201
        return 2
    message = transaction()
    publisher = PublisherClient()
    publisher.publish(publisher.topic_path(project, "pix-transactions"), json.dumps(message).encode()).result(10)
    client = bigquery.Client(project=project, credentials=AnonymousCredentials())
    config = bigquery.QueryJobConfig(
        query_parameters=[bigquery.ScalarQueryParameter("id", "STRING", message["end_to_end_id"])]
    )
    give_up = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up:
        for row in client.query(QUERY, job_config=config).result(timeout=WAIT_SECONDS):
            for name, value in row.items():
                print(f"{name:18} {value}")  # noqa: T201
            return 0
        time.sleep(0.2)
    print(f"no score within {WAIT_SECONDS:g} s; see the logs that `make up` names", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
