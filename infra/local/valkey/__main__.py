"""Serve history to clients of Redis and Valkey, in memory, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from infra.local.loopback import LOOPBACK
from infra.local.valkey.server import serve
from infra.local.valkey.store import Store
from shared.errors import Misconfigured
from shared.features.state import State


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        state = State.load(options.load) if options.load else None
        asyncio.run(_run(Store(time.monotonic, state), options.host, options.port))
    except (Misconfigured, OSError) as error:
        sys.stderr.write(f"valkey: {error}\n")
        return 1
    return 0


async def _run(store: Store, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await serve(store, host, port)
    listens_on = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"ready": True, "port": listens_on}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.local.valkey", description=__doc__)
    parser.add_argument("--host", default=LOOPBACK, help="default: %(default)s")
    parser.add_argument("--port", type=int, default=6379, help="0 for any that is free (default: %(default)s)")
    parser.add_argument("--load", type=Path, metavar="FILE", help="start from what jobs.replay --state-out wrote")
    return parser


if __name__ == "__main__":
    sys.exit(main())
