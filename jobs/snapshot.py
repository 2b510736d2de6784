"""Write a snapshot of the history of Pix to the data bucket, from which jobs.repair fills a lost store.

It continues from the snapshot before it with the rows of the tables after that; the store itself is not read. A
history of several shards has one of each shard, which ends at a place of that shard. A snapshot ends before the first
change whose row is still missing, such as one that waits to be delivered again. After --missing hours such a place is
passed over; if its row comes after all, the snapshots after it are no longer used.
While PIX_HMAC_KEY_NEXT is set, those under the next key are written too, so that history is filled soon after the
switch.
The pointer history/current.json lists the snapshots that are kept, and is replaced last, by compare-and-swap.

Exit codes: 0 written, or nothing to write, 1 failed, 3 another job wrote one meanwhile.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from jobs.cli import arguments, console, history_wiring, interruption, wiring
from shared.errors import PreconditionFailed
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.replay.continuation import Taken


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _snapshot(options))


def _snapshot(options: argparse.Namespace) -> tuple[int, object]:
    from shared.replay.continuation import Taken, take
    from shared.replay.mark import Patience
    from shared.replay.snapshots import SnapshotRetention

    settings, started = Settings.from_env(os.environ), time.perf_counter()
    patience = Patience(dt.timedelta(minutes=options.lag), options.missing)
    retention = SnapshotRetention(options.keep, options.days)
    snapshots, every, ahead = history_wiring.snapshots(settings), list[Taken](), list[Taken]()
    try:
        for of_key, found in (
            (history_wiring.stored_tables(settings), every),
            (history_wiring.next_tables(settings), ahead),
        ):
            for tables in of_key:
                with console.bar() as progress:
                    found.append(take(snapshots, tables, patience, retention, wiring.now(), console.steps(progress)))
    except PreconditionFailed as error:
        return console.LOST, {"outcome": "OVERTAKEN", "reasons": [str(error)]}
    return console.OK, {
        "outcome": "WRITTEN" if any(each.snapshot for each in (*every, *ahead)) else "UNCHANGED",
        **(_told(every[0]) if len(every) == 1 else {"shards": [_told(each) for each in every]}),
        **({"under_next_key": [_told(each) for each in ahead]} if ahead else {}),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _told(taken: Taken) -> dict[str, object]:
    """Return the snapshot of a shard, for the last line of output."""
    return {
        "snapshot": taken.snapshot.name if taken.snapshot else None,
        "start": taken.start,
        "place": taken.snapshot.place if taken.snapshot else None,
        "changes": taken.snapshot.tally.changes if taken.snapshot else None,
        "transactions": taken.transactions,
        "missing": taken.missing,
    }


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("snapshot", __doc__)
    add = parser.add_argument
    add("--keep", type=arguments.positive, default=24, metavar="N", help="keep the last N (default: %(default)s)")
    add(
        "--days",
        type=partial(arguments.days, least=0),
        default=22,
        metavar="N",
        help="keep the last one of each of N days: a row may come 21 days late (default: %(default)s)",
    )
    add(
        "--lag",
        type=arguments.pause,
        default=10,
        metavar="MINUTES",
        help="leave out changes of the last minutes, whose rows are on their way (default: %(default)s)",
    )
    add(
        "--missing",
        type=arguments.span,
        default=arguments.span("6"),
        metavar="HOURS",
        help="wait that long for a row that is missing (default: 6)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
