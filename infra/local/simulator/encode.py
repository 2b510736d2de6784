"""Encode payments as lines of the event file."""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.random import Generator

from infra.local.simulator.arrays import Ints
from infra.local.simulator.clock import DAY_MS, HOUR_MS, MINUTE_MS, Day, local_date
from infra.local.simulator.config import Form, PurposeCode
from infra.local.simulator.devices import UNREGISTERED
from infra.local.simulator.directory import Directory
from infra.local.simulator.identity import strings
from infra.local.simulator.payments import NO_DEVICE, Payments
from infra.local.simulator.psp import INITIATORS, PSPS
from infra.local.simulator.world import ACCOUNT_TYPES, KEY_TYPES, World

_FORMS, _PURPOSES = [form.name for form in Form], [purpose.name for purpose in PurposeCode]
_SENDS_STATISTICS = np.array([psp.sends_statistics for psp in PSPS])
_STATISTICS_KNOWN = 0.92
_NO_KEY, _FIRST_KEY, _NEW_KEY = 0, 1, 2
_NO_SEPARATORS = str.maketrans("", "", "-T:")
_ISPBS = np.array([list(ispb.encode()) for ispb in (*(psp.ispb for psp in PSPS), *INITIATORS)], dtype=np.uint8)


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


def key_of(world: World, account: int, at: int) -> str:
    """Return the key (chave) of an account at a moment in UTC milliseconds."""
    return world.keys[int(world.key_changed[account] <= local_date(np.array(at)))][account]


def return_id(rng: Generator, world: World, payee: int, at: int) -> str:
    """Draw the id of a return (RtrId): D, ISPB of the payee's PSP, UTC minute, 11 characters of its alphabet."""
    psp = PSPS[int(world.psp[payee])]
    minute = str(np.datetime64(at // MINUTE_MS, "m")).translate(_NO_SEPARATORS)
    return f"D{psp.ispb}{minute}{strings(rng, psp.alphabet, 1, 11)[0]}"


def end_to_end_ids(rng: Generator, world: World, rows: Payments) -> list[str]:
    """Draw EndToEndIds: E, ISPB, UTC minute, 11 characters in the alphabet of the payer's PSP.

    The ISPB is that of the payer's PSP or of the initiator. The minute is that of the Pix, or an earlier one: Pix
    Automático has its id when it is scheduled.
    """
    count = len(rows)
    if not count:
        return []
    text = np.empty((count, 32), dtype=np.uint8)
    text[:, 0] = ord("E")
    psp = world.psp[rows.payer]
    initiator = len(PSPS) + rng.integers(0, len(INITIATORS), count)
    text[:, 1:9] = _ISPBS[np.where(rows.form == Form.INIC, initiator, psp)]
    earliest = np.where(rows.form == Form.AUTO, 8 * HOUR_MS, np.where(rows.form == Form.INIC, 2 * MINUTE_MS, 0))
    drawn_at = rows.at - (rng.random(count) * earliest).astype(np.int64)
    minute = np.datetime_as_string(drawn_at.astype("datetime64[ms]"), unit="m").astype("S16")
    text[:, 9:21] = minute.view(np.uint8).reshape(count, 16)[:, [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]]
    alphabets = np.zeros((len(PSPS), 62), dtype=np.uint8)
    for row, participant in enumerate(PSPS):
        alphabets[row, : len(participant.alphabet)] = participant.alphabet
    sizes = np.array([len(participant.alphabet) for participant in PSPS])[psp]
    drawn = (rng.random((count, 11)) * sizes[:, None]).astype(np.int64)
    text[:, 21:] = alphabets[psp[:, None], drawn]
    return text.view("S32").ravel().astype(str).tolist()


class Encoder:
    """Encodes the payments of a day; the JSON of each account is cached."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._payers: dict[int, Raw] = {}
        self._payees: dict[tuple[int, int], Raw] = {}

    def lines(
        self, rng: Generator, rows: Payments, ids: list[str], directory: Directory, day: Day, today: int
    ) -> list[bytes]:
        """Encode each payment as one line."""
        encode, topic = msgspec.json.Encoder().encode, "pix-transactions"
        columns = zip(
            ids,
            instants(rows.at),
            [amount(cents) for cents in rows.cents.tolist()],
            [_FORMS[form] for form in rows.form.tolist()],
            [_PURPOSES[purpose] for purpose in rows.purpose.tolist()],
            [self._payer(account) for account in rows.payer.tolist()],
            self._payees_of(rows),
            self._devices_of(rows),
            self._statistics_of(rng, rows, directory, day, today),
            [id_[1:9] if form == Form.INIC else UNSET for id_, form in zip(ids, rows.form.tolist(), strict=True)],
            strict=True,
        )
        return [encode(EventLine(topic, TransactionData(*values))) + b"\n" for values in columns]

    def _payer(self, account: int) -> Raw:
        if account not in self._payers:
            fields = {"tax_id": self._tax_id(account)} | self._account(account)
            self._payers[account] = Raw(
                msgspec.json.encode(fields | {"opened_at": _date(self._world.opened[account])})
            )
        return self._payers[account]

    def _payees_of(self, rows: Payments) -> list[Raw]:
        renewed = self._world.key_changed[rows.payee] <= local_date(rows.at)
        key = np.where(rows.form == Form.MANU, _NO_KEY, np.where(renewed, _NEW_KEY, _FIRST_KEY))
        return [self._payee(pair) for pair in zip(rows.payee.tolist(), key.tolist(), strict=True)]

    def _payee(self, pair: tuple[int, int]) -> Raw:
        if pair not in self._payees:
            account, key = pair
            fields = {"tax_id": self._tax_id(account)} | self._account(account)
            # Without a key there was no lookup in DICT, the source of the dates.
            self._payees[pair] = Raw(msgspec.json.encode(fields | (self._key(account, key) if key else {})))
        return self._payees[pair]

    def _account(self, account: int) -> dict[str, str]:
        world = self._world
        return {
            "ispb": PSPS[world.psp[account]].ispb,
            "branch": world.branches[account],
            "account": world.numbers[account],
            "account_type": ACCOUNT_TYPES[world.account_type[account]],
        }

    def _key(self, account: int, key: int) -> dict[str, str]:
        world, new = self._world, key == _NEW_KEY
        return {
            "opened_at": _date(world.opened[account]),
            "key": world.keys[1 if new else 0][account],
            "key_type": "EVP" if new else KEY_TYPES[world.key_types[account]],
            "key_owned_since": _date(world.key_changed[account] if new else world.key_since[account]),
        }

    def _tax_id(self, account: int) -> str:
        return self._world.tax_ids[int(self._world.owner[account])]

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

    def _statistics_of(
        self, rng: Generator, rows: Payments, directory: Directory, day: Day, today: int
    ) -> list[Raw | UnsetType]:
        known = _SENDS_STATISTICS[self._world.psp[rows.payer]] & (rng.random(len(rows)) < _STATISTICS_KNOWN)
        known &= rows.form != Form.MANU
        found = iter(directory.statistics(rows.payee[known], day, today))
        return [next(found) if flag else UNSET for flag in known.tolist()]


def _date(day: int) -> str:
    return str(np.datetime64(int(day), "D"))
