"""The work of Spark beside one machine, on a small world."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from infra.local.cloud import LocalCloud
from infra.local.home import mark
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.scoring.bundle import MANIFEST, Manifest
from tests.builders import encoded, push_body, transaction
from tests.functions.world import deliver, url

PIX = 30
CAUSE = MoveCause(dt.datetime(2026, 11, 20, tzinfo=dt.UTC), "tests", "to see")


@pytest.mark.skipif(
    find_spec("pyspark") is None or shutil.which("java") is None,
    reason="pyspark (`make spark`) and Java 17 are needed",
)
def test_both_engines_decide_and_replay_the_rows_of_a_world_alike(
    tmp_path: Path, trained_bundle: dict[str, bytes]
) -> None:
    home = tmp_path / "world"
    with LocalCloud(home, pubsub="embedded", persistent=True, state_call_seconds=30.0) as cloud:
        blobs = cloud.models()
        version = msgspec.json.decode(trained_bundle[MANIFEST], type=Manifest).version
        publish(blobs, version, trained_bundle)
        swap(blobs, read_pointer(blobs), version, CAUSE)
        cloud.start_functions()
        bodies = [
            push_body(encoded(transaction(amount=f"{n}.00", payee__account=f"44{n}"))) for n in range(1, PIX + 1)
        ]
        assert set(deliver(url(cloud, "score"), bodies)) == {204}
    mark(home)
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.spark_demo", "--home", str(home), "--only", "score", "replay"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.count(f": {PIX} rows, ") == 2  # one of each engine
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["bytes_equal"], told["replay_mismatches"]) == (True, 0)
    assert min(told["local_rows_per_s"], told["spark_rows_per_s"]) > 0
