"""Facts of many messages as a struct of arrays, the input of history and of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.fields import AccountType, InitiationForm, KeyType, Purpose
from shared.features.arrays import Floats
from shared.features.keys import Keys, fingerprints_of, keys_of
from shared.features.statistics import statistics_matrix

Codes = NDArray[np.int8]

FORMS = tuple(form.value for form in InitiationForm)
PURPOSES = tuple(purpose.value for purpose in Purpose)
KEY_TYPES = tuple(kind.value for kind in KeyType)
ACCOUNT_TYPES = tuple(kind.value for kind in AccountType)

_FIELDS = Event.__struct_fields__
_MICRO = 1e-6
_CENTAVO = 0.01


@dataclass(frozen=True, slots=True)
class Columns:
    """Facts of n messages. Arrays are [n]; times are seconds since the epoch, dates days, amounts BRL.

    A code is the index of a value in FORMS, PURPOSES, KEY_TYPES or ACCOUNT_TYPES, -1 if missing; other missing values
    are NaN, missing keys 0. Flags are 0, 1 or NaN. `statistics` is [len(STATISTICS), n].
    """

    payer: Keys
    payee: Keys
    device: Keys
    at: Floats
    amount: Floats
    form: Codes
    purpose: Codes
    payer_type: Codes
    payee_type: Codes
    key_type: Codes
    payer_opened: Floats
    payee_opened: Floats
    key_owned_since: Floats
    same_institution: Floats
    same_person: Floats
    device_registered: Floats
    device_registered_at: Floats
    statistics: Floats

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Columns:
        """Return some of the messages."""
        return Columns(*(getattr(self, field.name)[..., rows] for field in fields(self)))

    def fingerprints(self) -> Keys:
        """Return a hash [n] of payer, payee, device, time and amount, by which messages under one id are compared.

        The other fields may change when a publisher tries again, such as the payee's statistics in DICT.
        """
        words = (self.payer, self.payee, self.device, self.at.view(np.uint64), self.amount.view(np.uint64))
        return fingerprints_of(np.stack(words, axis=1))

    @classmethod
    def of(cls, events: Sequence[Event]) -> Columns:
        """Return the facts of events.

        >>> from shared.contract.transaction import EXAMPLE, decode_transaction
        >>> from shared.contract.mapping import event_of
        >>> from shared.contract.pseudonyms import Pseudonymiser
        >>> event = event_of(decode_transaction(EXAMPLE).value, Pseudonymiser(b"secret"))
        >>> Columns.of([event]).amount
        array([150.5])
        """
        rows = zip(*map(msgspec.structs.astuple, events), strict=True)
        return cls.of_fields(dict(zip(_FIELDS, rows, strict=True)) if events else dict.fromkeys(_FIELDS, ()))

    @classmethod
    def of_fields(cls, values: dict[str, Sequence[Any]]) -> Columns:
        """Return the facts of n events, given as n values of each field of Event."""
        devices = [device or "" for device in values["device_id"]]
        ids = keys_of([*values["payer_id"], *values["payee_id"], *devices])
        count = len(devices)
        return cls(
            payer=ids[:count],
            payee=ids[count : 2 * count],
            device=ids[2 * count :],
            at=_floats(values["initiated_at"]) * _MICRO,
            amount=_floats(values["amount"]) * _CENTAVO,
            form=_codes(FORMS, values["initiation_form"]),
            purpose=_codes(PURPOSES, values["purpose"]),
            payer_type=_codes(ACCOUNT_TYPES, values["payer_account_type"]),
            payee_type=_codes(ACCOUNT_TYPES, values["payee_account_type"]),
            key_type=_codes(KEY_TYPES, values["payee_key_type"]),
            payer_opened=_floats(values["payer_opened_at"]),
            payee_opened=_floats(values["payee_opened_at"]),
            key_owned_since=_floats(values["payee_key_owned_since"]),
            same_institution=_same(values["payer_ispb"], values["payee_ispb"]),
            same_person=_same(values["payer_person_id"], values["payee_person_id"]),
            device_registered=_floats(values["device_registered"]),
            device_registered_at=_floats(values["device_registered_at"]) * _MICRO,
            statistics=statistics_matrix(values["payee_statistics"]),
        )


class Events(tuple[Event, ...]):
    """A batch of events with their facts, which are computed once for history and features."""

    @cached_property
    def columns(self) -> Columns:
        """Return the facts of the events."""
        return Columns.of(self)


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)


def _codes(known: tuple[str, ...], values: Sequence[str | None]) -> Codes:
    code = _CODES[known]
    return np.array([code[value] for value in values], dtype=np.int8)


def _same(ones: Sequence[str], others: Sequence[str | None]) -> Floats:
    return _floats([None if other is None else one == other for one, other in zip(ones, others, strict=True)])


_CODES: dict[tuple[str, ...], dict[str | None, int]] = {
    known: {None: -1, **{value: code for code, value in enumerate(known)}}
    for known in (FORMS, PURPOSES, KEY_TYPES, ACCOUNT_TYPES)
}
