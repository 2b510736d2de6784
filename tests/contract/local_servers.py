"""Supervised local servers and their official clients, for the contract tests."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client

from infra.local.bigquery.launch import BigQueryServer, bigquery_server
from infra.local.processes import ChildProcess, Supervisor
from infra.local.pubsub.launch import PubSubKind, PubSubServer, pubsub_server

PROJECT = "bank"
HERE = Path(__file__).parents[2]


class LocalBigQuery(NamedTuple):
    """A server of BigQuery, and its official client."""

    server: BigQueryServer
    client: bigquery.Client


@contextmanager
def local_pubsub(directory: Path, kind: PubSubKind) -> Iterator[PubSubServer]:
    """Serve Pub/Sub, with its log in the directory."""
    server = pubsub_server(directory, kind)
    with Supervisor() as supervisor:
        supervisor.start(server.child, timeout=60)
        yield server


@contextmanager
def local_bigquery(state: Path, objects: Path, persistent: bool = False) -> Iterator[LocalBigQuery]:
    """Serve BigQuery with its tables in one directory and the buckets of Cloud Storage in another."""
    server = bigquery_server(state, objects, PROJECT, persistent=persistent)
    with Supervisor() as supervisor:
        supervisor.start(server.child)
        options = {"api_endpoint": server.rest_url}
        with bigquery.Client(PROJECT, AnonymousCredentials(), client_options=options) as client:
            yield LocalBigQuery(server, client)


@contextmanager
def storage_client(root: Path, log: Path) -> Iterator[Client]:
    """Serve the directory as Cloud Storage and talk to it."""
    argv = [sys.executable, "-m", "infra.local.storage", "--root", str(root), "--port", "0"]
    with Supervisor() as supervisor:
        url = supervisor.start(ChildProcess("storage", argv, log_path=log, cwd=HERE))["url"]
        client = Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": url})
        yield client
        client.close()
