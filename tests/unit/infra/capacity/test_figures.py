"""The inputs of capacity planning agree with the code and with Terraform."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.capacity import autoscaling, cost, figures, safekeeping
from infra.capacity import plan as planning
from infra.capacity.plan import Plan
from shared.features.layout import ACCOUNT, CONTACT, DEVICE, PERSON
from shared.features.life import LIFE
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[4]
TERRAFORM = {path.name: path.read_text("utf-8") for path in (ROOT / "infra/terraform").glob("*.tf")}
VARIABLES = "".join(text for name, text in TERRAFORM.items() if name.startswith("variables"))
KNOWN = figures.known()


def default_of(variable: str) -> str:
    found = re.search(rf'variable "{variable}" {{.*?default\s*=\s*([^\n]+)', VARIABLES, re.DOTALL)
    assert found, variable
    return found[1].strip('"')


def bootstrap_variable(name: str) -> str:
    text = (ROOT / "infra/terraform/bootstrap/variables.tf").read_text("utf-8")
    return text.partition(f'variable "{name}"')[2].partition("}")[0]


def test_every_image_is_scanned_once_a_build() -> None:
    scan = (ROOT / "cloudbuild.yaml").read_text("utf-8").partition("infra/deploy/scan.sh")[2].partition("]")[0]
    assert scan.count(":${COMMIT_SHA}") == safekeeping.IMAGES


@pytest.mark.parametrize("name", KNOWN.measured.__struct_fields__)
def test_a_measured_figure_names_an_existing_command(name: str) -> None:
    figure = getattr(KNOWN.measured, name)
    module = figure.command.split()[2]
    assert figure.command.startswith("python -m ")
    assert importlib.util.find_spec(module), module


def test_figures_are_positive_and_shares_add_up_to_one() -> None:
    measured = [getattr(KNOWN.measured, name) for name in KNOWN.measured.__struct_fields__]
    assert all(figure.value > 0 for figure in measured if isinstance(figure, figures.Measured))
    assert sum(KNOWN.measured.hourly_shares.values) == pytest.approx(1, abs=1e-3)
    assert len(KNOWN.measured.hourly_shares.values) == 24


def test_an_assumed_figure_has_a_reason() -> None:
    assert all(len(getattr(KNOWN.assumed, name).why) > 20 for name in KNOWN.assumed.__struct_fields__)


def test_measured_record_sizes_fit_the_current_layouts() -> None:
    measured = KNOWN.measured
    records = {
        ACCOUNT: measured.account_record_bytes,
        CONTACT: measured.contact_record_bytes,
        DEVICE: measured.device_record_bytes,
        PERSON: measured.person_record_bytes,
    }
    for layout, figure in records.items():
        assert layout.packed.itemsize < figure.value < layout.packed.itemsize + 256, layout.kind


def test_measured_life_fits_its_format() -> None:
    assert LIFE.itemsize < KNOWN.measured.life_bytes.value < LIFE.itemsize + 512


def test_a_quota_limits_a_planned_field_and_has_a_source() -> None:
    for quota in figures.quotas():
        assert quota.needs in Plan.__struct_fields__
        assert quota.source.startswith(("https://", "infra/"))
        assert len(quota.then) > 10


def test_settings_equal_the_defaults_of_terraform() -> None:
    assert default_of("score_concurrency") == str(planning.CONCURRENCY)
    assert default_of("valkey_replicas") == str(planning.REPLICAS)
    assert default_of("score_cpu") == "1"
    assert default_of("score_memory") == f"{cost.MEMORY_GIB:g}Gi"
    assert default_of("outcome_concurrency") == str(planning.CONCURRENCY)
    assert default_of("outcome_cpu") == "1"
    assert default_of("outcome_memory") == f"{cost.OUTCOME_MEMORY_GIB * 1024:g}Mi"
    assert "min = 0," in default_of("outcome_instances"), "the plan keeps none"
    assert default_of("alert_history_memory") == str(planning.FILLED)
    assert f"min = {planning.INSTANCES_MIN}, max = {autoscaling.INSTANCES_MAX}" in default_of("score_instances")
    assert default_of("valkey_backup_days") == str(safekeeping.BACKUP_DAYS)
    assert f"default     = {safekeeping.KEY_ROTATION_DAYS}\n" in bootstrap_variable("kms_rotation_days")
    assert default_of("retrain_resources") == f'{{ cpu = "{cost.RETRAIN_VCPU}", memory = "{cost.RETRAIN_GIB}Gi" }}'


def test_our_own_limits_equal_those_of_terraform_and_of_the_plan() -> None:
    own = {quota.needs: quota.limit for quota in figures.quotas() if quota.verified == "ours"}
    memory = re.fullmatch(r'{ cpu = "\d", memory = "(\d+)Gi" }', default_of("operate_resources"))
    assert memory
    outcomes = re.search(r"max = (\d+)", default_of("outcome_instances"))
    assert outcomes
    assert own == {
        "valkey_filled": planning.FILLED,
        "valkey_cores": planning.VALKEY_BUSY,
        "replay_gb": pytest.approx(int(memory[1]) * 2**30 / 1e9, rel=1e-3),
        "score_instances": autoscaling.INSTANCES_MAX,
        "outcome_instances": int(outcomes[1]),
    }


def test_every_price_is_listed_as_verified_or_not_with_a_dated_source() -> None:
    listed = json.loads((figures.FOLDER / "prices.json").read_bytes())
    for group in (each for each in listed.values() if isinstance(each, dict)):
        assert sorted(group["verified"] + group["unverified"]) == sorted(numbers_of(group))
        assert re.search(r"\d{4}-\d{2}-\d{2}", group["seen"])
        assert group["source"].startswith("https://")


def numbers_of(group: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the figures in a group of prices; those of a node have the node's name before them."""
    for name, value in group.items():
        if name == "nodes":
            yield from (f"{node}.{figure}" for node, figures_ in value.items() for figure in figures_)
        elif isinstance(value, int | float):
            yield name


def test_records_were_counted_for_the_default_record_days() -> None:
    assert Settings("").state_record_days in KNOWN.measured.keys_per_daily_pix.values


def test_scheduled_queries_match_terraform() -> None:
    watches = re.split(r"^    (\w+) = \{$", TERRAFORM["alerts-tables.tf"], flags=re.MULTILINE)[1:]
    asked = {
        name: re.search(r'"every (\d+) minutes".*FROM `[^`]*\.score_events`', text, re.DOTALL)
        for name, text in zip(watches[::2], watches[1::2], strict=True)
    }
    assert asked.pop("degraded"), "queried only where Google does not measure it"
    missed = asked.pop("outcomes")
    assert missed
    assert 24 * 60 // int(missed[1]) == cost.OUTCOME_WATCHES_A_DAY
    of_scores = [int(found[1]) for found in asked.values() if found]
    assert sum(24 * 60 // minutes for minutes in of_scores) == cost.WATCHES_A_DAY
    assert f'"15 */{24 // cost.DRIFTS_A_DAY} * * *"' in VARIABLES
    assert 'default     = "10 4 * * *"' in VARIABLES, "skew_bytes are those of a night"
    assert TERRAFORM["jobs.tf"].count("schedule  = var.") == cost.SCHEDULES
