"""Critical vulnerabilities of images, and any of packages, stop a deployment, unless tolerated until a near day."""

import datetime as dt
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.deploy.stage import ROOT
from tests.infra.stubs import gcloud

LISTED = ROOT / "infra" / "deploy" / "tolerated-vulnerabilities.txt"
TODAY = dt.datetime.now(dt.UTC).date()
FOUND = "CRITICAL\tCVE-2026-1\nHIGH\tCVE-2026-2\nCRITICAL\tCVE-2026-3"


def tolerating(folder: Path, tolerated: str, *files: str) -> None:
    """Copy files of the repository into a folder that has another list."""
    for name in ("infra/deploy/scan.sh", "infra/deploy/tolerated.sh", *files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "infra" / "deploy" / LISTED.name).write_text(f"# a comment\n{tolerated}", "utf-8")


def scan(folder: Path, tolerated: str) -> tuple[int, str]:
    """Return exit code and errors of a scan that finds two critical vulnerabilities."""
    tolerating(folder, tolerated)
    return scanned(folder)


def scanned(folder: Path) -> tuple[int, str]:
    """Return exit code and errors of a scan in a folder."""
    stub = folder / "gcloud"
    stub.write_text(f"#!/bin/sh\n{gcloud(critical=FOUND)}", "utf-8")
    stub.chmod(0o755)
    done = subprocess.run(
        ["sh", "infra/deploy/scan.sh", "image:1"],
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin", "CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("tolerated", "stopping"),
    [
        ({}, ["CVE-2026-1", "CVE-2026-3"]),
        ({"CVE-2026-1": 0}, ["CVE-2026-3"]),
        ({"CVE-2026-1": -1, "CVE-2026-3": 9}, ["CVE-2026-1"]),
        ({"CVE-2026-1": 1, "CVE-2026-3": 89}, []),
        ({"CVE-2026-2": 9, "CVE-2026-11": 9}, ["CVE-2026-1", "CVE-2026-3"]),
    ],
)
def test_a_vulnerability_is_tolerated_until_its_day(
    tmp_path: Path, tolerated: dict[str, int], stopping: list[str]
) -> None:
    lines = [f"{name} {TODAY + dt.timedelta(days)} for a reason\n" for name, days in tolerated.items()]
    code, errors = scan(tmp_path, "".join(lines))
    assert code == bool(stopping), errors
    found = re.findall(r"CVE-\S+(?! is)$", errors.partition("critical vulnerabilities: ")[2], re.M)
    assert found == stopping
    kept = set(re.findall(r"(CVE-\S+) is tolerated until", errors))
    assert kept == {"CVE-2026-1", "CVE-2026-3"} - set(stopping)


def test_without_the_list_no_scan_passes(tmp_path: Path) -> None:
    tolerating(tmp_path, "")
    (tmp_path / "infra" / "deploy" / LISTED.name).unlink()
    code, errors = scanned(tmp_path)
    assert code, errors


def test_the_audit_of_packages_tolerates_what_the_list_tolerates_today(tmp_path: Path) -> None:
    days = {"PYSEC-2026-1": 9, "GHSA-aaaa-bbbb-cccc": 1, "CVE-2026-3": -2}
    lines = [f"{name} {TODAY + dt.timedelta(left)} for a reason\n" for name, left in days.items()]
    tolerating(tmp_path, "".join(lines), "Makefile", "infra/tools/supply.txt")
    done = subprocess.run(["make", "-n", "audit"], cwd=tmp_path, capture_output=True, text=True, check=True)
    audited = next(line for line in done.stdout.splitlines() if "pip-audit --strict" in line)
    assert re.findall(r"--ignore-vuln=(\S+)", audited) == ["PYSEC-2026-1", "GHSA-aaaa-bbbb-cccc"]


def test_the_list_has_reasons_and_days_that_are_near() -> None:
    for line in LISTED.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, day, reason = line.split(" ", 2)
            assert re.fullmatch(r"CVE-\d+-\d+|GHSA(-\w{4}){3}|PYSEC-\d+-\d+", name)
            assert dt.date.fromisoformat(day) <= TODAY + dt.timedelta(90)
            assert len(reason) > 20
