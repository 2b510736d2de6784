"""The bytes between the client and the script of the store of history."""

from __future__ import annotations

import numpy as np
import pytest

from shared.adapters.valkey.wire import (
    CLAIM,
    HEAD,
    LETTERS,
    AskedBatch,
    Keeping,
    change_arguments,
    name_of,
    observations,
    observe_arguments,
    stored_life,
)
from shared.features.columns import SIDES, Events
from shared.features.facts import asks
from shared.features.layout import LAYOUTS, MARKS, READ_WIDTH, WEIGHTS
from shared.features.life import LIFE, STORED, SideClaim, asked, claims_of
from shared.features.verdicts import MARKER_KEY, VERDICT_KEY
from shared.ports.history import LIFE_KEY, Claim
from tests.contract.history_changes import joined, verdict
from tests.unit.streams import event

CLAIM_OF, KEEPING = Claim("v1", 5, 3), Keeping(1, 2, 3)


@pytest.mark.parametrize("version", ["v1", None])
def test_claims_are_the_bytes_of_a_side_claim(version: str | None) -> None:
    batch = AskedBatch.of(Events([event(side=side) for side in SIDES]), Claim(version, 5, 3))
    prints = batch.fingerprints.tolist()
    expected = [
        SideClaim(side, 5, 3, fingerprint, digest, version)
        for side, fingerprint, digest in zip(SIDES, prints, batch.events.digests.tolist(), strict=True)
    ]
    assert [batch.tail(place) for place in range(len(SIDES))] == [claim.encode() for claim in expected]


def test_a_life_is_its_head_and_then_its_reads() -> None:
    assert LIFE.itemsize == HEAD + 4 * READ_WIDTH, "the script appends the reads to the head"
    batch = AskedBatch.of(Events([event(0, 1), event(1, 2)]), CLAIM_OF)
    heads = observe_arguments(batch.part(), KEEPING, [])[6]
    assert isinstance(heads, bytes)
    lives = asked(batch.events.columns, CLAIM_OF.scored_at)
    assert heads == b"".join(life.tobytes()[:HEAD] for life in lives)


def test_only_columns_in_use_are_sent() -> None:
    batch = AskedBatch.of(Events([event(0, 1), event(1, 2)]), CLAIM_OF)
    weights, marks, numbers = observe_arguments(batch.part(), KEEPING, [])[8:11]
    assert isinstance(weights, bytes)
    assert isinstance(marks, bytes)
    assert isinstance(numbers, bytes)
    assert [WEIGHTS[column] for column in weights] == ["asked", "asked_amount", "day"]
    assert [MARKS[column] for column in marks] == ["reached"]
    facts = asks(batch.events.columns)
    rows = np.frombuffer(numbers, dtype="<f8").reshape(2, -1)
    np.testing.assert_array_equal(rows[:, 0], facts.at)
    np.testing.assert_array_equal(rows[:, 1:-1], facts.weights[:, list(weights)])


def test_changes_carry_versions_places_and_numbers_of_facts() -> None:
    one, other = verdict(event(), True, 1), verdict(event(), False, 2, expected=2**32 - 2)
    none = one._replace(facts=one.facts[:0], of=one.of[:0])
    arguments = change_arguments(joined(one, none, other), KEEPING, [b"told"])
    assert isinstance(arguments[8], bytes)
    items = np.frombuffer(arguments[8], dtype="<u4").reshape(-1, 4)
    assert items.tolist() == [[0, 4, 1, 0], [0, 4, 0, 0], [2**32 - 2, 4, 1, 0]]
    assert arguments[10:12] == [1, b"told"]
    assert arguments[12::2] == [one.keys[0], one.keys[0], other.keys[0]]


def test_a_stored_life_has_a_claim_of_each_side() -> None:
    life = stored_life(["PAYEE"])
    assert np.frombuffer(life[: LIFE.itemsize], dtype=LIFE)["place"].tolist() == [STORED]
    assert list(claims_of(life)) == ["PAYEE"]
    pix = event(side="PAYEE")
    seen = observations([life], AskedBatch.of(Events([pix]), CLAIM_OF))
    assert (seen.sequence.tolist(), seen.taken.tolist(), bool(np.isnan(seen.reads).all())) == (
        [STORED],
        [False],
        True,
    )


def test_names_of_values_and_records_differ() -> None:
    letters = [name_of(letter + "E1")[0] for letter in (LIFE_KEY, VERDICT_KEY, MARKER_KEY)]
    assert len({*letters, *LETTERS.values(), "n"}) == len(letters) + len(LAYOUTS) + 1
    assert name_of("lE1") != "lE1", "it changes with the format of lives"


def test_a_claim_has_no_gaps() -> None:
    assert CLAIM.itemsize == len(SideClaim("PAYER", 0, 0, 0, 0, None).encode())
