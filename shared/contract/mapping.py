"""Map messages to stored records: the one place that names each field of both."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from shared.contract.event import Event, days, micros
from shared.contract.feedback import Feedback, MedReport
from shared.contract.pseudonyms import KEY, Pseudonymiser
from shared.contract.rows import FeedbackRow
from shared.contract.transaction import Transaction

_encode = msgspec.json.Encoder(order="deterministic").encode


def event_of(transaction: Transaction, pseudonymiser: Pseudonymiser) -> Event:
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
        payer_id=pseudonymiser.account(payer),
        payer_person_id=pseudonymiser.person(payer.tax_id),
        payer_ispb=payer.ispb,
        payer_account_type=payer.account_type.value if payer.account_type else None,
        payer_opened_at=days(payer.opened_at) if payer.opened_at else None,
        payee_id=pseudonymiser.account(payee),
        payee_person_id=pseudonymiser.person(payee.tax_id) if payee.tax_id else None,
        payee_ispb=payee.ispb,
        payee_account_type=payee.account_type.value if payee.account_type else None,
        payee_opened_at=days(payee.opened_at) if payee.opened_at else None,
        payee_key_id=pseudonymiser.pseudonym(KEY, payee.key) if payee.key else None,
        payee_key_type=payee.key_type.value if payee.key_type else None,
        payee_key_owned_since=days(payee.key_owned_since) if payee.key_owned_since else None,
        device_id=pseudonymiser.device(device) if device else None,
        device_registered=None if registered_at is UNSET else registered_at is not None,
        device_registered_at=micros(registered_at) if registered_at else None,
        payee_statistics=_encode(statistics).decode() if statistics else None,
    )


def feedback_row(report: Feedback, received_at: int, history_sequence: int | None = None) -> FeedbackRow:
    """Return the row of `pix.feedback` of one report."""
    med = report if isinstance(report, MedReport) else None
    return FeedbackRow(
        source="MED" if med else "ANALYST",
        report_id=report.report_id,
        end_to_end_id=report.end_to_end_id,
        reported_at=micros(report.reported_at),
        received_at=received_at,
        verdict=report.verdict.value,
        status=med.status.value if med else None,
        analysis_result=med.analysis_result.value if med and med.analysis_result else None,
        situation_type=med.situation_type.value if med else None,
        fraud_type=med.fraud_type.value if med and med.fraud_type else None,
        history_sequence=history_sequence,
    )
