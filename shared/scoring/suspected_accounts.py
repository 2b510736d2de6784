"""Accounts under a well-founded suspicion of fraud, to which every Pix is rejected.

An institution that finds such a suspicion about an account must reject transactions to it before settlement (Res. BCB
142/2021, art. 2-A, as given by Res. BCB 501/2025). The register `pix.suspicions` is the record of its findings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shared.contract.event import micros
from shared.contract.rows import SuspicionRow
from shared.contract.suspicion import suspicions
from shared.errors import PixError
from shared.scoring.rules import Decision, FiredRules
from shared.telemetry.incidents import Incident
from shared.telemetry.metrics import SUSPICIONS, Metrics

log = logging.getLogger(__name__)

CODE = "PAYEE_UNDER_SUSPICION"
"""Reason of the rejection, also that of rules in `rules.yaml`."""
READ_SECONDS = 60.0
"""Age of a reading from which the register is read again."""
STALE_SECONDS = 300.0
"""Age of a reading from which a batch waits for the next one: the instance has just started, or was idle."""
WAIT_SECONDS = 2.0
"""Time that a batch waits for a reading, at most."""


class SuspectedAccounts:
    """The accounts of the register, which `read` returns; batches start the readings, in a thread.

    Without an answer the last reading counts, with one line in the log: a known suspicion stays. An instance that
    never had one rejects nobody by the register; alerts go by the readings that fail.
    """

    def __init__(
        self, read: Callable[[], Sequence[SuspicionRow]], clock: Callable[[], float], metrics: Metrics
    ) -> None:
        self._read = read
        self._clock = clock
        self._metrics = metrics
        self._ends: Mapping[str, int] = {}
        """The end of the suspicion in microseconds, by account."""
        self._tried_at = -float("inf")
        self._reading: asyncio.Task[None] | None = None
        self._away = Incident(log, "register of suspicions unavailable", clock)

    async def rejected(self, fired: FiredRules, payee_ids: Sequence[str], now: int) -> FiredRules:
        """Return fired rules, with that of each Pix [n] whose payee is under suspicion at `now`, in microseconds."""
        ends = await self._latest()
        under = [i for i, payee in enumerate(payee_ids) if now < ends.get(payee, now)] if ends else []
        if not under:
            return fired
        severity, codes = fired.severity.copy(), list(fired.codes)
        severity[under] = np.int8(Decision.REJECT)
        for i in under:
            codes[i] = (*(code for code in codes[i] if code != CODE), CODE)
        return FiredRules(severity, codes)

    async def _latest(self) -> Mapping[str, int]:
        age = self._clock() - self._tried_at
        if self._reading is None and age >= READ_SECONDS:
            self._reading = asyncio.create_task(self._read_aside())
        if self._reading is not None and age >= STALE_SECONDS:
            await asyncio.wait({self._reading}, timeout=WAIT_SECONDS)
            self._tried_at = self._clock()
        return self._ends

    async def _read_aside(self) -> None:
        try:
            self._ends = _ends(await asyncio.to_thread(self._read))
        except PixError as error:
            self._metrics.add(SUSPICIONS, 1, "failed")
            self._away.trigger(reason=str(error))
        else:
            self._metrics.add(SUSPICIONS, 1, "answered")
            self._away.resolve()
        finally:
            self._tried_at, self._reading = self._clock(), None


def _ends(rows: Sequence[SuspicionRow]) -> dict[str, int]:
    """Return the latest end of the suspicions about each account that are not lifted, in microseconds."""
    ends: dict[str, int] = {}
    for each in suspicions(rows):
        if each.lifted is None:
            account = each.opened.account_id
            ends[account] = max(micros(each.expires_at), ends.get(account, 0))
    return ends
