"""Keyed pseudonyms for personal data (LGPD art. 13 par. 4), made before anything is stored or logged."""

from __future__ import annotations

import hmac

import msgspec
from msgspec import UNSET

from shared.contract.event import Event, days, micros
from shared.contract.transaction import Device, Payee, Payer, Transaction
from shared.errors import Misconfigured

_encode = msgspec.json.Encoder(order="deterministic").encode


class Pseudonymiser:
    """Replace tax ids, accounts, keys and device ids by HMAC-SHA-256 under a secret key.

    >>> Pseudonymiser(b"secret").pseudonym(b"person", "12345678909")
    '9c08879279395002d3b4582787920ec3'
    """

    def __init__(self, key: bytes) -> None:
        """Raise Misconfigured without a key: pseudonyms that anybody can compute protect nobody."""
        if not key:
            raise Misconfigured("set PIX_HMAC_KEY, the secret behind the pseudonyms")
        self._key = key

    def pseudonym(self, kind: bytes, *parts: str) -> str:
        """Return 128 bits of the HMAC, in hexadecimal; `kind` keeps equal values of two kinds apart."""
        text = kind + b"\0" + "\0".join(parts).encode()
        return hmac.digest(self._key, text, "sha256")[:16].hex()

    def event(self, transaction: Transaction) -> Event:
        """Return the transaction without personal data."""
        payer, payee, device = transaction.payer, transaction.payee, transaction.device
        statistics = transaction.payee_statistics
        registered_at = device.registered_at if device else UNSET
        return Event(
            end_to_end_id=transaction.end_to_end_id,
            initiated_at=micros(transaction.initiated_at),
            amount=transaction.centavos,
            initiation_form=transaction.initiation_form.value,
            purpose=transaction.purpose.value,
            payer_id=self.account(payer),
            payer_person_id=self.person(payer.tax_id),
            payer_ispb=payer.ispb,
            payer_account_type=payer.account_type.value if payer.account_type else None,
            payer_opened_at=days(payer.opened_at) if payer.opened_at else None,
            payee_id=self.account(payee),
            payee_person_id=self.person(payee.tax_id) if payee.tax_id else None,
            payee_ispb=payee.ispb,
            payee_account_type=payee.account_type.value if payee.account_type else None,
            payee_opened_at=days(payee.opened_at) if payee.opened_at else None,
            payee_key_id=self.pseudonym(b"key", payee.key) if payee.key else None,
            payee_key_type=payee.key_type.value if payee.key_type else None,
            payee_key_owned_since=days(payee.key_owned_since) if payee.key_owned_since else None,
            device_id=self.device(device) if device else None,
            device_registered=None if registered_at is UNSET else registered_at is not None,
            device_registered_at=micros(registered_at) if registered_at else None,
            payee_statistics=_encode(statistics).decode() if statistics else None,
        )

    def person(self, tax_id: str) -> str:
        """Return the pseudonym of an account's holder."""
        return self.pseudonym(b"person", tax_id)

    def account(self, party: Payer | Payee) -> str:
        """Return the pseudonym of an account: institution, branch and number (as the SPI names it)."""
        return self.pseudonym(b"account", party.ispb, party.branch or "", party.account)

    def device(self, device: Device) -> str:
        """Return the pseudonym of a device."""
        return self.pseudonym(b"device", device.id)
