"""The facts that the documents of the Team Data Science Process state."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from shared.contract.decision import instant
from shared.contract.rows import LedgerRow
from shared.contract.tables import TableSpec, ViewSpec
from shared.learning.config import Config
from shared.learning.data.quality import QualityReport
from shared.learning.data.snapshot import name_of, quality_in
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.ports import Archive, Ledger
from shared.ports.blobs import Blobs
from shared.scoring.bundle import Manifest
from shared.scoring.verified_file import read_manifest

SINCE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
"""Before the first Pix, so that it is the whole ledger."""


class Setting(NamedTuple):
    """A setting: its name, its value, and the first sentence on its meaning."""

    name: str
    value: str
    meaning: str


class LedgerStep(NamedTuple):
    """A step in the life of the models, as the ledger has it."""

    at: dt.datetime
    action: str
    version: str
    actor: str
    reason: str


class ProjectFacts(NamedTuple):
    """The facts of a project at a moment; without a version that serves, `manifest` and `quality` are None.

    `quality` is also None where the training set of the version has expired.
    """

    at: dt.datetime
    config: Config
    tables: Sequence[TableSpec]
    views: Sequence[ViewSpec]
    version: str | None
    manifest: Manifest | None
    quality: QualityReport | None
    steps: Sequence[LedgerStep]

    @property
    def actions(self) -> Mapping[str, int]:
        """The number of steps of each action."""
        return Counter(step.action for step in self.steps)


class Sources(NamedTuple):
    """The model bucket, the bucket of training sets, and the ledger."""

    blobs: Blobs
    archive: Archive
    ledger: Ledger


def gather(
    sources: Sources,
    config: Config,
    tables: Sequence[TableSpec],
    views: Sequence[ViewSpec],
    version: str | None,
    now: dt.datetime,
) -> ProjectFacts:
    """Return the facts of a version, by default the one that serves.

    Raises Unavailable, BundleRefused if there is no such version, BadDataset.
    """
    chosen = version or read_pointer(sources.blobs).version
    manifest = read_manifest(sources.blobs, chosen) if chosen else None
    quality = _quality(sources.archive, manifest.dataset_hash) if manifest and manifest.dataset_hash else None
    steps = [
        LedgerStep(instant(row.recorded_at), row.action, _about(row), row.actor, row.reason)
        for row in sources.ledger.rows(SINCE)
    ]
    return ProjectFacts(now, config, tables, views, chosen, manifest, quality, steps)


def settings_of(settings: Struct) -> list[Setting]:
    """Return the plain settings of a type, each with the first sentence of its own docstring."""
    meanings = _meanings(type(settings))
    return [
        Setting(name, _shown(value), meanings.get(name, ""))
        for name, value in msgspec.structs.asdict(settings).items()
        if not isinstance(value, Struct)
    ]


def _meanings(kind: type[Struct]) -> dict[str, str]:
    """Return the docstring that follows each field in the source of a type, up to its first full stop."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = ast.get_docstring(ast.Module([after], []))
            if text:
                found[field.target.id] = " ".join(text.split("\n\n")[0].split())
    return found


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _about(row: LedgerRow) -> str:
    return row.to_version or row.from_version or ""


def _quality(archive: Archive, content_hash: str) -> QualityReport | None:
    with TemporaryDirectory(prefix="quality-") as folder:
        file = Path(folder) / "rows.parquet"
        return quality_in(file) if archive.fetch(name_of(content_hash), file) else None
