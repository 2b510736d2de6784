"""Claims of messages by day agree with a dict of everything, also over a resumption."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.features.keys import Keys
from shared.replay.line_claims import AGAIN, FIRST, OTHER_SIDE, TAKEN, Claimed, LineClaims

SIDES = 2
Message = tuple[int, int, int]
"""The number of a Pix, its side, and a fingerprint; Pix 2n and 2n + 1 are of day n."""

messages = st.tuples(st.integers(0, 9), st.integers(0, SIDES - 1), st.integers(1, 2))


def key_of(pix: int, side: int) -> int:
    return 1 + SIDES * pix + side


def claimed(batch: Sequence[Message]) -> Claimed:
    def array(values: list[int]) -> Keys:
        return np.array(values, dtype=np.uint64)

    keys, others = [[key_of(pix, abs(side - other)) for pix, side, _ in batch] for other in (0, 1)]
    return Claimed(array(keys), array([fingerprint for _, _, fingerprint in batch]), array(others))


def days(batch: Sequence[Message]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([pix // 2 for pix, _, _ in batch], dtype=np.int64)


def expected(batches: Sequence[Sequence[Message]]) -> list[int]:
    known: dict[tuple[int, int], int] = {}
    fates = []
    for pix, side, fingerprint in (message for batch in batches for message in batch):
        first = known.get((pix, side))
        if first is not None:
            fates.append(AGAIN if first == fingerprint else TAKEN)
            continue
        known[pix, side] = fingerprint
        fates.append(OTHER_SIDE if (pix, 1 - side) in known else FIRST)
    return fates


@given(st.lists(st.lists(messages, min_size=1, max_size=12), max_size=6), st.booleans())
def test_each_message_has_the_fate_that_a_dict_of_all_gives(batches: list[list[Message]], resumed: bool) -> None:
    claims, found = LineClaims(), []
    for batch in batches:
        found += claims.claim(claimed(batch), days(batch)).tolist()
        if resumed:
            note, claims = claims.note(), LineClaims()
            claims.resume(note)
    assert found == expected(batches)


def test_memory_holds_the_days_that_are_kept() -> None:
    claims = LineClaims()
    for day in range(100):
        claims.forget(before=day - 1)
        claims.claim(claimed([(2 * day, 0, 1)]), np.array([day]))
    assert sorted(claims.note()) == [98, 99]
