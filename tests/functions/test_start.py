"""An instance whose bucket or store accepts connections and never answers is not ready, and starts once they do."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from infra.local.cloud import LocalCloud
from infra.local.processes import ChildProcess
from tests.builders import encoded, push_body, transaction
from tests.functions.instance import Instance
from tests.functions.test_score import scores
from tests.functions.world import deliver
from tests.waiting import until

SILENT = {"bucket": ["storage_server"], "history": ["state_server"], "both": ["storage_server", "state_server"]}


@contextmanager
def silent(servers: list[ChildProcess]) -> Iterator[None]:
    """Stop the processes: the kernel still accepts connections for them."""
    for server in servers:
        os.killpg(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGCONT)


@contextmanager
def instance(cloud: LocalCloud, folder: Path, status: int, **settings: str) -> Iterator[Instance]:
    """Run the score function, from its first answer `status` to a probe."""
    running = Instance(cloud, folder / "score.log", settings=settings, status=status)
    try:
        yield running
    finally:
        running.kill()


@pytest.mark.parametrize("part", SILENT)
def test_an_instance_is_ready_once_bucket_and_store_have_answered(
    cloud: LocalCloud, tmp_path: Path, part: str
) -> None:
    with ExitStack() as stack:
        with silent([getattr(cloud, name) for name in SILENT[part]]):
            score = stack.enter_context(instance(cloud, tmp_path, 503))
        until(lambda: score.probed() == 200)
        message = transaction()
        assert deliver(score.address, [push_body(encoded(message))]) == [204]
        (row,) = scores(cloud, [message])
        assert row.history_sequence is not None
        assert not score.logged("started without")


def test_an_outage_delays_the_start_for_a_time_only(cloud: LocalCloud, tmp_path: Path) -> None:
    with (
        silent([getattr(cloud, name) for name in SILENT["both"]]),
        instance(cloud, tmp_path, 200, PIX_START_SECONDS="0.5") as score,
    ):
        assert score.logged("started without")
