"""The filling of places in history with its progress, for the jobs that run it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

from jobs.cli import console, history_wiring, wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from jobs.cli.history_wiring import Placed


def filled(settings: Settings, since: dt.datetime, until: dt.datetime, rows: int, late_seconds: float) -> Placed:
    """Find the places that rows lack of at most `rows` Pix initiated since a moment and scored before another one.

    Then count at most as many late outcomes, once one of them has waited for `late_seconds`. Raises Unavailable,
    Misconfigured.
    """
    from shared.ports.late import LatePeriod
    from shared.ports.places import UnplacedPeriod

    now = wiring.now()
    late = LatePeriod(now - dt.timedelta(days=settings.state_message_days), now, late_seconds)
    with console.bar() as progress:
        task = progress.add_task("fill", total=None)
        work = history_wiring.filled(
            settings, UnplacedPeriod(since, until), late, rows, lambda count: progress.advance(task, count)
        )
        return asyncio.run(work)
