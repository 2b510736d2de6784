"""Fuzz the API of the decide function: `python -m tests.fuzz.api --runs 1000000`.

Each question is answered 200, 413 or 422; a decision is of the Pix that was asked about, and a problem repeats no
text of the question. Otherwise the question is printed. Exit status 0 if there is no such question.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from shared.adapters.memory.history import MemoryHistoryAdapter
from shared.contract.envelope import published
from shared.serving.http.problems import HttpAnswer
from tests.functions.asking import Functions
from tests.fuzz.mutations import mutated, plain, seeds

BATCH = 256
_WORD = 6
"""Characters of a text that is no word of the API itself."""
_KEPT = 50_000  # rows, for repeated questions


class WrongAnswer(AssertionError):
    """A question was answered otherwise than it may be."""


class Api:
    """The API over memory, with a fixed clock."""

    def __init__(self) -> None:
        logging.disable(logging.CRITICAL)
        self._runner = asyncio.Runner()
        self._functions = self._runner.run(self._made())
        self.statuses: Counter[int] = Counter()

    def check(self, questions: Sequence[bytes]) -> None:
        """Ask questions together. Raises WrongAnswer with the first one whose answer is wrong."""
        for question, answer in zip(questions, self._runner.run(self._asked(questions)), strict=True):
            self.statuses[answer.status] += 1
            if reason := wrong(question, answer):
                raise WrongAnswer(f"{reason}: {question!r} was answered {answer!r}")
        if len(self._functions.table.rows) > _KEPT:
            self._functions.table.rows.clear()

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()
        logging.disable(logging.NOTSET)

    async def _asked(self, questions: Sequence[bytes]) -> list[HttpAnswer]:
        return list(await asyncio.gather(*map(self._functions.post, questions)))

    @staticmethod
    async def _made() -> Functions:
        return Functions(MemoryHistoryAdapter())


def wrong(question: bytes, answer: HttpAnswer) -> str | None:
    """Return the fault of an answer, None if it has none."""
    told = json.loads(answer.body)
    if answer.status == 200:
        return None if json.loads(question)["end_to_end_id"] == told["end_to_end_id"] else "another Pix"
    if answer.status not in (413, 422):
        return "its status"
    if (told["status"], set(told) - {"type", "title", "status", "reason", "field"}) != (answer.status, set()):
        return "its problem"
    values = " ".join(str(told[name]) for name in ("type", "title", "reason", "field") if name in told)
    return "it repeats a value" if any(text in values for text in _texts(question)) else None


def questions(runs: int, seed: int) -> Iterator[bytes]:
    """Yield the messages in mutated deliveries of transactions."""
    chance = random.Random(seed)
    valid = [body for function, body in seeds() if function == 0]
    for _ in range(runs):
        yield published(mutated(chance.choice(valid), chance, plain))[0]


def main(arguments: list[str] | None = None) -> int:
    """Ask, print a line of JSON, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.api", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N", help="questions (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="default: %(default)s")
    options = parser.parse_args(arguments)
    api, began = Api(), time.monotonic()
    batch: list[bytes] = []
    for question in questions(options.runs, options.seed):
        batch.append(question)
        if len(batch) == BATCH:
            api.check(batch)
            batch.clear()
    api.check(batch)
    api.close()
    print(json.dumps({"statuses": dict(api.statuses), "seconds": round(time.monotonic() - began, 1)}))
    return 0


def _texts(question: bytes) -> set[str]:
    """Return the values of a question that are texts of some length, as far as it can be read."""
    try:
        return set(_leaves(json.loads(question)))
    except (ValueError, RecursionError):
        return set()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, str) and len(value) >= _WORD:
        yield value


if __name__ == "__main__":
    sys.exit(main())
