"""Run the embedded Pub/Sub until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

import uvloop

from infra.local.pubsub.server import AddressInUse, EmbeddedPubSub


def main() -> int:
    """Serve until a signal arrives; return the exit code."""
    arguments = _parser().parse_args()
    try:
        uvloop.run(_serve(arguments.host, arguments.port, arguments.memory_megabytes * 1_000_000))
    except AddressInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(host: str, port: int, memory_bytes: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = EmbeddedPubSub(host, port, memory_bytes)
    bound = await server.start()
    sys.stdout.write(json.dumps({"ready": True, "host": host, "port": bound}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local.pubsub",
        description="Google Pub/Sub in one process, in memory. Prints one JSON line with its port when it is ready; "
        "then set PUBSUB_EMULATOR_HOST=host:port for any official client.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8085, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument(
        "--memory-megabytes",
        type=int,
        default=1000,
        help="unacknowledged messages held in all; publishing beyond it is refused (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
