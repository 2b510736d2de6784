"""The user of a process that the system does not know: containers run under ids without a name or a home."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import MutableMapping


def settle_user(environment: MutableMapping[str, str]) -> None:
    """Set LOGNAME and HOME where the user has no name or no home directory.

    Libraries look both up while they are imported, and raise KeyError or RuntimeError without them.
    """
    if not any(environment.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):  # as getpass reads them
        environment["LOGNAME"] = _entry("pw_name") or f"uid-{os.getuid()}"
    if not environment.get("HOME"):
        environment["HOME"] = _entry("pw_dir") or tempfile.gettempdir()


def _entry(field: str) -> str:
    try:
        return str(getattr(pwd.getpwuid(os.getuid()), field))
    except KeyError:
        return ""
