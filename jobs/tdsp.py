"""Write the documents of the Team Data Science Process: charter, data dictionary, data, model and exit reports.

They are made from the configuration of learning, the schemas and the feature catalogue, the bundle and training set
of a version, and pix.model_ledger, so that they are true of that time: a folder of Markdown files.

  python -m jobs.tdsp --out tdsp/
  python -m jobs.tdsp --out tdsp/ --version 20261120T143205Z

Exit codes: 0 done, 1 unknown version, refused or failed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import Misconfigured
from shared.settings import Settings


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _written(options))


def _written(options: argparse.Namespace) -> tuple[int, object]:
    from shared.contract import tables
    from shared.learning import config
    from shared.learning.lifecycle.tdsp.documents import rendered
    from shared.learning.lifecycle.tdsp.facts import Sources, gather

    settings = Settings.from_env(os.environ)
    sources = Sources(wiring.blobs(settings), wiring.data(settings), wiring.ledger(settings))
    views = tables.views(settings.project, settings.dataset, settings.maturity_days)
    known = config.load(options.config)
    facts = gather(sources, known, tables.tables(), views, options.version, wiring.now())
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name, text in rendered(facts).items():
            (options.out / name).write_text(text, "utf-8")
    except OSError as error:
        raise Misconfigured(f"{options.out} cannot be written: {error.strerror or error}") from error
    return console.OK, {"outcome": "WRITTEN", "folder": str(options.out), "version": facts.version}


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("tdsp", __doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write, made if missing")
    parser.add_argument("--version", metavar="VERSION", help="version to report on (default: the one that serves)")
    arguments.add_config(parser.add_argument, "settings of learning")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
