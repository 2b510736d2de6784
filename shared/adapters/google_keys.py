"""Google's public keys by their id, as its documents list them for those who verify its signatures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec
import requests
from google.auth import jwt

from shared.adapters.google_failures import FAILURES
from shared.errors import Unavailable
from shared.telemetry.incidents import Incident

log = logging.getLogger(__name__)

KEPT_SECONDS = 3_600.0
"""Time for which keys are kept; Google adds a key long before it signs by it."""
AGAIN_SECONDS = 60.0
"""Time until keys are read again for an id that is not among them: anybody may invent ids."""
FAILED_SECONDS = 1.0
"""Time until keys are read again for such an id if the last reading failed: its caller may well be a valid one."""
CALL_SECONDS = 5.0
_FAILURES: tuple[type[Exception], ...] = (*FAILURES, msgspec.DecodeError)

Keys = Mapping[str, str]
"""Public keys or certificates (PEM) by their id."""


def read_keys(url: str) -> Keys:
    """Return the keys that a document of Google lists now. Raises Unavailable."""
    try:
        answer = requests.get(url, timeout=CALL_SECONDS)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, str])
    except _FAILURES as error:
        raise Unavailable(f"Google's keys: {type(error).__name__}") from error


class GoogleKeys:
    """The latest keys, read when they are old or lack one; all who need a reading wait for the same one.

    Keys stay known while they cannot be read again.
    """

    def __init__(self, fetch: Callable[[], Keys], clock: Callable[[], float]) -> None:
        """Read keys by `fetch`, which raises Unavailable; it runs in a thread. `clock` counts seconds."""
        self._fetch = fetch
        self._clock = clock
        self._keys: Keys = {}
        self._tried_at: float | None = None
        self._has_failed = False
        self._reading = asyncio.Lock()
        self._failing = Incident(log, "Google's keys cannot be read", clock)

    async def of(self, token: str) -> Keys:
        """Return the keys, with that of a token if Google lists it.

        Raises Unavailable if its key is not known and the keys cannot be read, ValueError if it is not a token.
        """
        key_id = str(jwt.decode_header(token).get("kid"))
        if self._is_due(key_id) and not (key_id in self._keys and self._reading.locked()):
            async with self._reading:
                if self._is_due(key_id):  # another caller may have read them meanwhile
                    await self._read()
        if self._has_failed and key_id not in self._keys:
            raise Unavailable("Google's keys cannot be read")
        return self._keys

    def _is_due(self, key_id: str) -> bool:
        """Return whether to read the keys for a token with this one."""
        if self._tried_at is None:
            return True
        if key_id in self._keys:
            patience = AGAIN_SECONDS if self._has_failed else KEPT_SECONDS
        else:
            patience = FAILED_SECONDS if self._has_failed else AGAIN_SECONDS
        return self._clock() - self._tried_at >= patience

    async def _read(self) -> None:
        """Replace the keys, or keep them if they cannot be read."""
        try:
            self._keys = await asyncio.to_thread(self._fetch)
            self._has_failed = False
        except Unavailable as error:
            self._has_failed = True
            self._failing.trigger(reason=str(error))
        self._tried_at = self._clock()
