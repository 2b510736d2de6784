"""Change the HMAC key of the pseudonyms without losing history; infra/README.md has the procedure.

backfill   before the switch, while PIX_HMAC_KEY_NEXT is set: rows from before it was set get their pseudonyms under
           the next key, wherever a newer row has both of an account, person, key or device. Snapshots under the next
           key are removed, and made again by jobs.snapshot.
finish     after the switch: pseudonyms under the key in force replace those under the former key in all rows, and the
           store forgets the history under the former key.

Both leave rows of the last --older-than minutes alone, which BigQuery does not change yet: run finish again for them.

Exit codes: 0 done, or nothing to do, 1 failed; then it may be repeated.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from contextlib import closing

from jobs.cli import arguments, console, history_wiring, interruption, wiring
from shared.contract.pseudonyms import fingerprint_of
from shared.errors import Misconfigured
from shared.settings import Settings

BACKFILL, FINISH = "backfill", "finish"


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    step = _backfill if options.step == BACKFILL else _finish
    return console.run(lambda: step(Settings.from_env(os.environ), dt.timedelta(minutes=options.older_than)))


def _backfill(settings: Settings, age: dt.timedelta) -> tuple[int, object]:
    if not settings.hmac_key_next:
        raise Misconfigured("set PIX_HMAC_KEY_NEXT, the key that is to follow")
    own, following = fingerprint_of(settings.hmac_key.encode()), fingerprint_of(settings.hmac_key_next.encode())
    found = history_wiring.rotation(settings).backfill(own, following, wiring.now() - age)
    history_wiring.snapshots(settings).drop(following)
    return console.OK, found


def _finish(settings: Settings, age: dt.timedelta) -> tuple[int, object]:
    own = fingerprint_of(settings.hmac_key.encode())
    found = history_wiring.rotation(settings).finish(own, settings.hmac_key_version, wiring.now() - age)
    with closing(history_wiring.history_store(settings, settings.state)) as store:
        forgotten = store.forget_other_keys()
    return console.OK, {"rows": found, "forgotten": forgotten}


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("rotate", __doc__)
    parser.add_argument("step", choices=(BACKFILL, FINISH), help="see above")
    parser.add_argument(
        "--older-than",
        type=arguments.count,
        default=60,
        metavar="MINUTES",
        help="leave younger rows alone (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    interruption.leave(main())
