"""The lock files name the pinned providers, and Terraform takes no other package for one of them."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.infra.configuration import FOLDER, PARTS, Configuration

LOCK = ".terraform.lock.hcl"
ENVIRONMENT = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}


@pytest.mark.parametrize("part", PARTS)
def test_terraform_reads_the_pinned_versions_from_the_lock_file(terraform: str, part: str) -> None:
    command = [terraform, f"-chdir={FOLDER / part}", "version", "-no-color"]
    shown = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    locked = set(re.findall(r"provider registry\.terraform\.io/(\S+) v(\S+)", shown))
    assert locked == Configuration.read(part).sources()


@pytest.mark.parametrize("locked", [True, False])
def test_a_package_with_another_hash_is_refused(terraform: str, tmp_path: Path, locked: bool) -> None:
    source, version = next(each for each in Configuration.read("bootstrap").sources())
    required = f'google = {{\n source = "{source}"\n version = "{version}"\n }}'
    (tmp_path / "main.tf").write_text(f"terraform {{\n required_providers {{\n {required}\n }}\n}}\n", "utf-8")
    if locked:
        shutil.copy(FOLDER / "bootstrap" / LOCK, tmp_path / LOCK)
    mirror = tmp_path / "mirror" / "registry.terraform.io" / source
    mirror.mkdir(parents=True)
    for machine in ("amd64", "arm64"):
        with zipfile.ZipFile(mirror / f"terraform-provider-google_{version}_linux_{machine}.zip", "w") as package:
            package.writestr(f"terraform-provider-google_v{version}_x5", "another program")
    command = [terraform, "init", "-no-color", f"-plugin-dir={tmp_path / 'mirror'}"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == int(locked), done.stdout + done.stderr
    refusal = "doesn't match any of the checksums previously recorded in the dependency lock file"
    assert (refusal in re.sub(r"\s*│?\s+", " ", done.stderr)) == locked
