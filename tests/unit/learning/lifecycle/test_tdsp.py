"""The documents of the Team Data Science Process state what configuration, bundle, training set and ledger hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from jobs.cli import arguments
from shared.adapters.memory.learning import MemoryArchive, MemoryLedger
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract import tables as contract
from shared.contract.event import micros
from shared.contract.rows import LedgerRow
from shared.errors import BundleRefused
from shared.features.catalogue import FEATURE_NAMES
from shared.learning.config import load
from shared.learning.data import snapshot
from shared.learning.errors import BadDataset
from shared.learning.lifecycle.pointer import MoveCause, publish, read_pointer, swap
from shared.learning.lifecycle.tdsp.documents import rendered
from shared.learning.lifecycle.tdsp.facts import ProjectFacts, Sources, gather, settings_of
from shared.scoring.bundle import MANIFEST, path
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.data.tables import read
from tests.unit.learning.data.test_label_chance import selected

NOW = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
CONFIG = load(Path(arguments.__file__).parents[1] / "config.yaml")


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Return a project whose version v1 serves, with its training set and three steps in the ledger."""
    blobs, archive, ledger = MemoryBlobs(lambda: NOW), MemoryArchive(), MemoryLedger()
    data = read(selected(300), tmp_path)
    snapshot.save(archive, data)
    figures = {"average_precision": 0.61}
    publish(blobs, "v1", small_bundle("v1", dataset_hash=data.content_hash, metrics=figures, actor="ana | bia"))
    swap(blobs, read_pointer(blobs), "v1", MoveCause(NOW, "ana", "better"))
    for action, reason in (("PUBLISH", "trained"), ("TOO_FEW", "12 frauds | of 100"), ("SWAP", "saves money")):
        ledger.append(LedgerRow(micros(NOW), action, "ana", reason, to_version="v1"))
    return Sources(blobs, archive, ledger)


def documents(sources: Sources, version: str | None = None) -> dict[str, str]:
    """Return the documents of a version."""
    return rendered(facts_of(sources, version))


def facts_of(sources: Sources, version: str | None = None) -> ProjectFacts:
    """Return the facts of a version."""
    return gather(sources, CONFIG, contract.tables(), contract.views("p", "pix", 87), version, NOW)


def test_the_charter_has_every_cost_and_condition_with_its_meaning(sources: Sources) -> None:
    charter = documents(sources)["1-charter.md"]
    for settings in (CONFIG.costs.payer, CONFIG.gate, CONFIG.trigger):
        found = settings_of(settings)
        assert found
        assert all(each.meaning for each in found), found
        assert all(f"| `{each.name}` | {each.value} |" in charter for each in found)


def test_the_dictionary_has_every_column_view_and_feature(sources: Sources) -> None:
    dictionary = documents(sources)["2-data-dictionary.md"]
    for table in contract.tables():
        assert f"## {table.name}\n" in dictionary
        assert all(f"| `{each.name}` |" in dictionary for each in table.schema if not each.name.startswith("f_"))
    assert all(f"| `{each.name}` |" in dictionary for each in contract.views("p", "pix", 87))
    assert all(f"| `{name}` |" in dictionary for name in FEATURE_NAMES)


def test_data_and_model_reports_are_of_the_version_that_serves(sources: Sources) -> None:
    found = documents(sources)
    quality = facts_of(sources).quality
    assert quality is not None
    assert f"| frauds | {quality.frauds:,} |" in found["3-data-quality.md"]
    assert found["3-data-quality.md"].count("| passed |") + found["3-data-quality.md"].count("| FAILED |") == len(
        quality.checks
    )
    assert "| `average_precision` | 0.61 |" in found["4-model.md"]
    assert "by ana / bia, trigger -" in found["4-model.md"]


def test_the_exit_report_has_the_steps_of_the_ledger(sources: Sources) -> None:
    report = documents(sources)["5-exit.md"]
    assert "| TOO_FEW | 1 |" in report
    assert "| 2026-11-20 | TOO_FEW | v1 | ana | 12 frauds / of 100 |" in report


def test_without_a_model_or_with_an_expired_training_set_the_reports_say_so(sources: Sources) -> None:
    assert isinstance(sources.archive, MemoryArchive)
    sources.archive.objects.clear()
    assert "is no longer in the bucket" in documents(sources)["3-data-quality.md"]
    empty = documents(Sources(MemoryBlobs(lambda: NOW), MemoryArchive(), MemoryLedger()))
    assert "No version serves" in empty["3-data-quality.md"] + empty["4-model.md"]
    assert "No version serves" in empty["5-exit.md"]


def test_an_unknown_version_and_damaged_files_are_errors(sources: Sources) -> None:
    with pytest.raises(BundleRefused, match="v9: manifest"):
        documents(sources, "v9")
    assert isinstance(sources.archive, MemoryArchive)
    [name] = sources.archive.objects
    sources.archive.objects[name] = b"no Parquet"
    with pytest.raises(BadDataset, match="cannot be read"):
        documents(sources)
    sources.blobs.write(path("v2", MANIFEST), b"{", 0)
    with pytest.raises(BundleRefused):
        documents(sources, "v2")
