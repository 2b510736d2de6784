"""What the script of history means, computed by the history in memory instead of Lua."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infra.local.valkey.resp import Failure
from shared.adapters.valkey.load import PREFIX, SAID
from shared.adapters.valkey.script import FACTS_WIDTH, LETTERS
from shared.adapters.valkey.wire import NEVER, decode_heard
from shared.contract.fields import Verdict
from shared.features.facts import Facts, VerdictCount
from shared.features.history import READ_WIDTH, MemoryHistory
from shared.features.layout import LAYOUTS, WEIGHTS
from shared.features.state import Records, State
from shared.features.verdicts import ReportedVerdict, VerdictLog

_KEYS = 5  # payer, payee, pair, handset, device
_VERDICTS = {verdict.value[:1].encode(): verdict for verdict in Verdict}


class Store:
    """History, claims and what was said, behind the commands of the script."""

    def __init__(self, now: Callable[[], float], state: State | None = None) -> None:
        self._now = now
        self.clear(state)
        self._commands: dict[bytes, Callable[[Sequence[bytes]], list[bytes] | list[int] | int]] = {
            b"observe": self._observe,
            b"tell": self._tell,
            b"fill": self._fill,
            b"recall": self._recall,
            b"settle": self._settle,
            b"counted": lambda _: self.history.sequence,
            b"resume": self._resume,
        }

    def clear(self, state: State | None = None) -> None:
        """Forget everything, and start from a state."""
        self.history = MemoryHistory(state)
        self._opened = state is not None
        self._claims: dict[bytes, tuple[float, bytes]] = {}  # in the order in which they end
        self._said = VerdictLog()
        self._filled: dict[str, dict[int, bytes]] = {letter: {} for letter in LETTERS.values()}

    def __len__(self) -> int:
        records = sum(len(table.keys) for table in self.history.state().tables)
        return records + len(self._claims) + len(self._said.applied)

    def run(self, arguments: Sequence[bytes]) -> list[bytes] | list[int] | int:
        """Return what the script returns for these arguments."""
        return self._commands[arguments[0]](arguments[1:])

    def unlink(self, names: Sequence[bytes]) -> int:
        """Forget records and what was said, by their names in the real server, and return how many there were."""
        places = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
        said = sum(
            self._said.applied.pop(place[1:].decode(), None) is not None for place in places if place[:1] == SAID
        )
        before = self.history.state()
        tables = tuple(
            _without(records, [place[1:] for place in places if place[:1] == LETTERS[layout.kind].encode()])
            for layout, records in zip(LAYOUTS, before.tables, strict=True)
        )
        self.history = MemoryHistory(State(tables, before.sequence))
        return said + sum(len(old.keys) - len(new.keys) for old, new in zip(before.tables, tables, strict=True))

    def _observe(self, arguments: Sequence[bytes]) -> list[bytes]:
        claim_seconds, _, head, version, fingerprints, keys, numbers = arguments[:7]
        ids = arguments[7:]
        self._forget_claims()
        first = {id_: place for place, id_ in reversed(list(enumerate(ids))) if id_ not in self._claims}
        places = np.array(sorted(first.values()), dtype=np.int64)
        reads = self._count(_facts(keys, numbers)[places], len(places))
        ends = self._now() + int(claim_seconds)
        for place, read in zip(places.tolist(), reads, strict=True):
            self.history.sequence += self._opened
            sequence = self.history.sequence if self._opened else NEVER
            own = fingerprints[8 * place : 8 * place + 8]
            claim = b"".join((struct.pack("<d", sequence), head, own, read.astype("<f4").tobytes(), version))
            self._claims[ids[place]] = (ends, claim)
        for id_ in dict.fromkeys(ids):
            self._claims[id_] = (ends, self._claims.pop(id_)[1])
        return [self._claims[id_][1] for id_ in ids]

    def _count(self, facts: Facts, count: int) -> NDArray[np.float32]:
        return self.history.count(facts) if self._opened else np.full((count, READ_WIDTH), np.nan, dtype=np.float32)

    def _settle(self, arguments: Sequence[bytes]) -> int:
        claim_seconds, claim, *ids = arguments
        for id_ in ids:
            self._claims.pop(id_, None)
            self._claims[id_] = (self._now() + int(claim_seconds), claim)
        return len(ids)

    def _forget_claims(self) -> None:
        while self._claims and next(iter(self._claims.values()))[0] <= self._now():
            del self._claims[next(iter(self._claims))]

    def _tell(self, arguments: Sequence[bytes]) -> list[int]:
        if not self._opened:
            raise Failure("EMPTY the store of history has to be filled first")
        counted = []
        for place in range(1, len(arguments), 4):
            id_, verdict, reported_at, keys = arguments[place : place + 4]
            said = ReportedVerdict(_VERDICTS[verdict], int(reported_at))
            told = self._said.apply(id_.decode(), said, self.history.sequence)
            facts = Facts.of_reports(
                [VerdictCount("", "", None, each.reported_at, each.fraud, each.sign) for each in told]
            )
            payer, payee, device = np.repeat(np.frombuffer(keys, dtype="<u8"), len(told)).reshape(3, -1)
            self.history.count(replace(facts, payer=payer, payee=payee, device=device))
            at = self._said.counted_at(id_.decode(), said)
            counted.append(NEVER if at is None else at)
        return counted

    def _fill(self, arguments: Sequence[bytes]) -> int:
        _, letter, keys, records = arguments
        own = np.frombuffer(keys, dtype="<u8").tolist()
        width = len(records) // len(own)
        self._filled[letter.decode()].update(
            (key, records[place * width : (place + 1) * width]) for place, key in enumerate(own)
        )
        return len(own)

    def _recall(self, arguments: Sequence[bytes]) -> int:
        ids, logs = arguments[1::2], arguments[2::2]
        self._said.applied.update((id_.decode(), decode_heard(log)) for id_, log in zip(ids, logs, strict=True))
        return len(ids)

    def _resume(self, arguments: Sequence[bytes]) -> int:
        if self.history.sequence:
            return 0
        tables = []
        for layout in LAYOUTS:
            filled = self._filled[LETTERS[layout.kind]]
            records = np.frombuffer(b"".join(filled.values()), dtype="<f8").reshape(-1, layout.width).copy()
            tables.append(Records(np.array(list(filled), dtype=np.uint64), records))
            filled.clear()
        self.history = MemoryHistory(State(tuple(tables), int(arguments[0])))
        self._opened = True
        return 1


def _without(records: Records, keys: Sequence[bytes]) -> Records:
    kept = ~np.isin(records.keys, np.frombuffer(b"".join(keys), dtype="<u8"))
    return Records(records.keys[kept], records.records[kept])


def _facts(keys: bytes, numbers: bytes) -> Facts:
    payer, payee, pair, handset, device = np.frombuffer(keys, dtype="<u8").reshape(-1, _KEYS).T
    own = np.frombuffer(numbers, dtype="<f8").reshape(-1, FACTS_WIDTH)
    weights, marks = own[:, 1 : 1 + len(WEIGHTS)], own[:, 1 + len(WEIGHTS) :]
    return Facts(payer, payee, device, pair, handset, own[:, 0], weights.copy(), marks.copy())
