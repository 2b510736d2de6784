"""The store of history stops to answer: Pix are decided without it, then find the places that it gave them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.cloud import LocalCloud
from jobs import fill, skew
from shared.contract.tables import query
from tests.builders import encoded, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import ask, deliver, led_to, url

PAYER = "4242"
ALL = ["--since", "2000-01-01", "--older-than", "0"]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path, pubsub="embedded", maturity_days=0.001) as running, led_to(running):
        running.start_functions(state_call_seconds=0.3, state_pause_seconds=0.1)
        yield running


@contextmanager
def frozen(cloud: LocalCloud) -> Iterator[None]:
    """Freeze the store until the end; calls that wait are then answered to nobody."""
    os.killpg(cloud.state_server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(cloud.state_server.pid, signal.SIGCONT)


def scored(cloud: LocalCloud, count: int) -> list[Any]:
    messages = [transaction(payer__account=PAYER) for _ in range(count)]
    assert set(deliver(url(cloud, "score"), [push_body(encoded(each)) for each in messages])) == {204}
    return scores(cloud, messages)


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_after_a_store_that_was_frozen_every_row_has_its_place(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    scored(cloud, 10)
    with frozen(cloud):
        blind = scored(cloud, 10)
    assert {row.history_sequence for row in blind} == {None}
    after = scored(cloud, 10)
    assert fill.main(ALL) == 0
    filled = result(capsys)
    assert (filled["outcome"], filled["left"]) == ("FILLED", 0)
    assert filled["decisions"] >= len(blind)
    assert fill.main(ALL) == 0
    assert result(capsys)["outcome"] == "NOTHING_TO_FILL"
    assert skew.main(["--all"]) == 0
    found = result(capsys)
    assert (found["outcome"], found["compared"], found["skipped"]["without_history"]) == ("EQUAL", 30, 0)
    assert found["gaps"]["transactions"] == 0
    assert len(after) == 10
    project, dataset = cloud.settings.project, cloud.settings.dataset
    examples = query("training_examples", project, dataset, 0.001, "CURRENT_TIMESTAMP()")
    (taught,) = ask(cloud, f"SELECT COUNT(*) AS n, COUNT(f_payer_asked_7d) AS counted FROM ({examples}) AS examples")
    (approved,) = ask(cloud, "SELECT COUNT(*) AS n FROM pix.scores WHERE decision = 'APPROVE'")
    assert taught.n == taught.counted
    assert taught.n >= approved.n
