"""Two instances of the score function with clocks apart, behind one address."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from infra.local.cloud import FUNCTIONS, ROOT, LocalCloud
from infra.local.loopback import LOOPBACK, free_port
from infra.local.processes import ChildProcess, Supervisor, answers_http, answers_tcp
from infra.local.provision import create_subscription
from shared.contract.topics import TRANSACTIONS
from tests.benchmarks.faults.clock import with_clock
from tests.benchmarks.faults.disk import FaultFailed

PATIENCE = 120.0


class Instances:
    """The functions of a local cloud, with a second score function whose clock is behind; a context that owns it."""

    def __init__(self, cloud: LocalCloud, behind: float) -> None:
        """The clock of the second score function is `behind` by so many seconds."""
        self._cloud = cloud
        self._behind = behind
        self._port, self._second_port = free_port(), free_port()
        self._supervisor = Supervisor()
        self._second: ChildProcess | None = None

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.__exit__(kind, error, trace)

    def subscribe(self, attempts: int) -> None:
        """Create the subscriptions, before the functions are started; messages die after so many attempts."""
        for name, topic in FUNCTIONS.items():
            url = f"http://{LOOPBACK}:{self._port}/" if topic == TRANSACTIONS else self._cloud.address(name)
            project, kind = self._cloud.settings.project, self._cloud.pubsub_kind
            create_subscription(project, name, topic, url, kind, attempts)

    def start(self) -> None:
        """Start the second score function like the first one, and the balancer of both."""
        first, cloud = self._cloud.functions["score"], self._cloud
        command = [str(self._second_port) if each == str(cloud.ports.score) else each for each in first.argv]
        self._second = ChildProcess(
            "score behind",
            with_clock(command, -self._behind),
            log_path=cloud.home / "score-behind.log",
            ready=answers_http(f"http://{LOOPBACK}:{self._second_port}/"),
            env=first.env,
            cwd=ROOT,
            restart=True,
        )
        ports = map(str, (self._port, cloud.ports.score, self._second_port))
        balancer = ChildProcess(
            "balancer",
            [sys.executable, "-m", "tests.benchmarks.faults.balancer", *ports],
            log_path=cloud.home / "balancer.log",
            ready=answers_tcp(self._port),
            cwd=ROOT,
        )
        for child in (self._second, balancer):
            self._supervisor.start(child)

    @property
    def score(self) -> list[ChildProcess]:
        """Return the instances of the score function."""
        return [self._cloud.functions["score"], *([self._second] if self._second else [])]

    def put_ahead(self, seconds: float) -> None:
        """Restart all functions with clocks that are ahead by so many seconds more. Raises FaultFailed."""
        children = [*self.score, self._cloud.functions["outcome"], self._cloud.functions["label"]]
        for child in children:
            child.argv = with_clock(child.argv, seconds)
        before = [child.restarts for child in children]
        for child in children:
            child.kill()
        give_up = time.monotonic() + PATIENCE
        while any(child.restarts == known for child, known in zip(children, before, strict=True)):
            if time.monotonic() > give_up:
                raise FaultFailed("the functions do not come back with another clock")
            time.sleep(0.1)
        for child in children:
            child.wait_ready()
