"""Faults of the store of history: it is lost, frozen, away, or fails over."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from redis import Redis

from infra.local.cloud import LocalCloud
from shared.batched import batched
from shared.contract.tables import timestamp
from tests.benchmarks.faults.on_call import OnCall
from tests.benchmarks.faults.replica import Replica
from tests.benchmarks.faults.scale import Scale

EVENT_HOURS = 1.0
"""Event time of Pix that are scored during the long outage, at least."""
_KEYS = 1_000
_EPOCHS = (
    "(SELECT MAX(MOD(place, 4294967296)) AS largest, COUNT(DISTINCT place) AS places FROM ("
    "SELECT history_sequence AS place FROM pix.score_events "
    "UNION ALL SELECT decided_sequence FROM pix.score_events "
    "UNION ALL SELECT history_sequence FROM pix.fills "
    "UNION ALL SELECT decided_sequence FROM pix.fills "
    "UNION ALL SELECT history_sequence FROM pix.outcomes "
    "UNION ALL SELECT history_sequence FROM pix.feedback) AS counted "
    "WHERE place IS NOT NULL GROUP BY DIV(place, 4294967296)) AS epochs"
)
"""Every change of history has a place in one order over the tables, numbered from 1 in each epoch."""


class StoreFaults:
    """The faults of the store of one local cloud."""

    def __init__(self, cloud: LocalCloud, on_call: OnCall, scale: Scale, look: Callable[[], None]) -> None:
        """`look` compares pix.scores; it is called at moments when a decision could change."""
        self._cloud, self._on_call, self._scale, self._look = cloud, on_call, scale, look

    def lose(self) -> None:
        """Restart the store empty, score without it for a while, then rebuild it like an operator.

        Before the restart, wait until every place has its row, apart from those in flight. If the function had been
        killed just before, the transactions it had counted without a row would be gaps in jobs.skew.
        """
        store = self._cloud.state_server
        self._on_call.mend()
        self._on_call.wait(self._every_sequence_number_has_its_row, "a row for every place in history")
        store.stop(grace=0)
        time.sleep(1.0)
        store.start()
        store.wait_ready()
        with self._on_call.fault("history is empty", self._scale.blind):
            pass
        self._look()
        self._on_call.mend()

    def freeze(self) -> None:
        """Freeze the store for a moment: calls time out, and are counted all the same when it wakes."""
        for _ in range(2):
            with self._stopped("history is frozen", self._scale.frozen):
                pass
            time.sleep(self._scale.frozen)

    def stop(self) -> None:
        """Take the store away for longer than the functions wait for it; then find the places of what it missed.

        It comes back some seconds after Pix of EVENT_HOURS were scored without it.
        """
        began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self._scale.clocks_apart)
        with self._stopped("history is away", self._scale.gone):
            self._on_call.wait(
                lambda: self._hours_missed(began) >= EVENT_HOURS, "Pix that are scored without history"
            )
        self._look()
        self._on_call.mend()
        self._on_call.log(f"history missed {self._hours_missed(began):.1f} h of event time")

    def _hours_missed(self, since: dt.datetime) -> float:
        """Return the event time of the Pix that were scored without history since a moment, in hours."""
        missed = f"pix.score_events WHERE history_sequence IS NULL AND scored_at >= {timestamp(since)}"
        seconds = self._on_call.query("TIMESTAMP_DIFF(MAX(initiated_at), MIN(initiated_at), SECOND)", missed)
        return (seconds or 0) / 3_600

    def fail_over(self) -> None:
        """Kill the store and go on from a replica that lacks its last changes."""
        store = self._cloud.state_server
        with Replica(self._cloud.settings.state, self._cloud.home / "replica") as replica:
            replica.follow()
            replica.leave()
            time.sleep(self._scale.behind)
            store.stop(grace=0)
            replica.take_over()
        store.start()
        store.wait_ready()
        self._on_call.log("history has failed over")
        self._look()
        self._on_call.mend()

    def age(self, seconds: float) -> None:
        """Let every key be so many seconds older: what would have expired in that time is gone."""
        with Redis.from_url(self._cloud.settings.state) as store:
            for keys in batched(store.scan_iter(count=_KEYS), _KEYS):
                with store.pipeline(transaction=False) as left:
                    for key in keys:
                        left.pttl(key)
                    lives = cast("list[int]", left.execute())
                with store.pipeline(transaction=False) as aged:
                    for key, milliseconds in zip(keys, lives, strict=True):
                        if milliseconds >= 0:
                            aged.pexpire(key, milliseconds - round(1e3 * seconds))
                    aged.execute()

    def _every_sequence_number_has_its_row(self) -> bool:
        return bool(self._on_call.query("COALESCE(LOGICAL_AND(largest = places), TRUE)", _EPOCHS))

    @contextmanager
    def _stopped(self, name: str, seconds: float) -> Iterator[None]:
        """Stop the process of the store for a while, and let it continue as it was."""
        store = self._cloud.state_server
        os.kill(store.pid, signal.SIGSTOP)
        try:
            with self._on_call.fault(name, seconds):
                yield
        finally:
            os.kill(store.pid, signal.SIGCONT)
