"""Traffic moves to new revisions by steps, and back from one that does worse."""

import re
from pathlib import Path

import pytest

from infra.deploy.stage import DESK, FUNCTIONS
from tests.infra.pipeline import run
from tests.infra.stubs import answers, gcloud, moves, traffic

STAGING = "infra/deploy/cloudbuild.staging.yaml"


def test_traffic_moves_by_steps_that_are_judged(tmp_path: Path) -> None:
    ran = run(STAGING, tmp_path, answers())
    assert ran.failed is None, ran.output
    gates = ["infra/deploy/gate.py"] * len(FUNCTIONS)
    assert moves(ran.calls) == ["1", "sleep", *gates, "10", "sleep", *gates, "100"]
    assert "python3 infra/deploy/gate.py bank pix-label pix-label-new 600" in ran.calls


@pytest.mark.parametrize("service", ["pix-outcome", "pix-console"])
@pytest.mark.parametrize("percent", [1, 10])
def test_a_worse_revision_takes_the_traffic_of_all_back(tmp_path: Path, percent: int, service: str) -> None:
    worse = f"""case "$*" in
      *{service}*) if grep -q "to-revisions={service}-new={percent} " "$CALLS"; then exit 1; fi ;;
    esac"""
    there = " ".join(f"pix-{name}" for name in (*FUNCTIONS, DESK))
    ran = run(STAGING, tmp_path, answers(python3=worse, gcloud=gcloud(there=there)))
    assert ran.failed == "traffic"
    assert "a new revision did worse" in ran.output
    assert traffic(ran.calls) == []
    for name in (*FUNCTIONS, DESK):
        shares = re.findall(rf"pix-{name}-new=(\d+)", "\n".join(ran.calls))
        assert shares == [*map(str, [1, 10][: [1, 10].index(percent) + 1]), "0"]
    assert not [call for call in ran.calls if "proven.tfvars" in call]
