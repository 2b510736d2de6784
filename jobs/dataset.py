"""List the training sets in the bucket, save one as a file, or share it with users of DVC.

The rows of each recorded training are in the bucket as Parquet, named by their content hash: the dataset hash of its
run, of its row in pix.model_ledger and of its model card. They hold features and labels of Pix, no ids.

  python -m jobs.dataset list
  python -m jobs.dataset get HASH --out rows.parquet
  python -m jobs.dataset get HASH --out rows.parquet --dvc      and rows.parquet.dvc, for a repository with DVC

Each recorded training puts its rows into a DVC remote in the bucket too, and its run in MLflow has the pointer; with
--dvc they are put there again if need be. `dvc pull` and `dvc get` then fetch them in each clone of a repository with
the pointer. The result has the address of the remote, for `dvc remote add`.

Exit codes: 0 done, 1 unknown training set, refused or failed.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from jobs.cli import arguments, console, interruption, wiring
from shared.errors import Misconfigured
from shared.settings import Settings

_HASH = re.compile(r"[0-9a-f]{64}")


@console.command
def main(argv: list[str] | None = None) -> int:
    """Run the job and return its exit code."""
    options = _parser().parse_args(argv)
    wiring.prepare(os.environ)
    return console.run(lambda: _listed() if options.command == "list" else _got(options))


def _listed() -> tuple[int, object]:
    from shared.learning.data.snapshot import FOLDER

    found = wiring.data(Settings.from_env(os.environ)).listed(f"{FOLDER}/")
    own = [(each, _HASH.search(each.name)) for each in found if each.name.endswith(".parquet")]
    own.sort(key=lambda each: each[0].updated_at, reverse=True)
    return console.OK, {
        "outcome": "LISTED",
        "training_sets": [
            {"dataset_hash": match.group(), "written_at": each.updated_at.isoformat()} for each, match in own if match
        ],
    }


def _got(options: argparse.Namespace) -> tuple[int, object]:
    from shared.learning.data import dvc

    settings, file = Settings.from_env(os.environ), options.out or Path(f"{options.dataset_hash}.parquet")
    archive = wiring.data(settings)
    if not file.parent.is_dir():
        raise Misconfigured(f"{file.parent} is not a folder")
    dvc.fetch(archive, options.dataset_hash, file)
    told = {"outcome": "SAVED", "dataset_hash": options.dataset_hash, "file": str(file)}
    if not options.dvc:
        return console.OK, told
    pointer = dvc.share(archive, options.dataset_hash, file.name)
    written = file.with_name(pointer.name)
    written.write_text(pointer.text(), "utf-8")
    remote = f"gs://{settings.data_bucket}/{dvc.REMOTE}"
    return console.OK, {**told, "pointer": str(written), "md5": pointer.md5, "remote": remote}


def _dataset_hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise argparse.ArgumentTypeError("a dataset hash has 64 hexadecimal digits in lower case")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = arguments.parser("dataset", __doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | get")
    commands.add_parser("list", help="list the training sets, newest first")
    get = commands.add_parser("get", help="save one as a file")
    get.add_argument("dataset_hash", type=_dataset_hash, metavar="HASH", help="its content hash")
    get.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: HASH.parquet)")
    get.add_argument("--dvc", action="store_true", help="share it by a DVC remote in the bucket, and write FILE.dvc")
    return parser


if __name__ == "__main__":
    interruption.leave(main())
