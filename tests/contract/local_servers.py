"""What the contracts of the local servers need: a supervised server and its official client."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from infra.local.processes import ChildProcess, Supervisor

PROJECT = "bank"
HERE = Path(__file__).parents[2]


@contextmanager
def storage_client(root: Path, log: Path) -> Iterator[Client]:
    """Serve the directory as Cloud Storage and talk to it."""
    argv = [sys.executable, "-m", "infra.local.storage", "--root", str(root), "--port", "0"]
    with Supervisor() as supervisor:
        url = supervisor.start(ChildProcess("storage", argv, log_path=log, cwd=HERE))["url"]
        client = Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": url})
        yield client
        client.close()
