"""Fixtures that several folders of tests share."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from infra.local.environment import isolate
from jobs.cli.interruption import SIGNALS, do_nothing
from tests.slow_files import seconds

# Nothing that a shell names is reached by a test, and servers of tests are reached without a proxy.
isolate()

# Programs under nohup ignore a hangup on purpose, and their children inherit that; a handler is not inherited, so
# programs under test have the same signals however the tests were started.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, do_nothing)

# OpenMP threads that spin while they wait make small fits take seconds on a busy machine, so they sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# The duration of an example depends on the load of the machine. Continuous integration judges a change by the same
# examples each time; on a developer's machine every run tries others, and what they find is committed as an @example.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name versions of Python beside the one that runs, and a number of deliveries."""
    parser.addoption(
        "--pythons", default=f"{sys.version_info[0]}.{sys.version_info[1]}", help="staged functions run on: 3.11,3.13"
    )
    parser.addoption("--at-once", default=1_000, type=int, help="deliveries, and questions, of one Pix at once")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first; all else keeps its order. Workers take files in this order (`make test`)."""
    items.sort(key=lambda item: -seconds(item.location[0]))


@pytest.fixture
def restored_process() -> Iterator[None]:
    """Put back the environment, the signal handlers and the hook that a command sets."""
    environment, hook = dict(os.environ), sys.unraisablehook
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    yield
    os.environ.clear()
    os.environ.update(environment)
    sys.unraisablehook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def trained_bundle() -> dict[str, bytes]:
    """Return the files of a small bundle, trained on synthetic examples."""
    from shared.learning.lifecycle.retraining import retrain
    from shared.scoring.bundle import path
    from tests.unit.learning.synthetic import QUICK, Bench, request, silent

    bench = Bench()
    version = retrain(bench.services(), QUICK, request("never"), silent).version
    assert version
    folder = path(version, "")
    return {name.removeprefix(folder): blob.data for name, blob in bench.blobs.objects.items() if folder in name}
