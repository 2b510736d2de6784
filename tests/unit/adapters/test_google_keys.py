"""Google's keys: read once for all who wait, kept while they cannot be read, and read again within bounds."""

from __future__ import annotations

import asyncio
import base64
import json
import threading

import pytest
import requests

from shared.adapters.google_keys import AGAIN_SECONDS, FAILED_SECONDS, KEPT_SECONDS, GoogleKeys, Keys, read_keys
from shared.errors import Unavailable
from tests.unit.clocks import ManualClock
from tests.waiting import PATIENCE, settled

TOGETHER = 5


def token(key_id: str) -> str:
    """Return a token that names a key; its signature is not looked at here."""
    parts = ({"alg": "RS256", "kid": key_id}, {"exp": 0})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(each).encode()).decode() for each in parts), "AAAA"])


class Document:
    """The document of keys; reading it may fail, or take until its gate opens."""

    def __init__(self, *key_ids: str) -> None:
        self.key_ids, self.is_away, self.read = key_ids, False, 0
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self) -> Keys:
        self.read += 1
        assert self.gate.wait(PATIENCE)
        if self.is_away:
            raise Unavailable("away")
        return dict.fromkeys(self.key_ids, "PEM")


@pytest.fixture
def document() -> Document:
    return Document("one")


@pytest.fixture
def keys(document: Document, clock: ManualClock) -> GoogleKeys:
    return GoogleKeys(document, clock)


def knows(keys: GoogleKeys, key_id: str) -> bool:
    return key_id in asyncio.run(keys.of(token(key_id)))


def test_all_who_come_before_the_first_reading_wait_for_it(keys: GoogleKeys, document: Document) -> None:
    async def scenario() -> list[Keys]:
        document.gate.clear()
        waiting = [asyncio.create_task(keys.of(token("one"))) for _ in range(TOGETHER)]
        await settled()
        document.gate.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(scenario()) == [{"one": "PEM"}] * TOGETHER
    assert document.read == 1


def test_all_who_have_a_new_key_wait_for_it_and_others_do_not(
    keys: GoogleKeys, document: Document, clock: ManualClock
) -> None:
    async def scenario() -> list[Keys]:
        await keys.of(token("one"))
        document.key_ids = ("one", "two")
        clock.now += KEPT_SECONDS
        document.gate.clear()
        waiting = [asyncio.create_task(keys.of(token("two"))) for _ in range(TOGETHER)]
        await settled()
        assert await keys.of(token("one")) == {"one": "PEM"}
        document.gate.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(scenario()) == [{"one": "PEM", "two": "PEM"}] * TOGETHER
    assert document.read == 2


def test_without_keys_nobody_is_refused_and_they_are_read_again_soon(
    keys: GoogleKeys, document: Document, clock: ManualClock
) -> None:
    document.is_away = True
    for _ in range(TOGETHER):
        with pytest.raises(Unavailable):
            knows(keys, "one")
    assert document.read == 1
    document.is_away = False
    clock.now += FAILED_SECONDS
    assert knows(keys, "one")


def test_keys_stay_known_while_they_cannot_be_read_again(
    keys: GoogleKeys, document: Document, clock: ManualClock
) -> None:
    assert knows(keys, "one")
    document.is_away = True
    clock.now += KEPT_SECONDS
    assert [knows(keys, "one") for _ in range(TOGETHER)] == [True] * TOGETHER
    assert document.read == 2
    with pytest.raises(Unavailable):
        knows(keys, "two")
    document.is_away, document.key_ids = False, ("two",)
    clock.now += AGAIN_SECONDS
    assert (knows(keys, "two"), knows(keys, "one")) == (True, False)


def test_an_invented_id_makes_one_reading_a_minute(keys: GoogleKeys, document: Document, clock: ManualClock) -> None:
    assert [knows(keys, f"invented {n}") for n in range(TOGETHER)] == [False] * TOGETHER
    assert document.read == 1
    clock.now += AGAIN_SECONDS
    assert not knows(keys, "invented")
    assert document.read == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"one": 1}'])
def test_a_document_of_another_form_is_unavailable(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = requests.Response()
    answer.status_code, answer._content = 200, content
    monkeypatch.setattr(requests, "get", lambda *_, **__: answer)
    with pytest.raises(Unavailable):
        read_keys("https://keys.example")
