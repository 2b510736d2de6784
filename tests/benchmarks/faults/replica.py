"""A replica of the store of history, which takes over without the last changes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from redis import Redis

from infra.local.processes import Supervisor
from infra.local.valkey.launch import valkey_server
from tests.benchmarks.faults.disk import FaultFailed

PATIENCE = 60.0


class Replica:
    """A server beside the store at `url`, in a folder of its own, while the context lasts."""

    def __init__(self, url: str, folder: Path) -> None:
        self._store = Redis.from_url(url)
        self._address = urlsplit(url)
        self._server = valkey_server(folder)
        self._own = Redis.from_url(self._server.url, socket_timeout=PATIENCE)
        self._supervisor = Supervisor()
        self._target = folder

    def __enter__(self) -> Self:
        """Start the server."""
        self._supervisor.__enter__()
        self._supervisor.start(self._server.child)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self._own.close()
        self._store.close()
        self._supervisor.__exit__(kind, error, trace)

    def follow(self) -> None:
        """Copy the store, and wait until the replica has all of it. Raises FaultFailed."""
        self._target = _data_file(self._store)
        self._own.replicaof(self._address.hostname, str(self._address.port))
        give_up = time.monotonic() + PATIENCE
        while cast("dict[str, object]", self._own.info("replication")).get("master_link_status") != "up":
            if time.monotonic() > give_up:
                raise FaultFailed("the replica does not follow the store of history")
            time.sleep(0.1)

    def leave(self) -> None:
        """Follow no longer: later changes of the store are lost if the replica takes over."""
        self._own.replicaof("NO", "ONE")

    def take_over(self) -> None:
        """Leave the data of the replica where the store, which has been killed, reads its own at its next start."""
        self._own.save()
        shutil.copy(_data_file(self._own), self._target)


def _data_file(server: Redis) -> Path:
    """Return the file that a server writes, and reads at its start."""
    found = server.config_get("dir", "dbfilename")
    return Path(found["dir"]) / found["dbfilename"]
