"""The refit of what is promoted, and the judged fit behind it."""

from __future__ import annotations

import msgspec
import pytest

from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import read_pointer
from shared.learning.lifecycle.refitting import judged_fit
from shared.learning.lifecycle.retraining import retrain
from shared.learning.specs.gate import RefitSpec
from shared.scoring.bundle import path
from shared.scoring.champion import read_bundle
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.synthetic import QUICK, Bench, request, silent


def test_a_refit_on_the_newest_rows_serves_and_its_approved_fit_is_the_one_to_beat() -> None:
    bench = Bench()
    first = retrain(bench.services(), QUICK, request(), silent)
    serving, approved = (read_bundle(bench.blobs, name).manifest for name in (first.version, first.approved))
    assert (serving.refit_of, approved.refit_of) == (first.approved, None)
    newest = max(bench.exports.table["initiated_at"].to_pylist()).timestamp()
    assert serving.metrics["trained_until"] == serving.metrics["seen_until"] == pytest.approx(newest)
    assert approved.metrics["trained_age_days"] > serving.metrics["trained_age_days"] + 20
    assert serving.files["policy.json"] == approved.files["policy.json"]
    assert first.version in bench.rows[-1].reason
    assert f"serves as {first.version}" in bench.runs.reports[first.run_id].documents["card.html"].decode()
    second = retrain(bench.services(), QUICK, request("always"), silent)
    assert second.champion == first.approved
    verdict = msgspec.json.decode(bench.runs.reports[second.run_id].documents["verdict.json"])
    assert [one["notice"] for one in verdict.values()] == [""]
    OperatorMove(bench.blobs, lambda: bench.runs, bench.ledger, bench.now, "me").rollback("")
    assert read_pointer(bench.blobs).version == first.version


def test_a_refit_that_does_not_prove_itself_does_not_serve() -> None:
    bench = Bench()
    strict = msgspec.structs.replace(QUICK, refit=RefitSpec(psi_max=1e-9, ratio_max=9.0, correlation_min=0.1))
    first = retrain(bench.services(), strict, request(), silent)
    assert read_pointer(bench.blobs).version == first.version == first.approved
    assert bench.actions() == ["PUBLISH", "SWAP"]
    assert "has not proved itself: the stability index" in bench.rows[-1].reason


def test_a_refit_whose_judged_fit_is_gone_is_the_one_to_beat_itself() -> None:
    bench = Bench()
    for name, data in small_bundle("v2", refit_of="v1").items():
        bench.blobs.write(path("v2", name), data, 0)
    champion = read_bundle(bench.blobs, "v2")
    assert judged_fit(bench.blobs, champion) is champion
    for name, data in small_bundle("v1").items():
        bench.blobs.write(path("v1", name), data, 0)
    found = judged_fit(bench.blobs, champion)
    assert found is not None
    assert found.version == "v1"
