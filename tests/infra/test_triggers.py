"""The triggers of the pipeline, which bootstrap makes, and the accounts of their builds."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.infra.evaluation import Refused, evaluate
from tests.infra.pipeline import ACCOUNTS, BY_TRIGGER
from tests.infra.variables import DIGEST

STAGING = {
    "environment": "staging",
    "project_id": "my-bank-pix-staging",
    "repository": "projects/p/locations/southamerica-east1/connections/c/repositories/r",
    "base_digest": DIGEST,
    "builder": f"gcr.io/buildpacks/builder@{DIGEST}",
    "run_image": f"gcr.io/buildpacks/run@{DIGEST}",
}
PRODUCTION = {
    **{name: STAGING[name] for name in ("project_id", "repository")},
    "environment": "production",
    "promote_from": BY_TRIGGER["_FROM_REGISTRY"],
}


def triggers(terraform: str, folder: Path, given: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the triggers by name, where every build has the account that its file has by hand, too."""
    made = evaluate(terraform, folder, given, "bootstrap")
    accounts = {
        each["name"]: each["account_id"]
        for each in (*made["google_service_account.builders"].values(), made["google_service_account.deploy"])
    }
    found: dict[str, dict[str, Any]] = made["google_cloudbuild_trigger.pipeline"]
    for each in found.values():
        assert accounts[each["service_account"]] == ACCOUNTS[each["filename"]]
    return found


def test_without_a_repository_there_are_no_triggers(bootstrapped: dict[str, Any]) -> None:
    assert bootstrapped["google_cloudbuild_trigger.pipeline"] == {}


def test_staging_checks_pull_requests_and_deploys_main(terraform: str, tmp_path: Path) -> None:
    found = triggers(terraform, tmp_path, STAGING)
    check = found.pop("pix-check")
    assert check["filename"] == "infra/deploy/cloudbuild.checks.yaml"
    assert check["repository_event_config"][0]["pull_request"][0]["branch"] == "^main$"
    assert not check["repository_event_config"][0]["push"]
    assert {name: each["filename"] for name, each in found.items()} == {
        "pix-attest": "infra/deploy/cloudbuild.attest.yaml",
        "pix-build": "cloudbuild.yaml",
        "pix-deploy": "infra/deploy/cloudbuild.staging.yaml",
        "pix-test": "infra/deploy/cloudbuild.checks.yaml",
    }
    assert {each["repository_event_config"][0]["push"][0]["branch"] for each in found.values()} == {"^main$"}
    assert found["pix-build"]["substitutions"] == {
        "_BASE_DIGEST": DIGEST,
        "_BUILDER": STAGING["builder"],
        "_REGION": "southamerica-east1",
        "_RUN_IMAGE": STAGING["run_image"],
    }


def test_production_deploys_a_tag_after_approval(terraform: str, tmp_path: Path) -> None:
    found = triggers(terraform, tmp_path, PRODUCTION)
    assert {each["repository_event_config"][0]["push"][0]["tag"] for each in found.values()} == {"^v[0-9].*$"}
    assert {name: each["filename"] for name, each in found.items()} == {
        "pix-attest": "infra/deploy/cloudbuild.promote.yaml",
        "pix-deploy": "infra/deploy/cloudbuild.production.yaml",
        "pix-plan": "infra/deploy/cloudbuild.plan.yaml",
    }
    asks = {each["approval_config"][0]["approval_required"] for each in found.values()}
    assert asks == {True}, "the code of a tag runs as the account of each"
    assert found["pix-attest"]["substitutions"]["_FROM_REGISTRY"] == PRODUCTION["promote_from"]


NEEDS = "staging needs a base_digest, a builder and its run_image, and production needs promote_from"


@pytest.mark.parametrize(
    ("given", "changed", "reason"),
    [
        (STAGING, {"base_digest": None}, NEEDS),
        (STAGING, {"builder": None}, NEEDS),
        (STAGING, {"run_image": None}, NEEDS),
        (PRODUCTION, {"promote_from": None}, NEEDS),
        (STAGING, {"base_digest": "latest"}, "base_digest must be sha256:"),
        (STAGING, {"builder": "gcr.io/buildpacks/builder:latest"}, "the builder by its digest"),
        (STAGING, {"run_image": "gcr.io/buildpacks/run:latest"}, "the run image by its digest"),
    ],
)
def test_triggers_without_a_pinned_base_builder_run_image_or_source_are_refused(
    terraform: str, tmp_path: Path, given: dict[str, str], changed: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(Refused) as refused:
        evaluate(terraform, tmp_path, {**given, **changed}, "bootstrap")
    assert reason in re.sub(r"\s*│?\s+", " ", str(refused.value))
