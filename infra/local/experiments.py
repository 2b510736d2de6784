"""MLflow's files in a world: their place, and the model card among them."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

CARD = "card.html"


def database(home: Path) -> Path:
    """Return the path of MLflow's SQLite file in a world."""
    return home / "mlflow" / "mlflow.db"


def tracking_uri(home: Path) -> str:
    """Return the value of MLFLOW_TRACKING_URI for a world."""
    return f"sqlite:///{database(home)}"


def copy_card(home: Path, run_id: str) -> Path | None:
    """Copy the model card of a run to the top of the world and return its path; None if the run has none."""
    found = next((home / "mlflow").glob(f"**/{run_id}/artifacts/{CARD}"), None)
    return None if found is None else Path(shutil.copyfile(found, home / CARD))


def relocate(home: Path, before: Path) -> None:
    """Replace the addresses below `before` in MLflow's tables: it stores those of artifacts as absolute ones."""
    if not database(home).exists():
        return
    with closing(sqlite3.connect(database(home))) as connection, connection:
        for table, column in _text_columns(connection):
            connection.execute(
                f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE instr("{column}", ?)',  # noqa: S608 (names from the schema)
                (before.as_uri() + "/", home.as_uri() + "/", before.as_uri() + "/"),
            )


def _text_columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (table, name)
        for table in tables
        for _, name, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")')
        if kind.upper().startswith(("VARCHAR", "TEXT"))
    ]
