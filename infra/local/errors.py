"""What can go wrong while the local cloud starts and runs.

LocalCloudError
  PortInUse       another program has the port: choose another
  ChildDied       a process ended when it should not have: its last lines say why
  NotReadyInTime  a process is there but does not answer
"""


class LocalCloudError(RuntimeError):
    """The local cloud cannot start or go on."""


class PortInUse(LocalCloudError):
    """Another program listens on a port that the local cloud was told to use."""

    def __init__(self, port: int, setting: str) -> None:
        super().__init__(f"port {port} is in use; set {setting} to another port, or to 0 for any free one")
        self.port = port


class ChildDied(LocalCloudError):
    """A child process ended when it should be running."""

    def __init__(self, name: str, returncode: int, log_tail: str) -> None:
        super().__init__(f"{name} ended with status {returncode}; its last lines:\n{log_tail}")
        self.returncode = returncode


class NotReadyInTime(LocalCloudError):
    """A child process runs but did not get ready in time."""

    def __init__(self, name: str, seconds: float, log_tail: str) -> None:
        super().__init__(f"{name} was not ready after {seconds:g} s; its last lines:\n{log_tail}")
