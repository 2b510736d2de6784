"""In-memory twins of the adapters of the functions: tables, lookups, blobs and metrics."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from shared.contract.decision import Decided
from shared.contract.end_to_end_id import minute_of
from shared.contract.event import Event, micros
from shared.contract.rows import Record, ScoreRow
from shared.contract.transaction import ID_TOLERANCE
from shared.errors import PreconditionFailed, Unavailable
from shared.ports.blobs import Blob, Listed
from shared.ports.decisions import Parties, Sought, StoredDecision
from shared.telemetry.metrics import Series


class MemoryTable:
    """`shared.ports.tables.Table` over a list; `away` makes it unavailable, it refuses rows that meet `refuses`."""

    def __init__(self) -> None:
        self.rows: list[Record] = []
        self.away = False
        self.refuses: Callable[[Record], bool] = lambda _: False

    async def append(self, rows: Sequence[Record]) -> list[int]:
        """Append rows, except those that it refuses. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the table is away")
        refused = [i for i, row in enumerate(rows) if self.refuses(row)]
        self.rows += [row for i, row in enumerate(rows) if i not in refused]
        return refused


class MemoryLookup:
    """`shared.ports.decisions.Lookup` over dicts: parties by Pix, Pix by report; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.known: dict[str, Parties] = {}
        self.reports: dict[str, frozenset[str]] = {}
        self.away = False

    async def parties(self, end_to_end_ids: Collection[str]) -> Mapping[str, Parties]:
        """Return the parties of each transaction that is known. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the scored transactions are away")
        return {id_: self.known[id_] for id_ in end_to_end_ids if id_ in self.known}

    async def reported(self, report_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the Pix of each infraction report that is known. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the stored reports are away")
        return {id_: self.reports[id_] for id_ in report_ids if id_ in self.reports}


class MemoryBlobs:
    """`shared.ports.blobs.Blobs` and `Shelf` over a dict, safe for threads; `away` makes it unavailable."""

    def __init__(self, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self.objects: dict[str, Blob] = {}
        self.updated_at: dict[str, dt.datetime] = {}
        self._clock = clock
        self.away = False
        self._lock = threading.Lock()
        self._generation = 0

    def read(self, name: str) -> Blob | None:
        """Return the object, or None. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        return self.objects.get(name)

    def listed(self, prefix: str) -> list[Listed]:
        """Return the objects under `prefix`, by name. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        return [Listed(name, self.updated_at[name]) for name in sorted(self.objects) if name.startswith(prefix)]

    def delete(self, prefix: str) -> None:
        """Delete the objects under `prefix`. Raises Unavailable while away."""
        for name, _ in self.listed(prefix):
            with self._lock:
                self.objects.pop(name, None)

    def write(self, name: str, data: bytes, if_generation: int) -> int:
        """Write the object if it still is at `if_generation`. Raises PreconditionFailed, Unavailable while away."""
        if self.away:
            raise Unavailable("the bucket is away")
        with self._lock:
            present = self.objects.get(name)
            if (present.generation if present else 0) != if_generation:
                raise PreconditionFailed(f"{name} is not at generation {if_generation}")
            self._generation += 1
            self.objects[name] = Blob(data, self._generation)
            self.updated_at[name] = self._clock()
            return self._generation


class MemoryExporter:
    """`shared.ports.messages.MetricsExporter` that keeps each export; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.exports: list[list[Series]] = []
        self.away = False

    def export(self, series: Sequence[Series]) -> None:
        """Keep the series. Raises Unavailable while away."""
        if self.away:
            raise Unavailable("the collector is away")
        self.exports.append(list(series))


class MemoryDecisions:
    """`shared.ports.decisions.DecisionLookup` over the rows of a MemoryTable; `away` makes it unavailable."""

    def __init__(self, table: MemoryTable) -> None:
        self._table = table
        self.away = False

        self.asked = 0
        """Calls so far."""

    async def decisions(self, sought: Sequence[Sought]) -> list[StoredDecision | None]:
        """Return the first decision of each, None if there is none. Raises Unavailable while away."""
        self.asked += 1
        if self.away:
            raise Unavailable("the decisions are away")
        return [self._decision(each) for each in sought]

    def _decision(self, sought: Sought) -> StoredDecision | None:
        for row in self._table.rows:
            if isinstance(row, ScoreRow) and _is_near(row.event, *sought):
                event = row.event
                return StoredDecision(
                    Decided.of(row), event.amount, event.payer_id, event.payee_id, row.hmac_key_version
                )
        return None


def _is_near(event: Event, end_to_end_id: str, side: str, initiated_at: int | None) -> bool:
    minute = minute_of(end_to_end_id)
    near = minute is not None and abs(event.initiated_at - micros(minute)) <= ID_TOLERANCE / dt.timedelta(
        microseconds=1
    )
    return (event.end_to_end_id, event.side) == (end_to_end_id, side) and (near or event.initiated_at == initiated_at)
