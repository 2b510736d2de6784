"""A new project: a repair opens the store of history."""

import json
from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud
from jobs import repair
from shared.features.places import Place
from tests.builders import encoded, push_body, transaction
from tests.functions.test_score import scores
from tests.functions.world import deliver, led_to, url


def test_a_repair_over_empty_tables_opens_a_new_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LocalCloud(tmp_path, pubsub="embedded", state_pause_seconds=0.1) as cloud, led_to(cloud):
        cloud.state_server.stop(grace=0)
        cloud.state_server.start()
        cloud.state_server.wait_ready()
        assert repair.main(["--settle", "0"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["outcome"], result["rebuilt"]["transactions"]) == ("REBUILT", 0)
        cloud.start_functions()
        first = transaction()
        assert deliver(url(cloud, "score"), [push_body(encoded(first))]) == [204]
        (row,) = scores(cloud, [first])
        assert Place.of(row.history_sequence).number == 1
