"""A world that stays: rows, history and the model continue at the next start, after a clean stop and after a kill."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from infra.local.cloud import LocalCloud
from shared.features.places import Place
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


def check_rows(cloud: LocalCloud, ids: list[str], version: str) -> None:
    """Check the scores in the order of their places: each has the first two of the epoch of its start."""
    rows = [tuple(row.values()) for row in ask(cloud, ROWS)]
    assert [row[:2] for row in rows] == [(each, version) for each in ids]
    places = [(Place.of(counted), Place.of(decided)) for *_, counted, decided in rows]
    assert places == [(Place(counted.epoch, 1), Place(counted.epoch, 2)) for counted, _ in places]
    assert len({counted.epoch for counted, _ in places}) == len(ids)


def test_a_world_continues_after_a_stop_and_after_a_kill(tmp_path: Path, trained_bundle: dict[str, bytes]) -> None:
    home, steps = tmp_path / "world", list[str]()
    with running(home, steps) as cloud:
        blobs = cloud.models()
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
        check_rows(cloud, [first, second], version)
        assert not any("rebuilt" in step for step in steps)
        cloud.state_server.kill()

    with running(home, steps) as cloud:
        assert any(step.startswith("history, rebuilt from 2 rows") for step in steps)
        third = score(cloud)
        check_rows(cloud, [first, second, third], version)
