"""Errors of the local cloud while it starts and runs.

LocalCloudError
├── PortInUse        another program listens on the port: choose another
├── PortRefused      the system does not allow the port: choose another
├── ChildDied        a process ended unexpectedly: see its last lines
└── NotReadyInTime   a process runs but does not answer
"""

DOCTOR = "Run `.venv/bin/python -m infra.local.doctor` for details."


class LocalCloudError(RuntimeError):
    """The local cloud cannot start or continue."""


class PortInUse(LocalCloudError):
    """Another program listens on a port of the local cloud."""

    def __init__(self, port: int, setting: str) -> None:
        super().__init__(f'port {port} is in use. ARGS="{setting} 0" after the command takes a free one')
        self.port = port


class PortRefused(LocalCloudError):
    """The system does not let this user listen on a port: it is below 1024, or not a port's number."""

    def __init__(self, port: int, setting: str, reason: str) -> None:
        super().__init__(
            f"port {port} cannot be used ({reason}); set {setting} to another one, or to 0 for a free one"
        )


class ChildDied(LocalCloudError):
    """A child process ended unexpectedly."""

    def __init__(self, name: str, returncode: int, log_tail: str) -> None:
        super().__init__(f"{name} ended with status {returncode}; its last lines:\n{log_tail}")
        self.returncode = returncode


class NotReadyInTime(LocalCloudError):
    """A child process runs but was not ready in time."""

    def __init__(self, name: str, seconds: float, log_tail: str) -> None:
        super().__init__(f"{name} was not ready after {seconds:g} s; its last lines:\n{log_tail}")


def describe(error: LocalCloudError | OSError) -> str:
    """Return the text of a start-up error for the user, with the command that shows more.

    >>> describe(PermissionError(13, "Permission denied", ".local/cloud"))
    '.local/cloud: Permission denied. Run `.venv/bin/python -m infra.local.doctor` for details.'
    """
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    log_follows = "\n" in text
    return f"{text}\n{DOCTOR}" if log_follows else f"{text.rstrip('.')}. {DOCTOR}"
