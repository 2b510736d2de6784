"""Stage the source of a function: main.py, requirements.txt and shared/ side by side, as Cloud Functions wants it.

Cloud Build and the tests use this same script, so what is tested is what is deployed. A source at the root of the
repository would not do: with GOOGLE_FUNCTION_SOURCE the root is not on sys.path, and `import shared` fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = ("score", "label")
_TRAINING = ("learning",)  # folders of shared/ that no function imports


def stage(function: str, target: Path) -> Path:
    """Make `target` the source folder of `function` and return it. An older one is replaced."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(ROOT / "shared", target / "shared", ignore=shutil.ignore_patterns("__pycache__", *_TRAINING))
    for name in ("main.py", "requirements.txt"):
        shutil.copy2(ROOT / "functions" / function / name, target / name)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Stage one function from the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy.stage", description=__doc__.partition("\n")[0])
    parser.add_argument("function", choices=FUNCTIONS)
    parser.add_argument("target", type=Path, help="folder to make; an existing one is replaced")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{stage(options.function, options.target)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
