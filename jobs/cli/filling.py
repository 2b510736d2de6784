"""The filling of places in history with its progress, for the jobs that run it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING

from jobs.cli import console, history_wiring
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.operations.filling import Filled


def filled(settings: Settings, since: dt.datetime, until: dt.datetime, rows: int) -> Filled:
    """Find the places that rows lack of at most `rows` Pix initiated since a moment and scored before another one.

    Raises Unavailable, Misconfigured.
    """
    from shared.ports import UnplacedPeriod

    with console.bar() as progress:
        task = progress.add_task("fill", total=None)
        window = UnplacedPeriod(since, until)
        return asyncio.run(history_wiring.filled(settings, window, rows, lambda count: progress.advance(task, count)))
