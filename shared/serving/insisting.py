"""Messages that are tried until each has its row, or has used up its attempts: their source does not repeat them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.ports.messages import Received
from shared.serving.intake import Intake


class Retries(NamedTuple):
    """Attempts at a message before it goes to the dead letters, and the pauses between them, in seconds."""

    attempts: int = 50
    shortest: float = 0.1
    longest: float = 30.0

    def pause(self, failures: int) -> float:
        """Return the pause after this many failures.

        >>> [Retries(shortest=1.0, longest=5.0).pause(failures) for failures in (1, 2, 3, 4)]
        [1.0, 2.0, 4.0, 5.0]
        """
        return min(self.longest, self.shortest * 2.0 ** min(failures - 1, 64))


USUAL = Retries()
ONCE = Retries(attempts=1)
"""One attempt, where the source itself delivers a message again."""


async def insist(intake: Intake[Any], received: Sequence[Received], retries: Retries) -> list[Exception | None]:
    """Store a batch; return the last error of each message that has no row after all attempts."""
    errors: list[Exception | None] = await intake.take(received, 0)
    for failures in range(1, retries.attempts):
        left = [i for i, error in enumerate(errors) if error is not None]
        if not left:
            break
        await asyncio.sleep(retries.pause(failures))
        again = await intake.take([received[i] for i in left], 0)
        for i, error in zip(left, again, strict=True):
            errors[i] = error
    return errors
