"""Messages of pix-feedback, in the form of the contract."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class MedData(Struct, tag_field="source", tag="MED"):
    """A state of an infraction report; the last four fields are of MED 2.0."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    status: str
    analysis_result: str | None
    situation_type: str
    fraud_type: str | None
    reason: str
    created_at: str
    funds_recovery_id: str | UnsetType = UNSET
    root_end_to_end_id: str | UnsetType = UNSET
    hop: int | UnsetType = UNSET
    infraction_amount: str | UnsetType = UNSET


class AnalystData(Struct, tag_field="source", tag="ANALYST"):
    """An analyst's verdict."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    verdict: str


class CustomerData(Struct, tag_field="source", tag="CUSTOMER"):
    """The payer's own word."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    status: str


class MarkerData(Struct, tag_field="source", tag="FRAUD_MARKER"):
    """A state of a fraud marker."""

    report_id: str
    tax_id: str
    reported_at: str
    fraud_type: str
    status: str
    infraction_report_id: str
    key: str | UnsetType = UNSET


class RefundData(Struct, tag_field="source", tag="REFUND"):
    """A state of a refund request."""

    report_id: str
    end_to_end_id: str
    reported_at: str
    status: str
    result: str | UnsetType = UNSET
    amount: str | UnsetType = UNSET
    rejection: str | UnsetType = UNSET


class EdgeData(Struct):
    """A Pix in a tracking graph."""

    end_to_end_id: str
    hop: int
    amount: str


class RecoveryData(Struct, tag_field="source", tag="FUNDS_RECOVERY"):
    """A state of a funds recovery."""

    report_id: str
    root_end_to_end_id: str
    reported_at: str
    status: str
    graph: list[EdgeData]
