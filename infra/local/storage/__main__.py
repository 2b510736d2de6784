"""Serve a directory as Cloud Storage until SIGTERM or Ctrl-C."""

import argparse
from pathlib import Path

from infra.local import storage
from infra.local.storage.server import run


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.storage", description=storage.__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of the buckets, created if missing")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9023, help="port, 0 for any free one (default: %(default)s)")
    options = parser.parse_args(arguments)
    run(options.root, options.host, options.port)


if __name__ == "__main__":
    main()
