"""Messages of `pix-feedback`: reports about a Pix, and about persons and recoveries around it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.contract.decoding import TolerantDecoder
from shared.contract.fields import Amount, EndToEndId, Instant, OpaqueId, OpenEnum, PixKey, TaxId, Verdict
from shared.contract.transaction import check_end_to_end_id, check_instant
from shared.errors import Malformed

Hop = Annotated[int, Meta(ge=1, le=100, description="Depth in a tracking graph: 1 is the contested Pix itself.")]
GRAPH_MAX = 500
"""Edges of a tracking graph, at most; as many fill most of a message of the largest size."""


class MedStatus(StrEnum):
    """State of an infraction report in DICT."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


class AnalysisResult(StrEnum):
    """Conclusion of the payee's institution."""

    AGREED = "AGREED"
    DISAGREED = "DISAGREED"


class SituationType(OpenEnum):
    """Kind of fraud that the payer reports; OTHER is any other, UNKNOWN one of the first version of DICT's API."""

    SCAM = "SCAM"
    ACCOUNT_TAKEOVER = "ACCOUNT_TAKEOVER"
    COERCION = "COERCION"
    FRAUDULENT_ACCESS = "FRAUDULENT_ACCESS"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class FraudType(OpenEnum):
    """Kind of fraudster that the payee is, by the payee's institution; OTHER is any other."""

    APPLICATION_FRAUD = "APPLICATION_FRAUD"
    MULE_ACCOUNT = "MULE_ACCOUNT"
    SCAMMER_ACCOUNT = "SCAMMER_ACCOUNT"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class Reason(StrEnum):
    """Reason of an infraction report: a refund is asked for, or one that was made shall be undone.

    Source: Manual Operacional do DICT 8.0, sections 10.1 and 17.4.
    """

    REFUND_REQUEST = "REFUND_REQUEST"
    REFUND_CANCELLED = "REFUND_CANCELLED"


class ShownBecause(OpenEnum):
    """Why the analyst was shown a Pix; OTHER is any other reason."""

    RULE = "RULE"
    MODEL = "MODEL"
    CONTROL = "CONTROL"
    SECOND_REVIEW = "SECOND_REVIEW"
    OTHER = "OTHER"


class CustomerStatus(StrEnum):
    """Whether the payer contests a Pix in the app, before DICT knows of it, or no longer does."""

    CONTESTED = "CONTESTED"
    WITHDRAWN = "WITHDRAWN"


class MarkerStatus(StrEnum):
    """State of a fraud marker in DICT."""

    REGISTERED = "REGISTERED"
    CANCELLED = "CANCELLED"


class RefundStatus(OpenEnum):
    """State of a refund request in DICT; OTHER is any other."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"


class RefundResult(OpenEnum):
    """Result of a refund request; OTHER is any other."""

    TOTAL = "TOTAL"
    PARTIAL = "PARTIAL"
    REJECTED = "REJECTED"
    OTHER = "OTHER"


class Rejection(OpenEnum):
    """Why a refund was rejected; OTHER is any other reason."""

    NO_BALANCE = "NO_BALANCE"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    INVALID = "INVALID"
    OTHER = "OTHER"


class RecoveryStatus(OpenEnum):
    """State of a funds recovery (MED 2.0, Manual Operacional do DICT 8.0, section 20); OTHER is any other."""

    CREATED = "CREATED"
    TRACKED = "TRACKED"
    AWAITING_ANALYSIS = "AWAITING_ANALYSIS"
    ANALYSED = "ANALYSED"
    REFUNDING = "REFUNDING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    OTHER = "OTHER"


class _Message(Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="source"):
    report_id: OpaqueId
    reported_at: Instant
    """When this state of the report came to be: DICT's LastModified, not its CreationTime."""


class MedReport(_Message, frozen=True, tag="MED"):
    """A state of an infraction report under the MED (Mecanismo Especial de Devolução)."""

    end_to_end_id: EndToEndId
    status: MedStatus
    situation_type: SituationType
    analysis_result: AnalysisResult | None = None
    fraud_type: FraudType | None = None
    reason: Reason = Reason.REFUND_REQUEST
    created_at: Instant | None = None
    funds_recovery_id: OpaqueId | None = None
    root_end_to_end_id: EndToEndId | None = None
    hop: Hop | None = None
    infraction_amount: Amount | None = None

    @property
    def verdict(self) -> Verdict:
        """Return FRAUD if closed and agreed, LEGITIMATE if closed otherwise or cancelled, else PENDING."""
        if self.status is MedStatus.CANCELLED:
            return Verdict.LEGITIMATE
        if self.status is not MedStatus.CLOSED:
            return Verdict.PENDING
        return Verdict.FRAUD if self.analysis_result is AnalysisResult.AGREED else Verdict.LEGITIMATE


class AnalystReport(_Message, frozen=True, tag="ANALYST"):
    """The verdict of the institution's own analyst."""

    end_to_end_id: EndToEndId
    verdict: Verdict
    analyst: OpaqueId | None = None
    shown_because: ShownBecause | None = None


class CustomerReport(_Message, frozen=True, tag="CUSTOMER"):
    """The payer's own word about a Pix."""

    end_to_end_id: EndToEndId
    status: CustomerStatus

    @property
    def verdict(self) -> Verdict:
        """Return PENDING while the Pix is contested, else LEGITIMATE."""
        return Verdict.PENDING if self.status is CustomerStatus.CONTESTED else Verdict.LEGITIMATE


class FraudMarker(_Message, frozen=True, tag="FRAUD_MARKER"):
    """A state of the fraud marker of a person, and of a key (chave) if one is named."""

    tax_id: TaxId
    status: MarkerStatus
    key: PixKey | None = None
    fraud_type: FraudType | None = None
    infraction_report_id: OpaqueId | None = None


class RefundReport(_Message, frozen=True, tag="REFUND"):
    """A state of a refund request: money that came back, but no verdict."""

    end_to_end_id: EndToEndId
    status: RefundStatus
    result: RefundResult | None = None
    amount: Amount | None = None
    rejection: Rejection | None = None


class Edge(Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """A Pix in the tracking graph of a funds recovery."""

    end_to_end_id: EndToEndId
    hop: Hop
    amount: Amount | None = None


class FundsRecovery(_Message, frozen=True, tag="FUNDS_RECOVERY"):
    """A state of a funds recovery under MED 2.0 (Res. BCB 493/2025), with its tracking graph."""

    root_end_to_end_id: EndToEndId
    status: RecoveryStatus
    graph: Annotated[list[Edge], Meta(max_length=GRAPH_MAX)] = []


PixReport = MedReport | AnalystReport | CustomerReport
"""The messages that have a verdict about a Pix."""
Feedback = PixReport | FraudMarker | RefundReport | FundsRecovery

_OPEN = ("situation_type", "fraud_type", "shown_because", "status", "result", "rejection")
_OTHER = "OTHER"
_plain = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def unknown_values(report: Feedback, data: bytes) -> list[str]:
    """Return the names of the fields whose value in the message `data` is one that the contract does not know.

    They decode to OTHER, which most of these enumerations have as a value of their own.
    """
    found = [name for name in _OPEN if getattr(report, name, None) == _OTHER]
    if not found:
        return []
    written = _plain(data)
    return [name for name in found if msgspec.json.decode(written[name]) != _OTHER]


def _check(feedback: Feedback) -> None:
    """Check the conditions that a pattern cannot express. Raises Malformed."""
    check_instant("reported_at", feedback.reported_at)
    if isinstance(feedback, MedReport | FundsRecovery) and feedback.root_end_to_end_id:
        check_end_to_end_id(feedback.root_end_to_end_id, "root_end_to_end_id")
    if not isinstance(feedback, FraudMarker | FundsRecovery):
        check_end_to_end_id(feedback.end_to_end_id)
    if isinstance(feedback, AnalystReport) and feedback.verdict is Verdict.PENDING:
        raise Malformed("invalid_value", "verdict")
    if isinstance(feedback, MedReport):
        _check_med(feedback)


def _check_med(report: MedReport) -> None:
    if report.status is MedStatus.CLOSED and report.analysis_result is None:
        raise Malformed("missing_field", "analysis_result")
    if report.created_at is not None:
        check_instant("created_at", report.created_at)
    if report.reason is Reason.REFUND_CANCELLED and not report.end_to_end_id.startswith("D"):
        raise Malformed("invalid_value", "end_to_end_id")  # it is about the return, not about the returned Pix


decode_feedback: TolerantDecoder[Feedback] = TolerantDecoder(Feedback, check=_check)
"""Decode one message of `pix-feedback`; raises Malformed."""
