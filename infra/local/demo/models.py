"""The models of the demo: two trainings that the gate judges, and a swap while Pix arrive.

The first model serves by hand, whatever the gate says of it. If the gate lets the second model serve, that promotion
is the swap. If not, the swap is a drill: the second model is promoted by hand, as in an exercise, and rolled back
when the stream has ended.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import msgspec
from msgspec import Struct
from rich.console import Console

from infra.local import jobs
from infra.local.cloud import LocalCloud
from infra.local.experiments import copy_card

SHORT_SEARCH = ("--trials", "6")  # a trial for each family and one more, to keep the demo short
CONTROL = (
    "--share",
    "0.2",
    "--reject-share",
    "0.5",
    "--pix-brl",
    "500",
    "--day-brl",
    "5000",
    "--month-brl",
    "50000",
    "--reason",
    "demo",
)
"""The control group of a world, which stays on in it: a share that shows some Pix among a few thousand."""
DRILL, END_OF_DRILL = "drill: swap under load", "end of drill"
SHADOW = "demo: the model of before in the shadow"


class Swap(NamedTuple):
    """A swap under load: the version that served before (None for rules alone), the one after, and if a drill."""

    before: str | None
    after: str
    is_drill: bool


class Training(Struct, frozen=True):
    """The fields of interest of the result of `jobs.retrain`."""

    outcome: str
    reasons: list[str]
    version: str | None = None
    run_id: str | None = None


class Looked(Struct, frozen=True):
    """The fields of interest of the result of `jobs.compare`."""

    outcome: str
    reasons: list[str]


class Models:
    """Trains models, and swaps them as the gate or the drill has it. `champion` is the choice of the gate."""

    def __init__(self, cloud: LocalCloud, console: Console) -> None:
        self.champion: str | None = None
        self.swap: Swap | None = None
        self._cloud = cloud
        self._console = console
        self._refused: str | None = None
        self._runs: dict[str, str] = {}

    @contextmanager
    def training(self, as_of: dt.datetime) -> Iterator[subprocess.Popen[str]]:
        """Train on the labels known at a time; the block runs beside the job. Raises JobFailed."""
        self._console.print(f"training on the labels known at {as_of:%Y-%m-%d %H:%M}")
        # A small world shows too few frauds for the gate: the first model serves by hand; the card has the verdict.
        by = "gate" if self.champion else "always"
        with self._started("retrain", "--as-of", as_of.isoformat(), "--promote", by, *SHORT_SEARCH) as job:
            yield job
            self._record(msgspec.json.decode(jobs.result("retrain", job), type=Training))

    @contextmanager
    def drill(self) -> Iterator[subprocess.Popen[str] | None]:
        """Promote the second model by hand, unless the gate did; the block runs beside the job. Raises JobFailed."""
        if self._refused is None or self.champion is None:
            yield None
            return
        self._console.print(
            f"drill: to show a swap under load, {self._refused} serves for the rest of the stream by hand; "
            f"the gate's verdict stands, and {self.champion} serves again afterwards"
        )
        with self._started("promote", self._refused, "--reason", DRILL) as job:
            yield job
            jobs.result("promote", job)
        self.swap = Swap(self.champion, self._refused, is_drill=True)

    def try_the_other(self) -> None:
        """Let the model that served before the swap score the rest of the stream in the shadow. Raises JobFailed."""
        if self.swap and self.swap.before:
            self._cloud.run_job("challenge", self.swap.before, "--shadow", "--reason", SHADOW)
            self._console.print(f"{self.swap.before} scores the rest in the shadow, and decides nothing")

    def compare(self) -> Looked | None:
        """Look at the model in the shadow, and end its test; return None without one. Raises JobFailed."""
        if self.swap is None or self.swap.before is None:
            return None
        found = msgspec.json.decode(self._cloud.run_job("compare"), type=Looked)
        self._cloud.run_job("challenge", "--stop", "--reason", "end of the stream")
        self._console.print(f"comparison: {found.outcome}, {'; '.join(found.reasons)}", markup=False)
        return found

    def end_drill(self) -> None:
        """Roll back a drill, so that the model which the gate chose serves. Raises JobFailed."""
        if self.swap and self.swap.is_drill:
            self._cloud.run_job("rollback", "--reason", END_OF_DRILL)
            self._console.print(f"end of drill: {self.champion} serves again, the choice of the gate")

    def copy_card(self) -> None:
        """Copy the model card of the champion to the top of the world."""
        if self.champion in self._runs:
            copy_card(self._cloud.home, self._runs[self.champion])

    def _started(self, name: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        return jobs.started(name, *arguments, environment=self._cloud.environment)

    def _record(self, found: Training) -> None:
        self._console.print(f"{found.outcome} {found.version or ''}: {'; '.join(found.reasons)}", markup=False)
        if found.version is None:
            return
        self._runs[found.version] = found.run_id or ""
        if found.outcome != "PROMOTED":
            self._refused = found.version
            return
        if self._cloud.functions:
            self.swap = Swap(self.champion, found.version, is_drill=False)
        self.champion, self._refused = found.version, None
