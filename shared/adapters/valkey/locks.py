"""`shared.desk.ports.CaseLocks` in Valkey or Redis, the arbiter between all instances of the desk.

The keys have a hash tag of their own, so they are on one primary of a cluster. A store that is emptied, or falls back
by a failover, forgets locks: two people may then judge one case, and the later verdict is in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from shared.adapters.valkey.clients import Client
from shared.adapters.valkey.script import Script
from shared.desk.records import CaseId

TAG = "{pix:desk}"
_HOLDERS = Script.of("return redis.call('MGET', unpack(KEYS))")
_RELEASE = 0
_AT_ONCE = 1_000
"""Keys in a call; Lua unpacks some thousands at most."""


class ValkeyCaseLocks:
    """The locks of cases in a store."""

    def __init__(self, store: Client) -> None:
        self._store = store

    async def take(self, case: CaseId, holder: str, seconds: float) -> str:
        """Lock a case unless another holds it; return the holder. Raises Unavailable."""
        return _text(await self._store.run(_script(), [_key(case)], [holder, max(1, round(1_000 * seconds))]))

    async def holders(self, cases: Sequence[CaseId]) -> Mapping[CaseId, str]:
        """Return the holder of each case that is locked. Raises Unavailable."""
        found: dict[CaseId, str] = {}
        for start in range(0, len(cases), _AT_ONCE):
            part = cases[start : start + _AT_ONCE]
            holders = await self._store.run(_HOLDERS, [_key(case) for case in part], [])
            found |= {case: _text(each) for case, each in zip(part, holders, strict=True) if each is not None}
        return found

    async def release(self, case: CaseId, holder: str) -> None:
        """End the lock of a case if it is the holder's. Raises Unavailable."""
        await self._store.run(_script(), [_key(case)], [holder, _RELEASE])


def _key(case: CaseId) -> str:
    return f"{TAG}:{case.text}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@cache
def _script() -> Script:
    return Script.of(Path(__file__).with_name("locks.lua").read_text("utf-8"))
