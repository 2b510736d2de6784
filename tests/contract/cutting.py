"""A way to a server that can cut every connection at once, as where Cloud Run moves a job to another machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOPBACK = "127.0.0.1"


class Way:
    """Forwards connections to a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.cuts = 0
        """Connections that were cut."""
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self) -> int:
        """Return the port to connect to."""
        port: int = self._listener.getsockname()[1]
        return port

    def cut(self) -> None:
        """End all connections; the next ones go through."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):  # the other side has ended it
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self.cuts += len(self._open) // 2
            self._open = []

    def close(self) -> None:
        """Take no more connections, and cut the others."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends the accepting
        self._listener.close()
        self._accepting.join()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection((LOOPBACK, self._target))
                with self._lock:
                    self._open += [here, there]
                for one, other in ((here, there), (there, here)):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextmanager
def way_to(port: int) -> Iterator[Way]:
    """Forward to a port while the block runs."""
    way = Way(port)
    try:
        yield way
    finally:
        way.close()
