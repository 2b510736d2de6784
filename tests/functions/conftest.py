"""A local cloud with both functions, shared by the tests of this folder; every test uses ids of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    home: Path = tmp_path_factory.mktemp("cloud")
    with LocalCloud(home, pubsub="embedded", pointer_ttl_seconds=0.2, append_timeout_seconds=2.0) as running:
        running.start_functions()
        yield running
