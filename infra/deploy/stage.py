"""Stage the source of a function: its modules, requirements.txt and shared/ in one folder, as Cloud Functions wants.

Cloud Build and the tests use the same script, so tests run the deployed layout. Deploying from the root of the
repository does not work: with GOOGLE_FUNCTION_SOURCE the root is not on sys.path, and `import shared` fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("score", "decide", "outcome", "label")
ASKED = ("decide",)
"""The functions that callers ask over HTTP; each of the others takes the messages of a topic, also as a worker."""
DESK = "console"
"""The function that people open in a browser."""
_TRAINING = ("learning",)  # folders of shared/ that no function imports


def stage(function: str, target: Path, kafka: bool = False) -> Path:
    """Write the source folder of `function` to `target` and return it. Replaces an existing folder.

    With `kafka` its worker has the client to pull from Kafka.
    """
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(ROOT / "shared", target / "shared", ignore=shutil.ignore_patterns("__pycache__", *_TRAINING))
    for name in ("main.py", "requirements.txt", *(() if function in (*ASKED, DESK) else ("pull.py",))):
        shutil.copy2(ROOT / "functions" / function / name, target / name)
    if kafka:
        with (target / "requirements.txt").open("a", encoding="utf-8") as requirements:
            requirements.write((ROOT / "shared" / "adapters" / "kafka" / "requirements.txt").read_text("utf-8"))
    return target


def main(arguments: list[str] | None = None) -> int:
    """Stage one function and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy.stage", description=__doc__.partition("\n")[0])
    parser.add_argument("function", choices=(*FUNCTIONS, DESK))
    parser.add_argument("target", type=Path, help="folder to write; replaced if it exists")
    parser.add_argument("--kafka", action="store_true", help="add the client of Kafka, for a worker")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{stage(options.function, options.target, options.kafka)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
