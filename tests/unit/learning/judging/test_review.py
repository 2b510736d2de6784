"""Reviews of bundles on the test period: segments, fairness, plots, the card."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import re
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest

from shared.features.catalogue import FEATURE_NAMES
from shared.learning.data.dataset import Categories, Dataset
from shared.learning.judging import comparison, plots
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.card import CardFacts, PeriodFacts, model_card
from shared.learning.judging.plots import draw, savings
from shared.learning.judging.review import Review, review
from shared.learning.judging.segments import Dimension, Segment, dimensions, disparities, segments
from shared.learning.ports import Trial
from shared.learning.training import packing
from shared.learning.training.export import onnx_bytes, onnx_scores
from shared.learning.training.packing import SEEN_UNTIL
from shared.learning.training.train import LabelledRows, fit
from shared.scoring.bundle import Bundle, Calibration, Manifest, Thresholds
from shared.scoring.rules import Rules
from tests.unit.learning.rows import training_set
from tests.unit.learning.synthetic import QUICK

COLUMNS = np.array([2, 3, 4, 5])
SPACIOUS = msgspec.structs.replace(QUICK, costs=msgspec.structs.replace(QUICK.costs, review_share_max=0.2))
RULES = Rules([])
TEST = slice(1_200, 2_400)


def labelled_set() -> Dataset:
    """A training set with frauds of two types and payments by three institutions."""
    data = training_set()
    rng = np.random.default_rng(5)
    types = np.where(data.fraud, rng.integers(1, 3, len(data)), 0).astype(np.int32)
    banks = rng.choice(3, len(data), p=[0.7, 0.2, 0.1]).astype(np.int32)
    facts = dict(data.facts) | {
        "fraud_type": Categories(("", "MULE_ACCOUNT", "<SCAM>"), types),
        "payer_ispb": Categories(("00000000", "12345678", "60701190"), banks),
    }
    return dataclasses.replace(data, facts=facts)


DATA = labelled_set()


def bundle(version: str, columns: np.ndarray = COLUMNS, seen: int | None = 1_199) -> Bundle:
    """A small model that has seen the rows up to `seen`."""
    early = np.arange(1_200)
    model = fit("logistic_regression", {"C": 1.0}, LabelledRows(DATA.take(early, columns), DATA.fraud[early]), 0)
    names = [FEATURE_NAMES[j] for j in columns]
    onnx = onnx_bytes(model, len(columns))
    parts = packing.BundleParts(model, onnx, names, Calibration([0.0, 1.0], [0.0, 1.0]), Thresholds(0.05, 0.3))
    vectors = np.ascontiguousarray(DATA.features[:1_200, columns])
    assert np.all(np.isfinite(onnx_scores(onnx, vectors)))
    metrics = {} if seen is None else {SEEN_UNTIL: float(DATA.initiated_at[seen] / 1e6)}
    files = packing.pack(parts, vectors, 0)
    return Bundle(packing.sealed(files, Manifest(version, "2026-01-01T00:00:00Z", {}, metrics=metrics)))


@pytest.fixture(scope="module")
def strong() -> Bundle:
    return bundle("strong")


@pytest.fixture(scope="module")
def weak() -> Bundle:
    return bundle("weak", COLUMNS[1:])


@pytest.fixture(scope="module")
def period() -> comparison.TestPeriod:
    return comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS)


@pytest.fixture(scope="module")
def found(strong, weak, period) -> Review:
    return review(period, [(weak, 0.5), (strong, 0.6)], weak, SPACIOUS.gate)


def test_the_better_of_two_challengers_is_chosen_and_promoted(found) -> None:
    assert (found.chosen, found.challenger.name) == (1, "strong")
    assert found.verdict.promote, found.verdict.reasons
    assert not found.verdicts[0].promote
    assert list(found.savings) == ["weak", "the rules alone"]
    metrics = found.metrics()
    assert metrics["average_precision_low"] < metrics["average_precision"] < metrics["average_precision_high"]
    assert metrics["rules_cost_per_million"] == found.rules.evaluation.cost_per_million


def test_undefined_figures_are_left_out_of_the_manifest(found, period) -> None:
    passing = period.contender("it", np.zeros(1_200), np.zeros(1_200, np.int8), inputs=("amount",))
    metrics = dataclasses.replace(found, challenger=passing).metrics()
    assert np.isnan(passing.evaluation.precision)
    assert not {"precision", "precision_low"} & set(metrics)
    assert msgspec.json.decode(msgspec.json.encode(metrics), type=dict[str, float]) == metrics


@pytest.mark.parametrize(
    ("seen", "rows", "notice"),
    [
        (1_199, 1_200, ""),
        (1_499, 900, "Only rows after"),
        (2_300, 1_200, "too few frauds"),
        (None, 1_200, "not known"),
    ],
)
def test_rows_the_champion_was_trained_on_are_left_out_while_enough_remain(seen, rows, notice) -> None:
    of = comparison.TestPeriod.of(DATA, TEST, RULES, SPACIOUS, bundle("champion", seen=seen))
    assert len(of.truth.fraud) == rows
    assert notice in of.notice
    assert bool(of.notice) is bool(notice)


def test_weights_count_in_the_figures_of_a_model(strong, period) -> None:
    heavier = dataclasses.replace(DATA, weight=np.where(DATA.fraud, 1.0, 4.0))
    there = comparison.TestPeriod.of(heavier, TEST, RULES, SPACIOUS).model(strong).evaluation
    here = period.model(strong).evaluation
    assert there.pix == pytest.approx(4 * (here.pix - here.frauds) + here.frauds)
    assert there.recall == here.recall
    assert there.precision < here.precision


def cut(codes: list[int], **facts: bool) -> Dimension:
    return Dimension("it", ("a", "b", "c"), np.array(codes), **({"comparable": True} | facts))


def test_segments_add_up_to_the_period(found, period) -> None:
    truth, decided = period.truth, found.challenger.scored.decisions
    for dimension in period.dimensions:
        rows = [one for one in found.segments if one.dimension == dimension.title]
        assert sum(one.frauds for one in rows) == truth.fraud.sum()
        assert sum(one.caught for one in rows) == (truth.fraud & (decided > 0)).sum()
        assert sum(one.missed_value for one in rows) == pytest.approx(
            truth.amount[truth.fraud & (decided == 0)].sum()
        )
        if not dimension.only_frauds:
            assert sum(one.rows for one in rows) == len(truth.fraud)


def test_the_figures_of_a_segment() -> None:
    decided, fraud = np.array([1, 0, 2, 0, 1], np.int8), np.array([True, True, False, False, False])
    amount, weight = np.array([10.0, 20, 30, 40, 50]), np.array([1.0, 1, 3, 1, 1])
    one, other = segments(cut([0, 0, 0, 0, 1]), decided, fraud, amount, weight, 0.95)
    assert (one.rows, one.frauds, one.caught, one.recall, one.missed_value) == (4, 2, 1, 0.5, 20.0)
    assert (one.precision, one.alert_rate) == (0.25, 4 / 6)
    assert one.false_alarms == pytest.approx(0.75)
    assert (other.label, other.frauds, other.false_alarms) == ("b", 0, 1.0)
    assert np.isnan(other.recall)
    labelled = segments(cut([0, 1, 2, 2, 2], only_frauds=True), decided, fraud, amount, weight, 0.95)
    assert [(part.label, part.precision, part.false_alarms) for part in labelled] == [
        ("a", None, None),
        ("b", None, None),
    ]


def test_institutions_are_named_by_number_of_pix_and_missing_values_have_a_segment() -> None:
    found = {one.title: one for one in dimensions(DATA, TEST)}
    assert found["payer's institution (ISPB)"].labels[:3] == ("00000000", "12345678", "60701190")
    age = found["age of the payer's account"]
    missing = np.isnan(DATA.features[TEST, FEATURE_NAMES.index("payer_account_age")])
    np.testing.assert_array_equal(age.codes == age.labels.index("not known"), missing)
    assert not found["amount"].comparable


@pytest.mark.parametrize(("rate", "clear"), [(0.02, False), (0.2, True)])
def test_only_differences_beyond_chance_are_called_clear(rate, clear) -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], 2_000)
    decided = (rng.random(4_000) < np.where(codes == 0, rate, 0.02)).astype(np.int8)
    found = disparities(cut(codes.tolist()), decided, np.zeros(4_000, bool), np.ones(4_000), 0.95, 30)
    assert [one.clear for one in found] == [clear, clear]
    assert all(one.recall_ratio is None for one in found)
    assert ("legitimate Pix are stopped" in found[0].text) is clear


def test_weights_do_not_narrow_an_interval() -> None:
    codes, decided = [0] * 20 + [1] * 20, np.array(([1] * 4 + [0] * 16) + ([1] * 1 + [0] * 19), np.int8)

    def lower_end(weight: float) -> float:
        found = disparities(cut(codes), decided, np.zeros(40, bool), np.full(40, weight), 0.95, 30)
        return found[0].false_alarm_interval.low

    assert lower_end(1.0) == pytest.approx(lower_end(1_000.0))


def test_dimensions_that_are_not_comparable_have_no_disparities() -> None:
    ones = np.ones(4)
    assert disparities(cut([0, 0, 1, 1], comparable=False), ones.astype(np.int8), ones < 0, ones, 0.95, 30) == []


TRIALS = [
    Trial(0, "tree", "decision_tree", {"max_depth": 4, "C": 0.123456789}, 0.4, [0.4], 1.5, "COMPLETE"),
    Trial(1, "<b>", "logistic_regression", {}, None, [], 0.1, "PRUNED"),
]


@pytest.fixture(scope="module")
def images(found, strong, period) -> dict[str, bytes]:
    return draw(found, strong, period, TRIALS)


def test_plots_are_png_and_the_same_every_time(images, found) -> None:
    assert all(image.startswith(b"\x89PNG") for image in images.values())
    assert savings(found.savings) == images["savings.png"]


def card(found: Review, images: dict[str, bytes]) -> str:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return model_card(
        CardFacts(
            version="20260101T000000Z-abcdef01",
            created_at=at,
            trigger="schedule",
            actor="<script>alert(1)</script>",
            outcome="It serves.",
            candidate="linear",
            family="logistic_regression",
            mode="full",
            inputs=4,
            thresholds=Thresholds(0.05, 2.0),
            run_id="run-7",
            dataset_hash="feed" * 16,
            as_of=at,
            maturity_days=87.0,
            findings=["age & amount are <missing>"],
            periods=[PeriodFacts("last period", at, at, 1_200, 60)],
            review=found,
            leaderboard=TRIALS,
            images=images,
            config=SPACIOUS,
        )
    ).decode()


class Page(HTMLParser):
    """Collects tags, addresses and text, and demands that tags are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.addresses, self.text, self.open = set[str](), list[str](), "", list[str]()
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


def test_the_card_is_self_contained_and_escapes_its_facts(found, images) -> None:
    page = Page(card(found, images))
    assert not page.open
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert len(page.addresses) == len(images)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    for text in ("<script>alert(1)</script>", "<SCAM>", "age & amount are <missing>"):
        assert text in page.text


def test_the_card_has_verdict_checks_figures_and_the_rollback(found, images) -> None:
    text = re.sub(r"\s+", " ", Page(card(found, images)).text)
    assert "The gate lets this model serve." in text
    for check in found.verdict.checks:
        assert check.text in text
    for fact in (
        "feed" * 16,
        "jobs.rollback",
        "LGPD",
        "87 days",
        "the model alone rejects none",
        "the rules alone",
        "run-7",
    ):
        assert fact in text
    refused = dataclasses.replace(
        found, verdicts=[msgspec.structs.replace(found.verdicts[0], promote=False)], chosen=0
    )
    assert "The gate refuses this model." in Page(card(refused, {})).text


def test_labels_in_millions_do_not_overlap(monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(plots, "_png", lambda figure, axes, **_: drawn.append((figure, axes)) or b"")
    savings({"20260101T000000Z-abcdef01": Estimate(1.2e6, Interval(1e5, 2.65e6))})
    [(figure, axes)] = drawn
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_segment_can_be_stored(found) -> None:
    stored = msgspec.json.encode(found.segments[0])
    assert msgspec.json.decode(stored, type=Segment) == found.segments[0]


def test_a_check_without_a_measurement_is_neither_passed_nor_failed(found) -> None:
    first, *others = found.verdict.checks
    unmeasured = msgspec.structs.replace(first, measured=None)
    verdict = msgspec.structs.replace(found.verdict, checks=[unmeasured, *others])
    shown = [card(dataclasses.replace(found, verdicts=[one], chosen=0), {}) for one in (found.verdict, verdict)]
    assert [html.count(">passed<") for html in shown] == [len(others) + 1, len(others)]
    assert [html.count(">not measured<") for html in shown] == [0, 1]
