"""Do the work of a function on a stream of Spark, for those who have Spark in place of Functions.

Structured Streaming hands the messages of a topic to the intake of the function: the same rows, the same claims, and
no acknowledgement or offset before the rows. It pulls from Pub/Sub, or reads Kafka by Spark's own source, whose jar
comes by `spark-submit --packages`. The environment has the settings of the function, and PIX_STATE names a server. A
setting may name its value in Secret Manager: secret://projects/PROJECT/secrets/NAME/versions/VERSION.
The job runs until a signal comes; a micro-batch that is cut short comes again.

  python -m jobs.stream score --checkpoint gs://bucket/streams/score
  python -m jobs.stream score --checkpoint gs://bucket/streams/score --kafka client.properties

Exit codes: 128 plus the number of the signal, or 1 refused or failed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, interruption, wiring

if TYPE_CHECKING:
    from jobs.cli.streaming import StreamOrder


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _stream(options))


def _stream(options: argparse.Namespace) -> tuple[int, object]:
    from jobs.cli.streaming import stream

    stream(_order(options))
    return console.FAILED, {"outcome": "ENDED"}


def _order(options: argparse.Namespace) -> StreamOrder:
    from jobs.cli.streaming import StreamOrder

    return StreamOrder(**vars(options))


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("stream", __doc__)
    add = parser.add_argument
    add("function", choices=["score", "outcome", "label"], help="the function whose work it does")
    add("--checkpoint", required=True, metavar="DIR", help="a folder of its own, or its URI, for the notes of Spark")
    add("--subscription", default="", metavar="NAME", help="pull subscription (default: the name of the function)")
    add(
        "--kafka",
        type=Path,
        metavar="FILE",
        help="read the topic of Kafka instead, with the properties of its Java client in FILE, such as"
        " bootstrap.servers=...; dead letters go to the topic whose name ends in -dead",
    )
    add(
        "--messages",
        type=arguments.positive,
        default=20_000,
        metavar="N",
        help="messages of a micro-batch, at most (default: %(default)s)",
    )
    add("--tasks", type=arguments.positive, metavar="N", help="Pub/Sub: tasks that pull (default: one for each CPU)")
    add(
        "--seconds",
        type=arguments.positive,
        default=2,
        metavar="S",
        help="Pub/Sub: time for which a micro-batch gathers messages, far less than the subscription's deadline to"
        " acknowledge (default: %(default)s)",
    )
    add("--master", metavar="URL", help="the master (default: of spark-submit, else this machine)")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
