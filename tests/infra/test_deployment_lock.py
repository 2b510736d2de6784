"""Dry runs of deployments that compete for the lock."""

import re
from pathlib import Path

import pytest

from tests.infra.pipeline import GIVEN, run
from tests.infra.stubs import answers, gcloud, holds, position

STAGING = "infra/deploy/cloudbuild.staging.yaml"


def test_deployment_locks_before_any_change_and_unlocks_last(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(latest="True")))
    lock = "gs://my-bank-pix-staging-terraform/staging.deploying"
    taken = position(ran.calls, rf"storage cp build/lock {lock} --if-generation-match=0")
    assert taken < position(ran.calls, "--to-revisions") < position(ran.calls, "infra.deploy.migrate")
    assert ran.calls[-1] == f"gcloud storage rm {lock}"
    assert holds(tmp_path) is None


@pytest.mark.parametrize("status", ["QUEUED", "WORKING"])
def test_second_deployment_waits_and_prints_the_lock_owner(tmp_path: Path, status: str) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(holder="b-0", status=status)))
    assert ran.failed == "lock"
    assert f"build b-0 ({status}) has been deploying since 2026-11-20T14:32:05" in ran.output
    waited = sum(int(call.removeprefix("sleep ")) for call in ran.calls if call.startswith("sleep "))
    assert 1500 < waited <= 1800
    assert holds(tmp_path) == "b-0"
    assert not [call for call in ran.calls if re.search("update-traffic|deploy.migrate|^terraform .* plan", call)]


@pytest.mark.parametrize("status", ["FAILURE", "CANCELLED", "TIMEOUT"])
def test_lock_of_a_finished_build_is_taken_over(tmp_path: Path, status: str) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(holder="b-0", status=status)))
    assert ran.failed is None, ran.output
    assert position(ran.calls, "builds describe b-0 --region=southamerica-east1")
    assert position(ran.calls, "storage cp build/lock .* --if-generation-match=17$")
    assert "sleep 30" not in ran.calls


def test_waiting_deployment_continues_after_the_unlock(tmp_path: Path) -> None:
    stubs = answers(gcloud=gcloud(holder="b-0", status="WORKING"), sleep='[ "$1" != 30 ] || rm "$CALLS.lock"')
    ran = run(STAGING, tmp_path, stubs)
    assert ran.failed is None, ran.output
    assert ran.calls.count("sleep 30") == 1


def test_lock_taken_during_the_check_is_kept(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(holder="b-0", status="FAILURE", intruder="b-9")))
    assert ran.failed == "lock"
    assert "build b-9 (WORKING) has been deploying" in ran.output
    assert holds(tmp_path) == "b-9"


def test_deployment_never_waits_for_its_own_lock(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers(gcloud=gcloud(holder=GIVEN["BUILD_ID"], status="WORKING")))
    assert ran.failed is None, ran.output
