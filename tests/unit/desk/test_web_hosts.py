"""The pages of a local desk, whose users prove nothing, and of a case whose time is over."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from shared.adapters.memory.desk import NamedUser
from tests.unit.desk.browser import Browser
from tests.unit.desk.test_web import PATH, PIX
from tests.unit.desk.world import World, held


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8084", 200), ("127.0.0.1:8084", 200), ("[::1]:8084", 200), ("evil.example:8084", 400)],
)
def test_a_local_desk_answers_to_its_own_machine_only(host: str, status: int) -> None:
    browser = Browser(World(), host=host)
    browser.get("/")
    assert browser.status == status
    assert browser.headers["content-security-policy"]


def test_a_desk_behind_a_proof_of_identity_has_any_name() -> None:
    browser = Browser(World(user="", audience="/projects/1/x"), host="desk.example")
    browser.get("/")
    assert browser.status == 200


def test_a_named_user_has_one_address_however_it_is_written() -> None:
    named = NamedUser("Ana@desk.local")
    given = [{}, {"cookie": "desk_user=ANA@desk.local"}, {"cookie": "desk_user=ana@desk.local"}]
    assert {asyncio.run(named.email(headers)) for headers in given} == {"ana@desk.local"}


@pytest.mark.parametrize(("minutes", "late"), [(30, False), (-1, True)])
def test_a_case_whose_time_is_over_says_that_a_verdict_comes_too_late(minutes: int, late: bool) -> None:
    world, now = World(), dt.datetime.now(dt.UTC)
    world.rows.add(held(initiated_at=now, scored_at=now, hold_until=now + dt.timedelta(minutes=minutes)))
    browser = Browser(world)
    browser.get(PATH)
    assert PIX.end_to_end_id in browser.html
    assert ("tarde para o dinheiro" in browser.text) == late
