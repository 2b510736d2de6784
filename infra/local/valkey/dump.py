"""The dump of history between two runs of a local Valkey.

It is as new as the tables only after a clean stop, which seals it. The next start loads it and breaks the seal, so
after a kill none is found, and history is rebuilt from the tables.
"""

from __future__ import annotations

from pathlib import Path

FILE = "history.rdb"
SEAL = "history.sealed"
_NEVER_SECONDS = 10 * 365 * 86_400


class Dump:
    """The dump in a directory; without a seal it is removed. `program` is the server: another may not read it."""

    def __init__(self, directory: Path, program: str) -> None:
        self._file, self._seal, self._program = directory / FILE, directory / SEAL, program
        self.found = self._file.exists() and self._sealed_by() == program
        """Whether the server loads a dump at its start."""
        if not self.found:
            self._seal.unlink(missing_ok=True)
            self._file.unlink(missing_ok=True)

    @property
    def arguments(self) -> list[str]:
        """Return the server's options: with a point for saving, however far, SIGTERM saves."""
        return ["--dir", str(self._file.parent), "--dbfilename", FILE, "--save", str(_NEVER_SECONDS), "1"]

    def loaded(self) -> None:
        """Break the seal, once the server has loaded the dump and counts on."""
        self._seal.unlink(missing_ok=True)

    def saved(self) -> None:
        """Seal the dump, after a clean stop of the server and of all that writes to the tables."""
        if self._file.exists():
            self._seal.write_text(self._program)

    def _sealed_by(self) -> str | None:
        try:
            return self._seal.read_text()
        except FileNotFoundError:
            return None
