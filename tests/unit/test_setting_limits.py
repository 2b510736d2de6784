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
    "late_outcome_seconds",  # each run counts what has come
    "state_pause_seconds",  # no pause
    "ahead_seconds",  # clocks that agree
    "batch_linger_seconds",  # batches of what waits
    "drain_seconds",  # no drain
    "log_seconds",  # a line for each batch
    "start_seconds",  # no wait for bucket and store
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


@pytest.mark.parametrize(
    ("key", "following", "fault"),
    [
        ("k" * 32, "n" * 31, "PIX_HMAC_KEY_NEXT is shorter than 32 bytes"),
        ("", "n" * 32, "PIX_HMAC_KEY_NEXT is set without PIX_HMAC_KEY"),
        ("k" * 32, "k" * 32, "PIX_HMAC_KEY_NEXT is PIX_HMAC_KEY"),
        ("k" * 32, LOCAL_HMAC_KEY, "PIX_HMAC_KEY_NEXT is the public key"),
    ],
)
def test_a_next_key_that_cannot_follow_is_refused(key: str, following: str, fault: str) -> None:
    env = {"GOOGLE_CLOUD_PROJECT": "p", "PIX_HMAC_KEY": key, "PIX_HMAC_KEY_NEXT": following}
    with pytest.raises(Misconfigured, match=fault) as refused:
        Settings.from_env(env)
    assert following not in str(refused.value)


ONE, OTHER = f".shards.{'s' * 32}", f".shards.{'t' * 32}"


@pytest.mark.parametrize(("ends", "ends_next"), [("", ""), ("", ONE), (ONE, ""), (ONE, OTHER)])
def test_no_key_follows_by_which_records_are_on_other_shards(ends: str, ends_next: str) -> None:
    keys = f"{'k' * 32}{ends}", f"{'n' * 32}{ends_next}"
    with pytest.raises(Misconfigured, match="other shards"):
        Settings("p", keys[0], hmac_key_next=keys[1], state_shards=3)
    assert Settings("p", keys[0], hmac_key_next=keys[1]).state_shards == 1, "a history of one shard takes any"


def test_a_key_with_the_same_shard_key_may_follow() -> None:
    assert Settings("p", f"{'k' * 32}{ONE}", hmac_key_next=f"{'n' * 32}{ONE}", state_shards=3).state_shards == 3


@pytest.mark.parametrize("key", [f"{'k' * 31}{ONE}", f"{'k' * 32}.shards.{'s' * 31}", f"{'k' * 64}.shards."])
def test_each_part_of_a_key_has_its_length(key: str) -> None:
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY has less than 32 bytes before or after"):
        settings(PIX_HMAC_KEY=key)
    with pytest.raises(Misconfigured, match="PIX_HMAC_KEY_NEXT has less than 32 bytes"):
        settings(PIX_HMAC_KEY=KEY, PIX_HMAC_KEY_NEXT=key)


def test_the_key_is_in_no_text() -> None:
    assert KEY not in f"{settings(PIX_HMAC_KEY=KEY)!r} {settings(PIX_HMAC_KEY=KEY)}"
    with pytest.raises(Misconfigured) as refused:
        settings(PIX_HMAC_KEY=KEY, PIX_BATCH_MAX="0")
    assert KEY not in str(refused.value)
