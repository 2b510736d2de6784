"""A report about a Pix, as it is published to `pix-feedback`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contract.decoding import TolerantDecoder
from shared.contract.fields import EndToEndId, Instant, OpaqueId, Verdict
from shared.contract.transaction import check_end_to_end_id, check_instant
from shared.errors import Malformed


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


class SituationType(StrEnum):
    """Kind of fraud that the payer reports."""

    SCAM = "SCAM"
    ACCOUNT_TAKEOVER = "ACCOUNT_TAKEOVER"
    COERCION = "COERCION"
    FRAUDULENT_ACCESS = "FRAUDULENT_ACCESS"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class FraudType(StrEnum):
    """Kind of fraudster that the payee is, by the payee's institution."""

    APPLICATION_FRAUD = "APPLICATION_FRAUD"
    MULE_ACCOUNT = "MULE_ACCOUNT"
    SCAMMER_ACCOUNT = "SCAMMER_ACCOUNT"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class MedReport(Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="source", tag="MED"):
    """A state of an infraction report under the MED (Mecanismo Especial de Devolução)."""

    report_id: OpaqueId
    end_to_end_id: EndToEndId
    reported_at: Instant
    status: MedStatus
    situation_type: SituationType
    analysis_result: AnalysisResult | None = None
    fraud_type: FraudType | None = None

    @property
    def verdict(self) -> Verdict:
        """Return FRAUD if closed and agreed, LEGITIMATE if closed otherwise or cancelled, else PENDING."""
        if self.status is MedStatus.CANCELLED:
            return Verdict.LEGITIMATE
        if self.status is not MedStatus.CLOSED:
            return Verdict.PENDING
        return Verdict.FRAUD if self.analysis_result is AnalysisResult.AGREED else Verdict.LEGITIMATE


class AnalystReport(Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag_field="source", tag="ANALYST"):
    """The verdict of the institution's own analyst."""

    report_id: OpaqueId
    end_to_end_id: EndToEndId
    reported_at: Instant
    verdict: Verdict


Feedback = MedReport | AnalystReport


def _check(feedback: Feedback) -> None:
    """Check the conditions that a pattern cannot express. Raises Malformed."""
    check_end_to_end_id(feedback.end_to_end_id)
    check_instant("reported_at", feedback.reported_at)
    if isinstance(feedback, AnalystReport):
        if feedback.verdict is Verdict.PENDING:
            raise Malformed("invalid_value", "verdict")
    elif feedback.status is MedStatus.CLOSED and feedback.analysis_result is None:
        raise Malformed("missing_field", "analysis_result")


decode_feedback: TolerantDecoder[Feedback] = TolerantDecoder(Feedback, check=_check)
"""Decode one message of `pix-feedback`; raises Malformed."""
