"""No message reveals its fraud: detection needs history, which a model of single messages does not have."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from infra.local.simulator import SimulationConfig, simulate

CONFIG = SimulationConfig(
    end=datetime(2026, 11, 20, tzinfo=UTC), transactions=130_000, days=100, seed=11, fraud_rate=0.005
)
HOUR = 3600.0
DAY = 24 * HOUR
Moments = defaultdict[str, list[float]]
CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _verdicts(feedback: Iterable[dict[str, Any]]) -> tuple[dict[str, bool], dict[str, list[float]]]:
    """Return the frauds by the last final report of a contested Pix, and the opening times of all infraction reports.

    A report on money that was passed on (hop 2 and beyond) is history of its receiver, not a fraud to detect here.
    """
    fraud, opened = {}, defaultdict(list)
    for report in feedback:
        if report["source"] == "ANALYST":
            fraud[report["end_to_end_id"]] = report["verdict"] == "FRAUD"
        elif report["source"] != "MED":
            continue
        elif report["status"] == "OPEN":
            opened[report["end_to_end_id"]].append(_seconds(report["reported_at"]))
        elif report["hop"] == 1 and report["status"] in ("CLOSED", "CANCELLED"):
            fraud[report["end_to_end_id"]] = report["analysis_result"] == "AGREED"
    return fraud, opened


def _message_features(tx: dict[str, Any], at: float) -> list[float]:
    """Encode every contract field of one message, the characters of its identifiers included."""
    local = datetime.fromtimestamp(at - 3 * HOUR, UTC)
    payer, payee, device = tx["payer"], tx["payee"], tx.get("device")
    cents = round(float(tx["amount"]) * 100)
    dates = [
        payer["opened_at"],
        payee.get("opened_at"),
        payee.get("key_owned_since"),
        (device or {}).get("registered_at"),
    ]
    ages = [
        np.nan if d is None else (at - datetime.fromisoformat(d).replace(tzinfo=UTC).timestamp()) / DAY for d in dates
    ]
    codes = [
        ["MANU", "DICT", "INIC", "QRDN", "QRES", "AUTO", "APDN", "APES"].index(tx["initiation_form"]),
        ["IPAY", "GSCB", "OTHR"].index(tx["purpose"]),
        ["CACC", "TRAN", "SLRY", "SVGS"].index(payer["account_type"]),
        ["CACC", "TRAN", "SLRY", "SVGS"].index(payee["account_type"]),
        ["CPF", "CNPJ", "PHONE", "EMAIL", "EVP", None].index(payee.get("key_type")),
        0 if device is None else 1 + (device["registered_at"] is None),
        payer.get("entrepreneur", False),
        payee.get("registered_by_payer", False),
        int(float(payer.get("limits", {}).get("night", 1000))),
        int(payer.get("limits", {}).get("night_from", "20:00")[:2]),
    ]
    ids = tx["end_to_end_id"][21:32] + (device["id"] if device else "")[:6]
    chars = [CHARACTERS.index(c) for c in ids.ljust(17, "-")]
    shape = [local.microsecond // 1000, local.second, local.minute, len(payee["account"]), len(payee.get("key", ""))]
    ispbs = [int(payer["ispb"], 36) % 9973, int(payee["ispb"], 36) % 9973]
    numbers = [cents, cents % 100, cents % 10_000, local.hour + local.minute / 60, local.weekday()]
    return numbers + ages + codes + shape + ispbs + _statistics(tx.get("payee_statistics")) + chars


def _statistics(block: dict[str, Any] | None) -> list[float]:
    if block is None:
        return [np.nan] * 8
    markers = [sum(kind[window] for kind in block["fraud_markers"].values()) for window in ("d90", "m12", "m60")]
    settled, infractions = block["settlements"], block["infraction_reports"]
    counts = [infractions["open"], infractions["rejected"]["d90"], block["registered_accounts"]]
    return [settled["d90"], settled["m60"], *counts, *markers]


class _History:
    """The memory of a scorer: sums per payer, payee, pair and device, and reports opened so far."""

    def __init__(self) -> None:
        self.paid, self.received, self.new_pairs, self.fan_in, self.reports = (Moments(list) for _ in range(5))
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.payers_of: defaultdict[str, set[str]] = defaultdict(set)
        self.devices: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.largest: dict[str, float] = {}
        self.night: Counter[str] = Counter()

    def features(self, tx: dict[str, Any], at: float) -> list[float]:
        payer, payee = tx["payer"]["account"], tx["payee"]["account"]
        device = (tx.get("device") or {}).get("id")
        log = np.log(float(tx["amount"]))
        paid, got = self.paid[payer], self.received[payer]
        mean = self.sums[payer] / len(paid) if paid else np.nan
        dark = _is_night(at)
        row = [len(paid), mean, log - mean, log - self.largest.get(payer, np.nan), self.pairs[payer, payee]]
        row += [_since(paid, at, span) for span in (HOUR, DAY, 7 * DAY)]
        row += [_since(self.new_pairs[payer], at, span) for span in (HOUR, DAY, 7 * DAY)]
        row += [_since(self.received[payee], at, span) for span in (HOUR, DAY, 7 * DAY, 30 * DAY)]
        row += [_since(self.fan_in[payee], at, span) for span in (HOUR, DAY, 7 * DAY, 30 * DAY)]
        row += [_since(self.paid[payee], at, span) for span in (HOUR, DAY, 7 * DAY)]
        row += [_since(got, at, span) for span in (HOUR, DAY)]
        row += [self._reported(party, at, span) for party in (payer, payee) for span in (7 * DAY, 90 * DAY)]
        row += [np.nan if device is None else self.devices[payer][device], len(self.devices[payer])]
        row += [self.night[payer] / (len(paid) + 1) if dark else 1.0, len(self.payers_of[payee])]
        row += [len(self.payers_of[payee]) / (len(self.received[payee]) + 1)]
        row += [at - paid[-1] if paid else np.nan, at - got[-1] if got else np.nan]
        return row

    def add(self, tx: dict[str, Any], at: float, opened: list[float]) -> None:
        payer, payee, log = tx["payer"]["account"], tx["payee"]["account"], np.log(float(tx["amount"]))
        if not self.pairs[payer, payee]:
            self.new_pairs[payer].append(at)
            self.fan_in[payee].append(at)
        self.pairs[payer, payee] += 1
        self.paid[payer].append(at)
        self.received[payee].append(at)
        self.payers_of[payee].add(payer)
        self.sums[payer] += log
        self.largest[payer] = max(log, self.largest.get(payer, log))
        self.night[payer] += _is_night(at)
        if tx.get("device"):
            self.devices[payer][tx["device"]["id"]] += 1
        self.reports[payee].extend(opened)

    def _reported(self, account: str, at: float, span: float) -> int:
        return sum(at - span < moment < at for moment in self.reports[account])


def _since(moments: list[float], at: float, span: float) -> int:
    return len(moments) - bisect_left(moments, at - span)


def _is_night(at: float) -> bool:
    return not 6 <= (at / HOUR - 3) % 24 < 22


def _table() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Return message features, history features, labels and times; a row for each transaction, in time order."""
    events = [json.loads(line) for line in simulate(CONFIG)]
    transactions = [event["data"] for event in events if event["topic"] == "pix-transactions"]
    fraud, opened = _verdicts(event["data"] for event in events if event["topic"] == "pix-feedback")
    history, message, remembered = _History(), [], []
    moments = [_seconds(tx["initiated_at"]) for tx in transactions]
    for tx, at in zip(transactions, moments, strict=True):
        message.append(_message_features(tx, at))
        remembered.append(history.features(tx, at))
        history.add(tx, at, opened[tx["end_to_end_id"]])
    labels = np.array([fraud.get(tx["end_to_end_id"], False) for tx in transactions])
    return np.array(message, np.float32), np.array(remembered, np.float32), labels, np.array(moments)


@pytest.fixture(scope="module")
def judged() -> dict[str, tuple[float, float]]:
    """Average precision and AUC out of time of the same model, without and with history."""
    message, remembered, labels, moments = _table()
    elapsed = (moments - moments[0]) / DAY
    train, test = (elapsed > 15) & (elapsed < 65), elapsed > 65
    results = {}
    for name, columns in (("message", message), ("history", np.hstack([message, remembered]))):
        model = HistGradientBoostingClassifier(
            max_iter=150,
            learning_rate=0.04,
            max_leaf_nodes=8,
            l2_regularization=20,
            max_features=0.3,
            random_state=0,
        )
        scores = model.fit(columns[train], labels[train]).predict_proba(columns[test])[:, 1]
        results[name] = average_precision_score(labels[test], scores), roc_auc_score(labels[test], scores)
    return results


def test_single_messages_are_weak_evidence(judged: dict[str, tuple[float, float]]) -> None:
    """The fields of one message hint at fraud, as in reality, but do not decide."""
    precision, auc = judged["message"]
    assert 0.65 < auc < 0.92
    assert precision < 0.25


def test_history_is_much_stronger_evidence(judged: dict[str, tuple[float, float]]) -> None:
    (alone, auc_alone), (remembered, auc_remembered) = judged["message"], judged["history"]
    assert remembered > 2 * alone
    assert auc_remembered > auc_alone + 0.04
    assert 0.35 < remembered < 0.85
