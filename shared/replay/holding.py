"""A store of history that one job has for itself while it prepares to fill it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from shared.errors import PixError
from shared.ports.history import HistoryStore

RENEW_SECONDS = 60.0
"""Seconds between two calls by which a job keeps the store reserved, a fifth of the time that each gives."""


@contextmanager
def held(store: HistoryStore) -> Iterator[None]:
    """Reserve the store for the block, in which a query may take minutes. Raises PreconditionFailed, Unavailable."""
    store.hold()
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(store, ended), name="hold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(store: HistoryStore, ended: threading.Event) -> None:
    while not ended.wait(RENEW_SECONDS):
        with suppress(PixError):  # the load will be refused
            store.hold()
