"""List the licences of all locked packages, and fail if one of them is not allowed.

A function runs its packages in one process with our own code, so only licences that require attribution and no more
are allowed there, plus MPL-2.0, whose copyleft covers only its own files. Jobs may also use LGPL. The licences come
from the metadata of installed packages, so install them first.

Exit codes: 0 all allowed, 1 one is unknown or not allowed.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from infra.deploy.stage import ROOT

PERMISSIVE = frozenset(
    ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib")
)
_FUNCTION = PERMISSIVE | {"MPL-2.0"}
ALLOWED: Mapping[str, frozenset[str]] = {
    "functions/console": _FUNCTION,
    "functions/decide": _FUNCTION,
    "functions/label": _FUNCTION,
    "functions/outcome": _FUNCTION,
    "functions/score": _FUNCTION,
    "jobs": _FUNCTION | {"LGPL"},
    "shared/adapters/kafka": _FUNCTION,
    "shared/adapters/spark": _FUNCTION,
    "shared/adapters/xgboost": _FUNCTION,
}

# Licence names in the classifiers or the License field of packages without an SPDX expression.
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License v2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# Licences as read from the licence files: missing in the metadata, or of packages that `make spark` alone installs.
READ = {"huey": "MIT", "py4j": "BSD-3-Clause", "pyspark": "Apache-2.0", "skops": "MIT", "xgboost-cpu": "Apache-2.0"}


class Licence(NamedTuple):
    """A locked package and its licence as an SPDX expression; None if unknown."""

    package: str
    version: str
    expression: str | None


def locked(lock: Path) -> Iterator[Requirement]:
    """Yield the requirements that a lock file installs on this platform and Python version."""
    for line in re.findall(r"^[\w.-]+==[^\\\n]+", lock.read_text("utf-8"), re.M):
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate():
            yield requirement


def licence(requirement: Requirement) -> Licence:
    """Return the licence of an installed package."""
    try:
        found = metadata(requirement.name)
    except PackageNotFoundError:
        return Licence(requirement.name, str(requirement.specifier), READ.get(requirement.name))
    classified = [text.rpartition(" :: ")[2] for text in found.get_all("Classifier") or [] if "License ::" in text]
    (expression,), (words,) = (found.get_all(name) or [""] for name in ("License-Expression", "License"))
    known = expression or _named(classified) or _named(words.split(" AND ")) or READ.get(requirement.name)
    return Licence(requirement.name, found["Version"], known)


def _named(names: list[str]) -> str | None:
    """Return the SPDX expression of licence names; None if there are none or one is unknown.

    >>> _named(["MIT License", "Apache Software License"]), _named(["My own"]), _named(["BSD-3-Clause"])
    ('MIT AND Apache-2.0', None, 'BSD-3-Clause')
    """
    known = [SPDX.get(name, name) for name in names]
    return " AND ".join(known) if known and PERMISSIVE.union(SPDX.values()).issuperset(known) else None


def allowed(expression: str | None, by: frozenset[str]) -> bool:
    """Return whether a licence is allowed: all operands of an AND, or one operand of an OR.

    >>> allowed("Apache-2.0 OR GPL-3.0", frozenset({"Apache-2.0"})), allowed("MIT AND GPL-3.0", frozenset({"MIT"}))
    (True, False)
    >>> allowed("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", PERMISSIVE), allowed(None, PERMISSIVE)
    (True, False)
    """
    if expression is None:
        return False
    plain = re.sub(r" WITH [\w.-]+|[()]", "", expression)
    return any(set(choice.split(" AND ")) <= by for choice in plain.split(" OR "))


def main(arguments: list[str] | None = None) -> int:
    """List the licences and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.deploy.licences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    refused = 0
    for part, by in ALLOWED.items():
        for requirement in locked(ROOT / part / "requirements.txt"):
            found = licence(requirement)
            fits = allowed(found.expression, by)
            refused += not fits
            note = "" if fits else "  NOT ALLOWED"
            sys.stdout.write(f"{part:16} {found.package:40} {found.version:10} {found.expression}{note}\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
