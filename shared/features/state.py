"""All records of history as arrays and as a file, to build them in bulk and load them into a function at start."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.errors import Misconfigured
from shared.features.keys import Keys
from shared.features.layout import CONTACT, LAYOUTS
from shared.features.packing import packed, unpacked


class Records(NamedTuple):
    """Records of one kind: `keys` [k] and, in the same order, `records` [k, layout.width]."""

    keys: Keys
    records: NDArray[np.float64]


class State(NamedTuple):
    """Records of each of LAYOUTS, the last place of a change, and the payer [contacts] of each contact.

    The records of all shards of a history have a last place for each: `sequence` is that of the first shard, `others`
    are those of the others.
    """

    tables: tuple[Records, ...]
    sequence: int
    payers: Keys
    others: tuple[int, ...] = ()

    @classmethod
    def empty(cls) -> State:
        """Return history before the first transaction.

        >>> State.empty().sequence
        0
        """
        none = np.empty(0, np.uint64)
        return cls(tuple(Records(none, np.empty((0, layout.width))) for layout in LAYOUTS), 0, none)

    @classmethod
    def joined(cls, shards: Sequence[State]) -> State:
        """Return the records of all shards of a history, given those of each in order; a record is on one."""
        if len(shards) == 1:
            return shards[0]
        tables = tuple(
            Records(*(np.concatenate(part) for part in zip(*of_kind, strict=True)))
            for of_kind in zip(*(each.tables for each in shards), strict=True)
        )
        first, *others = (each.sequence for each in shards)
        return cls(tables, first, np.concatenate([each.payers for each in shards]), tuple(others))

    def used_since(self, seconds: float) -> State:
        """Return the state without the records that nothing has touched since a time.

        A payer's contacts stay together, since a store drops them as a whole, once none of them was touched.
        """
        kept = [table.records[:, 0] >= seconds for table in self.tables]
        at = LAYOUTS.index(CONTACT)
        if len(self.payers):
            of = np.unique(self.payers, return_inverse=True)[1]
            latest = np.full(of.max() + 1, -np.inf)
            np.maximum.at(latest, of, self.contacts.records[:, 0])
            kept[at] = latest[of] >= seconds
        tables = tuple(
            Records(keys[rows], records[rows]) for (keys, records), rows in zip(self.tables, kept, strict=True)
        )
        return self._replace(tables=tables, payers=self.payers[kept[at]])

    @property
    def places(self) -> tuple[int, ...]:
        """Return the last place on each shard of which there are records."""
        return self.sequence, *self.others

    @property
    def contacts(self) -> Records:
        """Return the records of contacts."""
        return self.tables[LAYOUTS.index(CONTACT)]

    def dump(self, path: str | Path) -> None:
        """Write to a file."""
        arrays: dict[str, NDArray[np.generic]] = {
            "layout": np.array(LAYOUT_ID),
            "sequence": np.array(self.places, dtype=np.int64),
            "payers": self.payers,
        }
        for layout, (keys, records) in zip(LAYOUTS, self.tables, strict=True):
            arrays[f"{layout.kind}_keys"], arrays[f"{layout.kind}_records"] = keys, packed(layout, records)
        with Path(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> State:
        """Read from a file. Raises Misconfigured if it is missing or of another layout."""
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if str(file["layout"]) != LAYOUT_ID:
                    raise Misconfigured(
                        f"{path} was written for another layout of history; replay it from the events"
                    )
                tables = tuple(
                    Records(file[f"{x.kind}_keys"], unpacked(x, file[f"{x.kind}_records"])) for x in LAYOUTS
                )
                sequence, *others = np.atleast_1d(file["sequence"]).tolist()
                return cls(tables, int(sequence), file["payers"], tuple(others))
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise Misconfigured(f"{path} holds no state of history ({type(error).__name__})") from error


def _layout_id() -> str:
    text = repr(
        [(x.kind, x.names, x.types, x.lasts, [m[1:] for m in x.marks], [m[1:] for m in x.measures]) for x in LAYOUTS]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


LAYOUT_ID = _layout_id()
"""Identity of the layouts: it changes with the meaning or the stored form of any value of a record."""
