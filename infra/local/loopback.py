"""TCP ports on the loopback interface."""

import socket

from infra.local.errors import PortInUse

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a port that is free at this moment."""
    with _bound(0) as listener:
        return int(listener.getsockname()[1])


def claim_port(preferred: int, setting: str) -> int:
    """Return `preferred`, or a free port if it is 0.

    Raises PortInUse with the port and the `setting` that changes it.
    """
    if preferred == 0:
        return free_port()
    try:
        with _bound(preferred):
            return preferred
    except OSError as error:
        raise PortInUse(preferred, setting) from error


def listens(port: int) -> bool:
    """Return True if a process accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    # Connections of an earlier run in TIME_WAIT do not make the port count as used.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener
