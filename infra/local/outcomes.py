"""Outcomes that wait for the decision on their Pix.

An event file, or the simulator, tells the fate of each Pix as if nothing stood in its way. Here a decision may, so an
outcome is published once its Pix is decided, and fits the decision: a rejected Pix never settles.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self

from google.cloud import bigquery

Message = dict[str, Any]
Publish = Callable[[Sequence[Message]], None]
"""Publishes messages, and returns once Pub/Sub has them."""

HELD_AND_CANCELLED = 0.5
"""Share of held Pix that the payer cancels when asked again; an assumption."""
LOOK_SECONDS = 1.0
"""Pause between two looks at the decisions; the local BigQuery blocks appends during a query."""
IDS_MAX = 2_000
"""Pix in a query, at most."""
REMEMBERED_MAX = 1_000_000
"""Pix whose later outcomes can still be fitted; the oldest is forgotten first."""
_STRICTER = ("APPROVE", "BLOCK", "HOLD", "REJECT")
_REFUSALS = frozenset({"REJECTED", "EXPIRED", "CANCELLED"})


class Decided(NamedTuple):
    """A decision of one side about a Pix."""

    end_to_end_id: str
    side: str
    decision: str


Ask = Callable[[Sequence[str]], Iterable[Decided]]
"""Returns the decisions about Pix, as far as they are stored."""


def fitted(decision: str, outcome: Message) -> list[Message]:
    """Return the outcomes to publish in the place of one, after a decision.

    A rejected Pix is told as rejected, a held one as cancelled or as it was, and a blocked one also as blocked.

    >>> settled = {"end_to_end_id": "E1", "status": "SETTLED", "at": "2026-11-20T14:32:06Z"}
    >>> [each["status"] for each in fitted("REJECT", settled)]
    ['REJECTED']
    >>> [each["status"] for each in fitted("BLOCK", settled)]
    ['SETTLED', 'BLOCKED']
    """
    if decision == "REJECT":
        return _instead(outcome, "REJECTED")
    if decision == "HOLD" and _is_cancelled(outcome["end_to_end_id"]):
        return _instead(outcome, "CANCELLED")
    if decision == "BLOCK" and outcome["status"] == "SETTLED":
        return [outcome, _as(outcome, "BLOCKED", "PAYEE")]
    return [outcome]


def _instead(outcome: Message, refusal: str) -> list[Message]:
    """Return an outcome that stands, or the refusal in the place of a settlement; what follows one never happens."""
    if outcome["status"] in _REFUSALS:
        return [outcome]
    return [_as(outcome, refusal, outcome.get("side", "PAYER"))] if outcome["status"] == "SETTLED" else []


def _as(outcome: Message, status: str, side: str) -> Message:
    return {name: outcome[name] for name in ("end_to_end_id", "at")} | {"status": status, "side": side}


def _is_cancelled(end_to_end_id: str) -> bool:
    return zlib.crc32(end_to_end_id.encode()) < HELD_AND_CANCELLED * 2**32


class HeldOutcomes:
    """Outcomes by Pix, each held until every side that was asked has decided. The strictest decision counts."""

    def __init__(self) -> None:
        self._asked: dict[str, set[str]] = {}
        self._decided: dict[str, str] = {}
        self._held: dict[str, list[Message]] = {}
        self._ready: list[Message] = []

    def ask(self, end_to_end_id: str, side: str) -> None:
        """Record a published Pix."""
        self._asked.setdefault(end_to_end_id, set()).add(side)
        while len(self._asked) > REMEMBERED_MAX:
            oldest = next(iter(self._asked))
            for of in (self._asked, self._decided, self._held):
                of.pop(oldest, None)

    def hold(self, outcome: Message) -> None:
        """Take an outcome; one of a Pix that was not published here stays as it is."""
        id_ = outcome["end_to_end_id"]
        if id_ not in self._asked:
            self._ready.append(outcome)
        elif id_ in self._decided:
            self._ready += fitted(self._decided[id_], outcome)
        else:
            self._held.setdefault(id_, []).append(outcome)

    def waiting(self, most: int | None = None) -> list[str]:
        """Return the Pix whose outcomes are held, at most so many of the oldest."""
        return list(self._held)[:most]

    def decide(self, found: Iterable[Decided]) -> None:
        """Release the outcomes of Pix that all sides have decided."""
        by_id: dict[str, dict[str, str]] = {}
        for each in found:
            by_id.setdefault(each.end_to_end_id, {}).setdefault(each.side, each.decision)
        for id_, decisions in by_id.items():
            if id_ in self._held and self._asked[id_] <= set(decisions):
                self._decided[id_] = max(decisions.values(), key=_STRICTER.index)
                for outcome in self._held.pop(id_):
                    self.hold(outcome)

    def take(self) -> list[Message]:
        """Return the released outcomes, and forget them."""
        ready, self._ready = self._ready, []
        return ready


class OutcomePublisher:
    """A context in which held outcomes are published as their Pix are decided, from a thread of its own."""

    def __init__(self, ask: Ask, publish: Publish) -> None:
        self._ask, self._publish = ask, publish
        self._held = HeldOutcomes()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="outcomes")

    def __enter__(self) -> Self:
        self._looking = self._executor.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._executor.shutdown()
        if error is None:
            self._looking.result()

    def asked(self, end_to_end_id: str, side: str) -> None:
        """Record a published Pix."""
        with self._lock:
            self._held.ask(end_to_end_id, side)

    def hold(self, outcome: Message) -> None:
        """Take an outcome, to be published when it is time."""
        with self._lock:
            self._held.hold(outcome)

    def waiting(self) -> int:
        """Return the number of Pix whose outcomes wait. Raises the error that ended the thread, if any."""
        if self._looking.done():
            self._looking.result()
        with self._lock:
            return len(self._held.waiting())

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        with self._lock:
            ids = self._held.waiting(IDS_MAX)
        found = list(self._ask(ids)) if ids else []
        with self._lock:
            self._held.decide(found)
            ready = self._held.take()
        self._publish(ready)


def stored_decisions(client: bigquery.Client, dataset: str) -> Ask:
    """Return the query of the decisions in BigQuery; the first of each side comes first."""
    sql = (
        f"SELECT end_to_end_id, side, decision FROM {dataset}.score_events "  # noqa: S608 (dataset of our own)
        "WHERE end_to_end_id IN UNNEST(@ids) ORDER BY scored_at"
    )

    def ask(ids: Sequence[str]) -> Iterable[Decided]:
        parameters = [bigquery.ArrayQueryParameter("ids", "STRING", list(ids))]
        config = bigquery.QueryJobConfig(query_parameters=parameters)
        for row in client.query(sql, job_config=config).result(timeout=120):
            yield Decided(row.end_to_end_id, row.side, row.decision)

    return ask
