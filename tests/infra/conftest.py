"""The configuration as Terraform evaluates it, and the objects for GKE, once for all tests of this folder."""

import shutil
from typing import Any

import pytest

from tests.infra.evaluation import evaluate
from tests.infra.kustomize import FOLDER, OVERLAYS, Object, assembled
from tests.infra.variables import IMAGES, OTHERWISE


@pytest.fixture(scope="session")
def terraform() -> str:
    found = shutil.which("terraform")
    if not found:
        pytest.skip("terraform is not installed, so expressions are parsed but not evaluated")
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("Prometheus is not installed, so no query is evaluated")
    return found


@pytest.fixture(scope="session")
def deployed(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("example"), IMAGES)


@pytest.fixture(scope="session")
def deployed_otherwise(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(terraform, tmp_path_factory.mktemp("otherwise"), OTHERWISE)


@pytest.fixture(scope="session")
def bootstrapped(terraform: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    given = {"billing_account": "000000-000000-000000", "environment": "staging", "project_id": "my-bank-pix-staging"}
    return evaluate(terraform, tmp_path_factory.mktemp("bootstrap"), given, "bootstrap")


@pytest.fixture(scope="session", params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return assembled(FOLDER / "overlays" / request.param)
