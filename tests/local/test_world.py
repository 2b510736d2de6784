"""A world that stays: rows, history and the model continue at the next start, after a clean stop and after a kill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from infra.local.cloud import LocalCloud
from shared.adapters.gcs import GcsBlobs
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.scoring.bundle import MANIFEST, Manifest
from tests.builders import encoded, push_body, transaction
from tests.functions.world import ask, deliver, url

CAUSE = MoveCause(dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "tests", "to see")
ROWS = (
    "SELECT end_to_end_id, model_version, history_sequence, decided_sequence "
    "FROM pix.scores ORDER BY history_sequence"
)


@contextmanager
def running(home: Path, steps: list[str]) -> Iterator[LocalCloud]:
    """Run the world with patience for a busy machine; `steps` receives the steps of its start."""
    with LocalCloud(home, pubsub="embedded", on_step=steps.append, persistent=True, state_call_seconds=30.0) as cloud:
        cloud.start_functions()
        yield cloud


def score(cloud: LocalCloud) -> str:
    """Deliver a Pix of one payer and return its id."""
    message = transaction()
    assert deliver(url(cloud, "score"), [push_body(encoded(message))]) == [204]
    return str(message["end_to_end_id"])


def rows(cloud: LocalCloud) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in ask(cloud, ROWS)]


def test_a_world_continues_after_a_stop_and_after_a_kill(tmp_path: Path, trained_bundle: dict[str, bytes]) -> None:
    home, steps = tmp_path / "world", list[str]()
    with running(home, steps) as cloud:
        blobs = GcsBlobs.connect(cloud.settings.project, cloud.settings.bucket)
        version = msgspec.json.decode(trained_bundle[MANIFEST], type=Manifest).version
        publish(blobs, version, trained_bundle)
        swap(blobs, read_pointer(blobs), version, CAUSE)
        cloud.functions["score"].kill()  # the next one starts with the model
        cloud.functions["score"].wait_ready()
        first = score(cloud)

    with running(home, steps) as cloud:
        assert cloud.champion() == version
        assert cloud.scored() == 1
        second = score(cloud)
        assert rows(cloud) == [(first, version, 1, 2), (second, version, 3, 4)]
        assert not any("rebuilt" in step for step in steps)
        cloud.state_server.kill()

    with running(home, steps) as cloud:
        assert any(step.startswith("history, rebuilt from 2 rows") for step in steps)
        third = score(cloud)
        assert rows(cloud) == [(first, version, 1, 2), (second, version, 3, 4), (third, version, 5, 6)]
