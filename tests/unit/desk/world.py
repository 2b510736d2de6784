"""A desk over twins in memory, with a clock of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Coroutine
from typing import Any, TypeVar

from shared.adapters.memory.desk import MemoryCaseLocks, MemoryDeskRows, MemorySurroundings, MemoryVerdicts
from shared.adapters.memory.serving import MemoryTable
from shared.adapters.memory.watch import MemoryWatch
from shared.contract.fields import Verdict
from shared.contract.rows import ReviewRow
from shared.desk.desk import Desk
from shared.desk.keyed import DeskKey
from shared.desk.open_case import Judgement
from shared.desk.records import CaseId, HeldPix
from shared.desk.roles import DeskRole, User
from shared.desk.settings import DeskSettings

Value = TypeVar("Value")

NOW = dt.datetime(2026, 11, 20, 15, 0, tzinfo=dt.UTC)
ANA, BIA = User("ana@bank.example", "a" * 32, DeskRole.ANALYST), User("bia@bank.example", "b" * 32, DeskRole.ANALYST)
RUI = User("rui@bank.example", "c" * 32, DeskRole.RISK)
SOL = User("sol@bank.example", "d" * 32, DeskRole.SUPERVISOR)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    return asyncio.run(work)


def held(number: int = 1, **changes: Any) -> HeldPix:
    """Return a held Pix of R$ 100.00 with half a chance of fraud."""
    values: dict[str, Any] = {
        "end_to_end_id": f"E12345678202611201432{number:011d}",
        "side": "PAYER",
        "initiated_at": NOW - dt.timedelta(minutes=5),
        "scored_at": NOW - dt.timedelta(minutes=5),
        "amount": 10_000,
        "payer_id": "1" * 32,
        "payee_id": "2" * 32,
        "decision": "HOLD",
        "score": 0.5,
        "hold_until": NOW + dt.timedelta(minutes=25),
        "reasons": ("NEW_PAYEE",),
    }
    return HeldPix(**(values | changes))


class World:
    """A desk, its twins and its clock."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.table = MemoryTable()
        self.rows = MemoryDeskRows(self.table)
        self.surroundings = MemorySurroundings()
        self.watch = MemoryWatch()
        self.locks = MemoryCaseLocks(lambda: self.now)
        self.verdicts = MemoryVerdicts()
        self.key = DeskKey(b"k" * 32)
        given: dict[str, Any] = {"user": ANA.name, "second_share": 0.0} | settings
        self.settings = DeskSettings(**given)
        self.parts = (self.rows, self.table, self.locks, self.verdicts, self.key, self.settings)
        self.desk = Desk(*self.parts, lambda: self.now)

    def later(self, **time: float) -> None:
        """Move the clock."""
        self.now += dt.timedelta(**time)

    def queue(self, user: User = ANA) -> list[CaseId]:
        """Return the cases in the queue of a user."""
        return [entry.pix.case for entry in run(self.desk.queue(user))]

    def token(self, case: CaseId, user: User = ANA) -> str:
        """Return the token of a new form."""
        return self.key.token(user.name, case.text)

    def take(self, case: CaseId, user: User = ANA) -> None:
        """Take a case."""
        run(self.desk.take(case, user, self.token(case, user)))

    def judge(self, case: CaseId, user: User = ANA, verdict: Verdict = Verdict.FRAUD, **changes: str) -> None:
        """Judge a case by the page as it is now."""
        opened = run(self.desk.case(case, user))
        assert opened
        values = {"reason": "MULE", "note": "", "token": self.token(case, user), "seen": opened.version} | changes
        run(self.desk.judge(case, user, Judgement(verdict, **values)))

    def version(self, case: CaseId, user: User) -> str:
        """Return the id of the verdict that a user's page shows."""
        opened = run(self.desk.case(case, user))
        assert opened
        return opened.version

    def answer(self, case: CaseId, user: User, agrees: bool = True, seen: str | None = None) -> None:
        """Answer to the verdict of another person, by the page as it is now unless by one of before."""
        shown = self.version(case, user) if seen is None else seen
        run(self.desk.answer(case, user, agrees, self.token(case, user), shown))

    def events(self) -> list[tuple[str, str | None]]:
        """Return event and verdict of each row."""
        return [(row.event, row.verdict) for row in self.table.rows if isinstance(row, ReviewRow)]
