"""Redriving dead letters, over the in-memory twin."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest

from shared.adapters.memory.operations import MemoryDeadLetters
from shared.errors import Unavailable
from shared.operations.redrive import Redrive, Redriven
from shared.ports.messages import DeadLetter

START = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def letter(number: int, redriven: int = 0, minutes: int = -1) -> DeadLetter:
    attributes = {"source": "psp"} | ({"redriven": str(redriven)} if redriven else {})
    return DeadLetter(f"m{number}", b"%d" % number, attributes, START + dt.timedelta(minutes=minutes), f"a{number}")


def redrive(letters: MemoryDeadLetters, most: int | None = None, dry_run: bool = False) -> Redriven:
    result = Redriven("pix-transactions", dry_run)
    Redrive(letters, result, START, times=3, quiet_seconds=0.02).run(most, lambda _: None)
    return result


def test_each_letter_is_published_once_with_one_more_redrive() -> None:
    letters = MemoryDeadLetters(letter(number, redriven=number) for number in range(3))
    assert redrive(letters).redriven == 3
    assert [(each.data, each.redriven) for each in letters.published] == [(b"0", 1), (b"1", 2), (b"2", 3)]
    assert all(each.attributes["source"] == "psp" for each in letters.published)
    assert letters.waiting == letters.leased == []


def test_a_limit_leaves_the_others_waiting() -> None:
    letters = MemoryDeadLetters(map(letter, range(5)))
    assert redrive(letters, most=2).redriven == 2
    assert len(letters.waiting) == 3


def test_a_dry_run_publishes_nothing() -> None:
    letters = MemoryDeadLetters(map(letter, range(5)))
    assert redrive(letters, dry_run=True).redriven == 5
    assert not letters.published
    assert len(letters.waiting) == 5


def test_later_and_hopeless_letters_stay() -> None:
    letters = MemoryDeadLetters([letter(1, minutes=1), letter(2, redriven=3), letter(3)])
    result = redrive(letters)
    assert (result.redriven, result.came_later, result.died_too_often) == (1, 1, 1)
    assert {each.message_id for each in letters.waiting} == {"m1", "m2"}


def test_a_failed_publication_keeps_its_letters() -> None:
    letters = MemoryDeadLetters(map(letter, range(3)))
    letters.away = True
    with pytest.raises(Unavailable, match="3 letters"):
        redrive(letters)
    assert len(letters.waiting) == 3
    assert letters.leased == []


def test_an_interruption_keeps_letters_not_yet_published() -> None:
    class Interrupted(MemoryDeadLetters):
        def redrive(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:  # noqa: ARG002 (the port's signature)
            raise KeyboardInterrupt

    letters = Interrupted(map(letter, range(3)))
    with pytest.raises(KeyboardInterrupt):
        redrive(letters)
    assert len(letters.waiting) == 3
