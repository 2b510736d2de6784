"""Retrainings from the training set to the pointer and the ledger."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.contract.rows import LedgerRow
from shared.errors import Misconfigured, Unavailable
from shared.learning.data import snapshot
from shared.learning.data.dvc import REMOTE
from shared.learning.errors import BadDataset, ExportFailed
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import MoveCause, read_pointer, swap
from shared.learning.lifecycle.request import Promote, Request, RetrainingResult
from shared.learning.lifecycle.retraining import retrain
from shared.learning.ports import Registry
from shared.scoring.bundle import Manifest, path
from shared.scoring.champion import read_bundle
from tests.unit.learning.synthetic import AS_OF, QUICK, Bench, examples, request, silent, stopped


def manifest(bench: Bench, version: str) -> Manifest:
    return msgspec.json.decode(bench.blobs.objects[path(version, "manifest.json")].data, type=Manifest)


@cache
def _trained() -> tuple[Bench, RetrainingResult]:
    bench = Bench()
    return bench, retrain(bench.services(), QUICK, request(), silent)


@cache
def _trained_twice() -> tuple[Bench, RetrainingResult, RetrainingResult]:
    bench, first = trained()
    return bench, first, retrain(bench.services(), QUICK, request("always"), silent)


def trained() -> tuple[Bench, RetrainingResult]:
    """Return a world of the caller's own in which a first model serves, and the outcome of its training."""
    bench, first = _trained()
    return bench.copy(), first


def trained_twice() -> tuple[Bench, str, str]:
    """Return a world of the caller's own after a second training, and the versions of both; the second serves."""
    bench, first, second = _trained_twice()
    assert first.version
    assert second.version
    return bench.copy(), first.version, second.version


def test_a_first_model_replaces_the_rules_but_not_an_equal_model() -> None:
    bench, first = trained()
    assert first.outcome == "PROMOTED"
    assert read_pointer(bench.blobs).version == first.version
    assert bench.runs.aliases == {"champion": first.version}
    again = retrain(bench.services(), QUICK, request(), silent)
    assert again.outcome == "REFUSED"
    assert read_pointer(bench.blobs).version == first.version
    assert bench.actions() == ["PUBLISH", "PUBLISH", "SWAP", "PUBLISH", "REFUSE"]
    one, two = (manifest(bench, outcome.approved) for outcome in (first, again))
    assert one.files["model.onnx"] == two.files["model.onnx"]
    assert one.dataset_hash == two.dataset_hash == first.dataset_hash
    assert again.metrics["average_precision"] == again.champion_metrics["average_precision"]
    assert two.metrics["look_level"] == pytest.approx(one.metrics["look_level"] / 2), "its refit was no second look"


def test_the_run_records_version_figures_and_plots() -> None:
    bench, outcome = trained()
    report = bench.runs.reports[outcome.run_id]
    assert report.version == outcome.version
    assert report.metrics["average_precision"] > 0.2
    assert all(image.startswith(b"\x89PNG") for image in report.plots.values())
    params = bench.runs.params[outcome.run_id]
    assert params["dataset_hash"] == outcome.dataset_hash
    assert (params["actor"], params["commit"], params["library.numpy"]) == ("tests", "0123abcd", "2.0")
    assert "image <code>jobs@sha256:4567</code>" in report.documents["card.html"].decode()


def _with_verdicts(table: pa.Table, verdicts: np.ndarray) -> pa.Table:
    return table.set_column(table.schema.get_field_index("verdict"), "verdict", pa.array(verdicts))


def test_a_challenger_that_learnt_from_shuffled_labels_loses() -> None:
    table = examples().sort_by("initiated_at")
    bench, first = trained()
    verdicts = np.array(table["verdict"].to_pylist())
    past = int(len(verdicts) * 0.79)  # the last period keeps its true labels
    verdicts[:past] = np.random.default_rng(1).permutation(verdicts[:past])
    bench.exports.table = _with_verdicts(table, verdicts)
    outcome = retrain(bench.services(), QUICK, request(), silent)
    assert outcome.outcome == "REFUSED"
    assert read_pointer(bench.blobs).version == first.version


def test_without_a_champion_shuffled_labels_lose_to_the_rules() -> None:
    table = examples()
    verdicts = np.random.default_rng(1).permutation(np.array(table["verdict"].to_pylist()))
    bench = Bench(_with_verdicts(table, verdicts))
    assert retrain(bench.services(), QUICK, request(), silent).outcome == "REFUSED"
    assert read_pointer(bench.blobs).version is None


def test_too_few_frauds_are_nothing_to_do_and_recorded() -> None:
    table = examples(2_000)
    bench = Bench(_with_verdicts(table, np.full(2_000, "LEGITIMATE")))
    outcome = retrain(bench.services(), QUICK, request(), silent)
    assert outcome.outcome == "NOTHING_TO_DO"
    assert bench.actions() == ["NOTHING_TO_DO"]
    assert not bench.blobs.objects


def test_a_verdict_on_too_few_frauds_is_an_outcome_of_its_own() -> None:
    bench = Bench()
    spec = msgspec.structs.replace(QUICK.gate, frauds_min=100_000)
    outcome = retrain(bench.services(), msgspec.structs.replace(QUICK, gate=spec), request(), silent)
    assert outcome.outcome == "TOO_FEW"
    assert bench.actions() == ["PUBLISH", "TOO_FEW"]
    assert read_pointer(bench.blobs).version is None
    assert manifest(bench, outcome.version).metrics["look_level"] == 0  # nothing was tested, so nothing was spent


def test_each_look_at_the_same_period_has_a_lower_level() -> None:
    bench = Bench()
    runs = [retrain(bench.services(), QUICK, request("never"), silent) for _ in range(2)]
    levels = [manifest(bench, run.version).metrics["look_level"] for run in runs]
    assert levels == pytest.approx([QUICK.gate.false_promotions / 4, QUICK.gate.false_promotions / 8])


def test_a_champion_whose_bundle_is_refused_is_compared_by_its_record() -> None:
    bench, outcome = trained()
    first = outcome.version
    name = path(first, "model.onnx")
    bench.blobs.objects[name] = bench.blobs.objects[name]._replace(data=b"altered")
    outcome = retrain(bench.services(), QUICK, request(), silent)
    verdicts = msgspec.json.decode(bench.runs.reports[outcome.run_id].documents["verdict.json"])
    [checks] = [{check["name"]: check for check in verdict["checks"]} for verdict in verdicts.values()]
    assert first in checks["refused champion"]["text"]
    assert checks["refused champion"]["passed"]  # the same model costs as much


@pytest.mark.parametrize(("promote", "serves"), [("never", False), ("always", True)])
def test_a_person_may_decide_instead_of_the_gate(promote: Promote, serves: bool) -> None:
    bench = Bench()
    outcome = retrain(bench.services(), QUICK, request(promote), silent)
    assert (read_pointer(bench.blobs).version == outcome.version) is serves
    assert bench.rows[-1].action == ("SWAP" if serves else "PUBLISH_ONLY")
    assert not serves or "by hand by tests" in bench.rows[-1].reason


def test_a_training_as_of_the_future_is_refused() -> None:
    bench = Bench()
    ahead = msgspec.structs.replace(request(), as_of=AS_OF + dt.timedelta(days=365))
    with pytest.raises(Misconfigured, match="is in the future"):
        retrain(bench.services(), QUICK, ahead, silent)
    assert bench.actions() == ["STOPPED"]
    assert not bench.runs.params


def test_a_clock_of_the_host_that_is_ahead_does_not_make_the_future_past() -> None:
    bench = Bench()
    services = dataclasses.replace(bench.services(), clock=lambda: bench.now() + dt.timedelta(days=400))
    with pytest.raises(Misconfigured, match="is in the future"):
        retrain(services, QUICK, msgspec.structs.replace(request(), as_of=services.clock()), silent)


def test_a_swap_during_the_training_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, first, second = trained_twice()
    services = bench.services()
    publish_row = bench.ledger.append
    known = len(bench.events())

    def meddle(row: LedgerRow) -> None:
        publish_row(row)
        if row.action == "PUBLISH":
            swap(bench.blobs, read_pointer(bench.blobs), first, MoveCause(bench.now(), "somebody", "meanwhile"))

    monkeypatch.setattr(bench.ledger, "append", meddle)
    outcome = retrain(services, QUICK, request("always"), silent)
    assert outcome.outcome == "SWAP_LOST"
    assert read_pointer(bench.blobs).version == first != second
    assert bench.actions()[known:] == ["PUBLISH", "PUBLISH", "REFUSE"]


def test_a_failure_closes_the_run_as_failed_and_swaps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    services = bench.services()
    monkeypatch.setattr("shared.learning.training.export.PARITY", -1.0)
    with pytest.raises(Exception, match="differ"):
        retrain(services, QUICK, request(), silent)
    assert bench.runs.reports == {"run-0": None}
    assert not bench.blobs.objects


def test_rollback_and_promotion_are_recorded_without_the_registry() -> None:
    bench, first, second = trained_twice()
    assert bench.runs.aliases == {"champion": second, "previous": first}
    operator = OperatorMove(bench.blobs, lambda: bench.runs, bench.ledger, bench.now, "me")
    bench.runs.away = True
    moved = operator.rollback("it was too strict")
    assert (moved.from_version, moved.version) == (second, first)
    assert read_pointer(bench.blobs).version == first
    bench.runs.away = False
    operator.promote(second, "after all")
    assert read_bundle(bench.blobs, read_pointer(bench.blobs).version).version == second
    assert [(row.action, row.actor, row.from_version, row.to_version) for row in bench.rows[-2:]] == [
        ("ROLLBACK", "me", second, first),
        ("SWAP", "me", first, second),
    ]


def test_a_swap_counts_although_ledger_and_registry_are_away_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    append = bench.ledger.append

    def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as outage:
        outage.setattr(bench.ledger, "append", lambda row: (away if row.action == "SWAP" else append)(row))
        outage.setattr(bench.runs, "set_champion", away)
        outcome = retrain(bench.services(), QUICK, request(), silent)
    assert outcome.outcome == "PROMOTED"
    assert read_pointer(bench.blobs).version == outcome.version
    assert bench.actions() == ["PUBLISH", "PUBLISH"]
    bench.exports.table = bench.exports.table.slice(0, 500)
    assert retrain(bench.services(), QUICK, auto(), silent).outcome == "NOTHING_TO_DO"
    assert bench.actions() == ["PUBLISH", "PUBLISH", "SWAP", "NOTHING_TO_DO"]
    assert bench.runs.aliases == {"champion": outcome.version}


def test_a_registry_that_cannot_be_opened_does_not_stop_a_rollback() -> None:
    bench, first, _ = trained_twice()

    def registry() -> Registry:
        raise Misconfigured("MLFLOW_TRACKING_URI: nowhere")

    moved = OperatorMove(bench.blobs, registry, bench.ledger, bench.now, "me").rollback("")
    assert (moved.outcome, moved.recorded) == ("ROLLED_BACK", True)
    assert read_pointer(bench.blobs).version == first
    assert bench.actions()[-1] == "ROLLBACK"


def test_a_rollback_without_a_previous_version_changes_nothing() -> None:
    bench = Bench()
    with pytest.raises(Misconfigured):
        OperatorMove(bench.blobs, lambda: bench.runs, bench.ledger, bench.now, "me").rollback("")
    assert not bench.events()


def test_an_unavailable_service_changes_nothing() -> None:
    bench = Bench()
    bench.exports.away = True
    with pytest.raises(Unavailable):
        retrain(bench.services(), QUICK, request(), silent)
    assert not bench.events()
    assert not bench.blobs.objects
    assert bench.now() > dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def auto() -> Request:
    return msgspec.structs.replace(request(), trigger="auto")


def test_an_automatic_run_trains_and_the_next_has_nothing_to_do() -> None:
    bench = Bench()
    first = retrain(bench.services(), QUICK, auto(), silent)
    assert (first.outcome, first.trigger) == ("PROMOTED", "schedule")
    bench.exports.table = bench.exports.table.slice(0, 500)  # fewer new labels than the configuration asks for
    again = retrain(bench.services(), QUICK, auto(), silent)
    assert again.outcome == "NOTHING_TO_DO"
    assert "500 of 1,000 labels are new" in again.reasons[0]
    assert [(row.action, row.trigger) for row in bench.rows[-2:]] == [("SWAP", "schedule"), ("NOTHING_TO_DO", "auto")]


def test_a_bad_training_set_is_in_the_ledger_with_the_reason() -> None:
    table = examples()
    bench = Bench(pa.concat_tables([table, table.slice(0, 300)]))
    with pytest.raises(BadDataset, match="repeat"):
        retrain(bench.services(), QUICK, request(), silent)
    assert bench.actions() == ["STOPPED"]
    assert "600 rows repeat a side of a Pix" in bench.events()[0].reason
    assert not bench.runs.params


def test_full_and_incremental_challengers_meet_the_same_gate() -> None:
    table = examples(9_000).sort_by("initiated_at")
    bench = Bench(table.slice(0, 5_000))
    champion = retrain(bench.services(), QUICK, request("always"), silent)
    bench.exports.table = table
    both = msgspec.structs.replace(QUICK, modes=["full", "incremental"])
    outcome = retrain(bench.services(), both, request(), silent)
    verdicts = msgspec.json.decode(bench.runs.reports[outcome.run_id].documents["verdict.json"])
    assert [name.split()[0] for name in verdicts] == ["full", "incremental"]
    assert all(verdict["reasons"] for verdict in verdicts.values())
    assert outcome.champion == champion.approved
    assert outcome.mode in ("full", "incremental")


def test_the_documents_of_a_run_name_the_rows_left_out() -> None:
    table = examples()
    bench = Bench(pa.concat_tables([table, table.slice(0, 3)]))
    outcome = retrain(bench.services(), QUICK, request(), silent)
    documents = bench.runs.reports[outcome.run_id].documents
    card = documents["card.html"].decode()
    assert outcome.version in card
    assert outcome.dataset_hash in card
    assert "6 rows repeat a side of a Pix (initiated 2026-0" in card
    assert "1,241 decisions of the time of the training data have no label" in card
    assert card.index("What could not be judged") < card.index("<h2>Decisions</h2>")
    assert 'stopped, and nobody reviewed it</td><td class="n">1,234</td><td class="n">50.0%' in card
    assert "http" not in card.replace("http-equiv", "")
    assert len(msgspec.json.decode(documents["leaderboard.json"])) == QUICK.search.trials
    assert all(check["passed"] for check in msgspec.json.decode(documents["quality.json"])["checks"])
    assert len(bench.runs.trials[outcome.run_id]) == QUICK.search.trials


def test_a_run_on_a_snapshot_gives_the_same_model_again() -> None:
    bench, first = trained()
    kept = bench.runs.snapshots[first.run_id]
    assert (kept.content_hash, kept.pointer_name) == (first.dataset_hash, f"{first.dataset_hash}.parquet.dvc")
    rows = bench.archive.objects[snapshot.name_of(kept.content_hash)]
    md5 = hashlib.md5(rows, usedforsecurity=False).hexdigest()
    assert f"md5: {md5}\n  size: {len(rows)}\n" in kept.pointer
    assert bench.archive.objects[f"{REMOTE}/files/md5/{md5[:2]}/{md5[2:]}"] == rows
    bench.exports.table = examples(seed=1)
    again = retrain(
        bench.services(), QUICK, msgspec.structs.replace(request("never"), snapshot=first.dataset_hash), silent
    )
    assert again.dataset_hash == first.dataset_hash
    one, two = (manifest(bench, outcome.approved) for outcome in (first, again))
    assert one.files == two.files
    # So that the next run does not take it for a training of now.
    assert bench.rows[-1].as_of <= bench.events()[0].as_of


def test_what_no_label_judges_is_on_the_card_and_kept_with_the_snapshot() -> None:
    bench = Bench()
    bench.exports.others["AS unjudged"] = stopped(50)
    first = retrain(bench.services(), QUICK, request("never"), silent)
    card = bench.runs.reports[first.run_id].documents["card.html"].decode()
    assert "42, of R$ 10,600 in all" in card  # those of the days of the test period, each twice
    assert first.metrics["unjudged_rows"] == 42
    assert bench.runs.reports[first.run_id].metrics["frauds_effective"] == first.frauds
    bench.exports.others["AS unjudged"] = stopped(0)
    asked = msgspec.structs.replace(request("never"), snapshot=first.dataset_hash)
    again = retrain(bench.services(), QUICK, asked, silent)
    assert again.metrics["unjudged_brl"] == first.metrics["unjudged_brl"]
    later = msgspec.structs.replace(QUICK, split=msgspec.structs.replace(QUICK.split, test_weeks=4))
    other = retrain(bench.services(), later, asked, silent)
    assert "unjudged_rows" not in other.metrics
    assert "Not known: this training set was stored without them" in (
        bench.runs.reports[other.run_id].documents["card.html"].decode()
    )


def test_a_missing_snapshot_trains_nothing() -> None:
    bench = Bench()
    with pytest.raises(Misconfigured, match="no training set"):
        retrain(bench.services(), QUICK, msgspec.structs.replace(request(), snapshot="ab"), silent)
    assert not bench.runs.params


def test_an_unavailable_tracker_does_not_hide_the_failure_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    services = bench.services()

    def fails(*_: object) -> None:
        bench.runs.away = True
        raise ExportFailed("differs")

    monkeypatch.setattr("shared.learning.lifecycle.retraining.train_challengers", fails)
    with pytest.raises(ExportFailed):
        retrain(services, QUICK, request(), silent)
    assert bench.actions() == ["STOPPED"]
    assert not bench.blobs.objects


def test_a_model_without_a_record_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(bench.runs, "finish", lambda *_: (_ for _ in ()).throw(Unavailable("the tracker is away")))
    with pytest.raises(Unavailable):
        retrain(bench.services(), QUICK, request(), silent)
    assert read_pointer(bench.blobs).version is None
    assert not bench.events()
