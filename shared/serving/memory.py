"""The garbage collection of a serving process."""

from __future__ import annotations

import gc

_YOUNG = 10_000  # objects between two collections


def settle_memory() -> None:
    """Exempt the long-lived objects of the start from garbage collection, and collect less often.

    Our records are arrays and structs without cycles; a request leaves few objects in cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 100)
