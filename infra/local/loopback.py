"""TCP ports on the loopback interface.

A server starts seconds after its port was chosen, and again after a kill. Meanwhile the system could give the port to
any program that asks for a free one. So this process keeps it bound, without listening. Linux lets the server bind it
too, because servers set SO_REUSEADDR; elsewhere the port has to be released.
"""

import errno
import socket
import sys

from infra.local.errors import PortInUse, PortRefused

LOOPBACK = "127.0.0.1"

PORTS = {
    "pubsub": 8085,
    "storage": 9023,
    "bigquery": 9050,
    "bigquery_grpc": 9060,
    "state": 6379,
    "score": 8080,
    "decide": 8083,
    "outcome": 8082,
    "label": 8081,
    "console": 8084,
}
"""The ports of `make up`, by the names of its options."""


def free_port() -> int:
    """Return a port without a listener, and keep it from other programs until this process ends."""
    return _kept(_bound(0))


def claim_port(preferred: int, setting: str) -> int:
    """Return `preferred`, or a free port if it is 0; keep it as `free_port` does.

    Raises PortInUse, or PortRefused for another reason, with the `setting` that changes the port.
    """
    if preferred == 0:
        return free_port()
    try:
        return _kept(_bound(preferred))
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortInUse(preferred, setting) from error
        raise PortRefused(preferred, setting, str(error)) from error


def listens(port: int) -> bool:
    """Return True if a process accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _kept(holder: socket.socket) -> int:
    port = int(holder.getsockname()[1])
    if sys.platform == "linux":
        holder.detach()  # the descriptor stays open
    else:
        holder.close()
    return port


def _bound(port: int) -> socket.socket:
    holder = socket.socket()
    # Connections of an earlier run in TIME_WAIT do not keep the port from its next owner.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((LOOPBACK, port))
    except OSError:
        holder.close()
        raise
    return holder
