"""A setting that would hang, blind or expose a function stops its start, by name and never by value."""

from __future__ import annotations

import dataclasses
import math

import pytest

from shared.errors import Misconfigured
from shared.setting_limits import CLAIM_SECONDS_MIN, KEY_BYTES, LIMITS
from shared.settings import LOCAL_HMAC_KEY, Settings

DEFAULT = Settings("project")
VARIABLES = dict(zip((field.name for field in dataclasses.fields(Settings)), DEFAULT.to_env(), strict=True))
KEY = "k" * KEY_BYTES
ZERO_ALLOWED = {
    "state_pause_seconds",  # no pause
    "ahead_seconds",  # clocks that agree
    "batch_linger_seconds",  # batches of what waits
    "drain_seconds",  # no drain
    "log_seconds",  # a line for each batch
}


def settings(**variables: str) -> Settings:
    return Settings.from_env({"GOOGLE_CLOUD_PROJECT": "project", **variables})


def test_every_number_has_a_limit() -> None:
    numbers = {field.name for field in dataclasses.fields(Settings) if field.type in ("int", "float")}
    assert numbers == set(LIMITS)


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "1e999", "zero", " ", "0x10"])
def test_a_number_that_is_none_or_too_small_is_refused(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=VARIABLES[name]) as refused:
        settings(**{VARIABLES[name]: value})
    assert value not in str(refused.value).split()


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_zero_is_refused_unless_it_means_something(name: str) -> None:
    if name in ZERO_ALLOWED:
        assert getattr(settings(**{VARIABLES[name]: "0"}), name) == 0
        return
    with pytest.raises(Misconfigured, match=VARIABLES[name]):
        settings(**{VARIABLES[name]: "0"})


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_an_empty_variable_is_the_default(name: str) -> None:
    if name == "project":
        with pytest.raises(Misconfigured, match="GOOGLE_CLOUD_PROJECT"):
            settings(GOOGLE_CLOUD_PROJECT="")
    else:
        assert settings(**{VARIABLES[name]: ""}) == DEFAULT


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_no_other_way_to_settings_skips_the_limits(name: str) -> None:
    for value in (-1, math.nan, math.inf):
        with pytest.raises(Misconfigured, match=VARIABLES[name]):
            dataclasses.replace(DEFAULT, **{name: value})  # type: ignore[arg-type]  # fields of all types


def test_a_claim_outlives_the_longest_pause_between_deliveries() -> None:
    least = {"PIX_STATE_CLAIM_SECONDS": str(CLAIM_SECONDS_MIN)}
    assert settings(**least).state_claim_seconds == CLAIM_SECONDS_MIN
    with pytest.raises(Misconfigured, match="PIX_STATE_CLAIM_SECONDS"):
        settings(PIX_STATE_CLAIM_SECONDS=str(CLAIM_SECONDS_MIN - 1))


@pytest.mark.parametrize("key", ["x", "k" * (KEY_BYTES - 1), "é" * (KEY_BYTES // 2 - 1)])
def test_a_short_key_is_refused(key: str) -> None:
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY is shorter than 32 bytes") as refused:
        settings(PIX_HMAC_KEY=key)
    assert key not in str(refused.value).split()


def test_the_key_of_the_local_cloud_needs_an_emulator() -> None:
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY") as refused:
        settings(PIX_HMAC_KEY=LOCAL_HMAC_KEY)
    assert LOCAL_HMAC_KEY not in str(refused.value)
    for emulator in ("BIGQUERY_EMULATOR_HOST", "BIGQUERY_STORAGE_EMULATOR_HOST"):
        assert settings(PIX_HMAC_KEY=LOCAL_HMAC_KEY, **{emulator: "localhost:1"}).hmac_key == LOCAL_HMAC_KEY


def test_the_key_is_in_no_text() -> None:
    assert KEY not in f"{settings(PIX_HMAC_KEY=KEY)!r} {settings(PIX_HMAC_KEY=KEY)}"
    with pytest.raises(Misconfigured) as refused:
        settings(PIX_HMAC_KEY=KEY, PIX_BATCH_MAX="0")
    assert KEY not in str(refused.value)
