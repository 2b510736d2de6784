"""Facts of many messages as a struct of arrays, the input of history and of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.fields import AccountType, InitiationForm, KeyType, Purpose
from shared.features.arrays import Floats
from shared.features.clock import second_of_day
from shared.features.keys import Keys, fingerprints_of, keys_of
from shared.features.layout import HOUR
from shared.features.limits import limits_in_force
from shared.features.statistics import statistics_matrix

Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]

FORMS, PURPOSES = InitiationForm.known(), Purpose.known()
KEY_TYPES, ACCOUNT_TYPES = KeyType.known(), AccountType.known()

SIDES, KINDS = ("PAYER", "PAYEE"), ("PERSON", "ENTREPRENEUR", "COMPANY")
_PERSON, _REFUND, _AUTOMATIC = KINDS.index("PERSON"), PURPOSES.index("IPRT"), FORMS.index("AUTO")
_MINUTE = 60.0

_FIELDS = Event.__struct_fields__
_encode = msgspec.msgpack.Encoder().encode
_MICRO = 1e-6
_CENTAVO = 0.01


@dataclass(frozen=True)
class Columns:
    """Facts of n messages. Arrays are [n]; times are seconds since the epoch, dates days, amounts BRL.

    A code is the index of a value in FORMS, PURPOSES, KEY_TYPES, ACCOUNT_TYPES, SIDES or KINDS, their length for any
    other value, -1 if missing; other missing values are NaN, missing keys 0. Flags are 0, 1 or NaN. `statistics` is
    [len(STATISTICS), n].
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
    side: Codes
    payer_kind: Codes
    payee_kind: Codes
    payer_person: Keys
    payee_person: Keys
    key: Keys
    is_return: Flags  # of another Pix, or a refund under the MED: no sale
    payee_registered: Floats
    night_limit: Floats
    night_from: Floats
    day_limit: Floats
    night_spent: Floats
    day_spent: Floats
    unregistered_spent: Floats

    @cached_property
    def automatic(self) -> Flags:
        """Return whether each Pix [n] is a Pix Automático: paid to a company, and outside the limits of other Pix."""
        return np.asarray(self.form == _AUTOMATIC, dtype=bool)

    @cached_property
    def by_unregistered_device(self) -> Flags:
        """Return whether the limits of unregistered devices are meant for each Pix [n]."""
        return np.asarray((self.device_registered == 0) & ~self.automatic, dtype=bool)

    @cached_property
    def customer(self) -> Keys:
        """Return the payer's person [n] where the limits of unregistered devices are meant, 0 elsewhere."""
        return np.where(self.by_unregistered_device, self.payer_person, np.uint64(0))

    @cached_property
    def night(self) -> Flags:
        """Return whether each Pix [n] was initiated in the payer's hours of the night limit."""
        night = limits_in_force().night
        clock = second_of_day(self.at)
        start = np.where(np.isnan(self.night_from), night.from_hour * HOUR, self.night_from)
        hours: Flags = (clock >= start) | (clock < night.until_hour * HOUR)
        return hours

    @cached_property
    def person_to_person(self) -> Floats:
        """Return 1 for Pix [n] between two natural persons, no entrepreneurs, 0 for others, NaN if not known."""
        company = (self.payer_kind != _PERSON) | ((self.payee_kind >= 0) & (self.payee_kind != _PERSON))
        unknown = np.where((self.payee_kind < 0) | np.isnan(self.same_person), np.nan, 1.0)
        return np.where(company | self.automatic | (self.same_person == 1), 0.0, unknown)

    @cached_property
    def counts_at_night(self) -> Flags:
        """Return whether each Pix [n] counts in the total of the night: between persons, or possibly so."""
        counted: Flags = self.night & (self.person_to_person != 0)
        return counted

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: slice | NDArray[Any]) -> Columns:
        """Return some of the messages."""
        return Columns(*(getattr(self, field.name)[..., rows] for field in fields(self)))

    def fingerprints(self) -> Keys:
        """Return a hash [n] of payer, payee, device, time and amount, which identify a Pix.

        Other facts may change when a publisher tries again, such as the payee's statistics in DICT.
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
    def of_fields(cls, values: Mapping[str, Sequence[Any]]) -> Columns:
        """Return the facts of n events, given as n values of each field of Event."""
        return cls.read(_FieldReader(values))

    @classmethod
    def read(cls, rows: FieldReader) -> Columns:
        """Return the facts of rows with the fields of Event: the one place that maps fields to facts."""
        payer, payee, device, payer_person, payee_person, key = rows.keys(
            "payer_id", "payee_id", "device_id", "payer_person_id", "payee_person_id", "payee_key_id"
        )
        purpose = rows.codes("purpose", PURPOSES)
        return cls(
            payer=payer,
            payee=payee,
            device=device,
            at=rows.micros("initiated_at") * _MICRO,
            amount=rows.centavos("amount") * _CENTAVO,
            form=rows.codes("initiation_form", FORMS),
            purpose=purpose,
            payer_type=rows.codes("payer_account_type", ACCOUNT_TYPES),
            payee_type=rows.codes("payee_account_type", ACCOUNT_TYPES),
            key_type=rows.codes("payee_key_type", KEY_TYPES),
            payer_opened=rows.days("payer_opened_at"),
            payee_opened=rows.days("payee_opened_at"),
            key_owned_since=rows.days("payee_key_owned_since"),
            same_institution=rows.same("payer_ispb", "payee_ispb"),
            same_person=rows.same("payer_person_id", "payee_person_id"),
            device_registered=rows.flags("device_registered"),
            device_registered_at=rows.micros("device_registered_at") * _MICRO,
            statistics=rows.statistics("payee_statistics"),
            side=rows.codes("side", SIDES),
            payer_kind=rows.codes("payer_kind", KINDS),
            payee_kind=rows.codes("payee_kind", KINDS),
            payer_person=payer_person,
            payee_person=payee_person,
            key=key,
            is_return=rows.returns("end_to_end_id") | (purpose == _REFUND),
            payee_registered=rows.flags("payee_registered"),
            night_limit=rows.centavos("night_limit") * _CENTAVO,
            night_from=rows.floats("night_from") * _MINUTE,
            day_limit=rows.centavos("day_limit") * _CENTAVO,
            night_spent=rows.centavos("night_spent") * _CENTAVO,
            day_spent=rows.centavos("day_spent") * _CENTAVO,
            unregistered_spent=rows.centavos("unregistered_spent") * _CENTAVO,
        )


class FieldReader(Protocol):
    """Rows with the fields of Event, read by field name into arrays [n]; missing values as in Columns."""

    def keys(self, *names: str) -> Sequence[Keys]:
        """Return the keys of each of some fields of pseudonyms."""
        ...

    def micros(self, name: str) -> Floats:
        """Return times in microseconds since the epoch."""
        ...

    def days(self, name: str) -> Floats:
        """Return dates in days since the epoch."""
        ...

    def centavos(self, name: str) -> Floats:
        """Return amounts in centavos."""
        ...

    def flags(self, name: str) -> Floats:
        """Return 0 or 1."""
        ...

    def floats(self, name: str) -> Floats:
        """Return numbers."""
        ...

    def returns(self, name: str) -> Flags:
        """Return whether each EndToEndId is one of a return, which begins with a D."""
        ...

    def codes(self, name: str, known: tuple[str, ...]) -> Codes:
        """Return the index of each value in `known`; its length for any other value, -1 for a missing one."""
        ...

    def same(self, one: str, other: str) -> Floats:
        """Return whether two fields are equal."""
        ...

    def statistics(self, name: str) -> Floats:
        """Return statistics [len(STATISTICS), n] from JSON."""
        ...


class _FieldReader:
    """Values of each field, in the types of Event."""

    def __init__(self, values: Mapping[str, Sequence[Any]]) -> None:
        self._values = values

    def keys(self, *names: str) -> Sequence[Keys]:
        # All at once: on a micro-batch, most of the time of a call is its fixed cost.
        keys = keys_of([id_ or "" for name in names for id_ in self._values[name]])
        return list(keys.reshape(len(names), -1))

    def floats(self, name: str) -> Floats:
        values = self._values[name]
        if values.count(None) == len(values):  # a field that few publishers fill in
            return np.full(len(values), np.nan)
        return np.array(values, dtype=np.float64)

    micros = days = centavos = flags = floats

    def returns(self, name: str) -> Flags:
        return np.array([id_[0] == "D" for id_ in self._values[name]], dtype=bool)

    def codes(self, name: str, known: tuple[str, ...]) -> Codes:
        code = _CODES[known]
        values = self._values[name]
        return np.fromiter(map(code.__getitem__, values), dtype=np.int8, count=len(values))

    def same(self, one: str, other: str) -> Floats:
        pairs = zip(self._values[one], self._values[other], strict=True)
        return np.array([None if b is None else a == b for a, b in pairs], dtype=np.float64)

    def statistics(self, name: str) -> Floats:
        return statistics_matrix(self._values[name])


class Events(tuple[Event, ...]):
    """A batch of events with their facts, which are computed once for history and features."""

    @cached_property
    def columns(self) -> Columns:
        """Return the facts of the events."""
        return Columns.of(self)

    @cached_property
    def digests(self) -> Keys:
        """Return a hash [n] of every field of each event."""
        hashes = [blake2b(_encode(msgspec.structs.astuple(event)), digest_size=8).digest() for event in self]
        return np.frombuffer(b"".join(hashes), dtype="<u8")


class _Codes(dict[str | None, int]):
    """The code of each known value, and of a missing one; any other value has the next code."""

    def __missing__(self, value: str | None) -> int:
        return len(self) - 1


_CODES: dict[tuple[str, ...], _Codes] = {
    known: _Codes([(None, -1), *((value, code) for code, value in enumerate(known))])
    for known in (FORMS, PURPOSES, KEY_TYPES, ACCOUNT_TYPES, SIDES, KINDS)
}
