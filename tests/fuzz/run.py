"""The fuzz target: decode an input, and deliver inputs in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from shared.contract.envelope import decode_envelope
from shared.contract.feedback import decode_feedback
from shared.contract.outcome import decode_outcome
from shared.contract.transaction import decode_transaction
from shared.errors import Malformed
from tests.fuzz.functions import Functions

DECODERS = (decode_transaction, decode_feedback, decode_outcome)


class Fuzzer:
    """Takes inputs (a byte for the function, then a body); calls `done` after the last of `runs`."""

    def __init__(self, functions: Functions, runs: int, batch: int) -> None:
        self._functions = functions
        self._runs = runs
        self._batch = batch
        self._waiting: list[tuple[int, bytes]] = []
        self.bodies = 0
        self.quarantined = 0
        self.done: Callable[[], None] = lambda: None

    def __call__(self, data: bytes) -> None:
        """Take one input. Raises WrongAnswer."""
        function, body = (data[0] % len(DECODERS), data[1:]) if data else (0, b"")
        with contextlib.suppress(Malformed):
            DECODERS[function](decode_envelope(body).data)
        self._waiting.append((function, body))
        self.bodies += 1
        if len(self._waiting) == self._batch or self.bodies >= self._runs:
            self.quarantined += self._functions.check(self._waiting)
            self._waiting.clear()
        if self.bodies == self._runs:
            self.done()
