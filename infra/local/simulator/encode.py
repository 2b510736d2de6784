"""Encode payments as lines of the event file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.random import Generator

from infra.local.simulator.arrays import Flags, Ints
from infra.local.simulator.clock import DAY_MS, Day
from infra.local.simulator.config import Form, PurposeCode
from infra.local.simulator.devices import UNREGISTERED
from infra.local.simulator.directory import Directory
from infra.local.simulator.parties import Parties
from infra.local.simulator.payments import NO_DEVICE, Payments
from infra.local.simulator.psp import PSPS
from infra.local.simulator.world import World

_FORMS, _PURPOSES = [form.name for form in Form], [purpose.name for purpose in PurposeCode]
_SENDS_STATISTICS = np.array([psp.sends_statistics for psp in PSPS])
_STATISTICS_KNOWN = 0.92


class TransactionData(Struct, gc=False):
    """One Pix in the form of the contract; accounts and statistics are already encoded."""

    end_to_end_id: str
    initiated_at: str
    amount: str
    initiation_form: str
    purpose: str
    payer: Raw
    payee: Raw
    device: dict[str, str | None] | UnsetType = UNSET
    payee_statistics: Raw | UnsetType = UNSET
    initiator: str | UnsetType = UNSET
    side: str | UnsetType = UNSET


class EventLine(Struct, gc=False):
    """One line of the event file."""

    topic: str
    data: object


def line(topic: str, data: object) -> bytes:
    """Encode one line, including the line feed."""
    return msgspec.json.encode(EventLine(topic, data)) + b"\n"


def instants(at: Ints) -> list[str]:
    """Format UTC milliseconds as RFC 3339.

    >>> instants(np.array([0]))
    ['1970-01-01T00:00:00.000Z']
    """
    texts: list[str] = np.char.add(np.datetime_as_string(at.astype("datetime64[ms]"), unit="ms"), "Z").tolist()
    return texts


def instant(at: int) -> str:
    """Format UTC milliseconds as RFC 3339.

    >>> instant(1_500)
    '1970-01-01T00:00:01.500Z'
    """
    return f"{np.datetime64(at, 'ms')}Z"


def amount(cents: int) -> str:
    """Format centavos as BRL.

    >>> amount(15_005)
    '150.05'
    """
    return f"{cents // 100}.{cents % 100:02d}"


class Encoder:
    """Encodes the payments of a day, as each side sees them."""

    def __init__(self, world: World, directory: Directory) -> None:
        self._world, self._directory = world, directory
        self._parties = Parties(world)

    def lines(self, rng: Generator, rows: Payments, ids: list[str], day: Day, today: int) -> list[bytes]:
        """Encode each payment as the line of its payer's side."""
        known = _SENDS_STATISTICS[self._world.psp[rows.payer]] & (rng.random(len(rows)) < _STATISTICS_KNOWN)
        parties = (self._parties.payers(rows), self._parties.payees(rows), self._devices_of(rows))
        statistics = self._statistics(rows, known & (rows.form != Form.MANU), day, today)
        return self._encoded(rows, ids, *parties, statistics, UNSET)

    def lines_of_payees(self, rows: Payments, ids: list[str], day: Day, today: int) -> list[bytes]:
        """Encode each payment as the line of its payee's side, which knows less of the payer and has no device."""
        known = _SENDS_STATISTICS[self._world.psp[rows.payee]]
        parties = (self._parties.senders(rows), self._parties.receivers(rows), [UNSET] * len(rows))
        return self._encoded(rows, ids, *parties, self._statistics(rows, known, day, today), "PAYEE")

    def _encoded(
        self,
        rows: Payments,
        ids: list[str],
        payers: list[Raw],
        payees: list[Raw],
        devices: Sequence[dict[str, str | None] | UnsetType],
        statistics: list[Raw | UnsetType],
        side: str | UnsetType,
    ) -> list[bytes]:
        encode, topic = msgspec.json.Encoder().encode, "pix-transactions"
        columns = zip(
            ids,
            instants(rows.at),
            [amount(cents) for cents in rows.cents.tolist()],
            [_FORMS[form] for form in rows.form.tolist()],
            [_PURPOSES[purpose] for purpose in rows.purpose.tolist()],
            payers,
            payees,
            devices,
            statistics,
            [id_[1:9] if form == Form.INIC else UNSET for id_, form in zip(ids, rows.form.tolist(), strict=True)],
            [side] * len(ids),
            strict=True,
        )
        return [encode(EventLine(topic, TransactionData(*values))) + b"\n" for values in columns]

    def _devices_of(self, rows: Payments) -> list[dict[str, str | None] | UnsetType]:
        ids, registered = self._world.devices.ids, self._world.devices.registered
        since = np.array(
            [UNREGISTERED if d == NO_DEVICE else registered[d] for d in rows.device.tolist()], dtype=np.int64
        )
        # A device is registered with each account; if the account is younger, then on the day of its opening.
        opening = self._world.opened[rows.payer] * DAY_MS + DAY_MS // 2 + rows.payer * 7_919_081 % (DAY_MS // 3)
        texts = instants(np.maximum(since, opening))
        return [
            UNSET
            if device == NO_DEVICE
            else {"id": ids[device], "registered_at": None if at == UNREGISTERED else text}
            for device, at, text in zip(rows.device.tolist(), since.tolist(), texts, strict=True)
        ]

    def _statistics(self, rows: Payments, known: Flags, day: Day, today: int) -> list[Raw | UnsetType]:
        found = iter(self._directory.statistics(rows.payee[known], day, today))
        return [next(found) if flag else UNSET for flag in known.tolist()]
