"""The model card: its facts, verdict and figures, in a self-contained page."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from html.parser import HTMLParser

import msgspec

from shared.learning.data.label_chance import LabelRates, Representation
from shared.learning.data.unlabelled import Unlabelled
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.card import CardFacts, PeriodFacts, model_card
from shared.learning.judging.checks import GateCheck
from shared.learning.judging.looks import Look
from shared.learning.judging.review import Review
from shared.learning.judging.stakes import Stakes
from shared.scoring.explanation import Kind
from shared.scoring.thresholds import SideThresholds, Thresholds
from tests.unit.learning.judging.reviews import SPACIOUS, TRIALS

REPRESENTATION = Representation(LabelRates(), 20.0, 345, 67, 89.4, 0.123, 456.7, 8, 0.0234)


def card(reviewed: Review, images: dict[str, bytes], explanation: Kind = "SHAPLEY") -> str:
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
            explanation=explanation,
            thresholds=SideThresholds(payer=Thresholds(0.05, 2.0), payee=Thresholds(2.0, 2.0)),
            run_id="run-7",
            dataset_hash="feed" * 16,
            as_of=at,
            maturity_days=87.0,
            trained_age_days=87.0,
            refit="It serves as its refit.",
            suspicions=["owner_markers alone tells 90% of the frauds apart"],
            provenance={"commit": "0123abcd"},
            representation=REPRESENTATION,
            unlabelled=[Unlabelled("PAYER", "REJECT", "UNPAID", 1_234, 2_468)],
            findings=["age & amount are <missing>"],
            periods=[PeriodFacts("last period", at, at, 1_200, 300, 60)],
            review=reviewed,
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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_card_is_self_contained_and_escapes_its_facts(reviewed: Review, images: dict[str, bytes]) -> None:
    page = Page(card(reviewed, images))
    assert not page.open
    assert not page.tags & {"script", "link", "iframe", "object"}
    assert len(page.addresses) == len(images)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    for text in ("<script>alert(1)</script>", "<SCAM>", "age & amount are <missing>"):
        assert text in page.text


def test_the_card_has_verdict_checks_figures_and_the_rollback(reviewed: Review, images: dict[str, bytes]) -> None:
    text = re.sub(r"\s+", " ", Page(card(reviewed, images)).text)
    assert "The gate lets this model serve." in text
    for check in reviewed.verdict.checks:
        assert check.text in text
    for fact in (
        "feed" * 16,
        "jobs.rollback",
        "LGPD",
        "87 days",
        "the model alone rejects none",
        "the model alone has no Pix blocked",
        "the best of 2 challengers",
        "owner_markers alone tells 90% of the frauds apart",
        "the rules alone",
        "run-7",
    ):
        assert fact in text
    assert "200.0%" not in text
    single = dataclasses.replace(reviewed, verdicts=[reviewed.verdict], chosen=0)
    assert re.search(r"No choice was made on\s+the test period", Page(card(single, {})).text)
    for outcome, sentence in (("REFUSE", "The gate refuses this model."), ("TOO_FEW", "The gate cannot say")):
        verdict = msgspec.structs.replace(reviewed.verdicts[0], outcome=outcome)
        other = dataclasses.replace(reviewed, verdicts=[verdict], chosen=0)
        assert sentence in Page(card(other, {})).text


def test_the_card_says_whether_reasons_are_exact(reviewed: Review) -> None:
    exact, occlusion = (Page(card(reviewed, {}, kind)).text for kind in ("SHAPLEY", "OCCLUSION"))
    assert "contributions are exact" in exact
    assert "no exact explanations" not in exact
    assert "no exact explanations" in occlusion
    assert "contributions are exact" not in occlusion


def test_the_first_page_says_how_far_the_model_can_be_judged(reviewed: Review) -> None:
    few = GateCheck("enough frauds", False, 7.0, 100.0, "7 frauds, too few", lacks_data=True)
    verdict = msgspec.structs.replace(
        reviewed.verdict, checks=[few], looks=3, detectable=123_456.0, detectable_share=0.25
    )
    page = card(dataclasses.replace(reviewed, verdicts=[verdict], chosen=0, look=Look(0.0, 0.0125)), {})
    first = re.sub(r"\s+", " ", Page(page.partition("<h2>Decisions")[0] + "</body></html>").text)
    for fact in (
        "enough frauds: 7 frauds, too few.",
        "3 earlier trainings have looked",
        "at most 1.25%",
        "R$ 123,456 per million Pix, 25.0% of the cost",
        f"of {reviewed.rejects[0].rejected} rejects by the model are frauds",
    ):
        assert fact in first
    assert "Every check could be measured." not in first


STAKES = Stakes(
    4_321.0, 987_654.0, Interval(0.21, 0.98), 123.0, 45_678.0, Interval(0.31, 0.87), -999.0, 55.0, -7_777.0
)


def test_the_first_page_says_what_could_not_be_judged(reviewed: Review) -> None:
    def first_page(at: Stakes | None) -> str:
        overall = Estimate(77_000.0, Interval(-5_500.0, 190_000.0))
        verdict = msgspec.structs.replace(reviewed.verdict, stakes=at, overall=overall)
        page = card(dataclasses.replace(reviewed, verdicts=[verdict], chosen=0), {}).partition("<h2>Decisions")[0]
        return re.sub(r"\s+", " ", Page(page + "</body></html>").text)

    known = first_page(STAKES)
    for fact in (
        "4,321, of R$ 987,654 in all, served with scores from 21.0% to 98.0%",
        "decide differently on 123 of them, of R$ 45,678",
        "from 31.0% to 87.0%",
        "saves -R$ 999 per million Pix there; if all were legitimate R$ 55, if all were frauds -R$ 7,777",
        "R$ 77,000 per million Pix, between -R$ 5,500 and R$ 190,000",
        "345 Pix were decided milder by chance and have a label, 67 of them frauds",
        "as much as 89 Pix of equal weight, and 12.3% of the weight of all frauds",
        "457 in the training set",
        "8 rows stand for more than 20 decisions",
        "2.34% of all decisions are lost",
    ):
        assert fact in known, fact
    alike = msgspec.structs.replace(STAKES, differing=0.0)
    assert "which decide alike on all of them" in first_page(alike)
    assert "this training set was stored without them" in first_page(None)


def test_a_check_without_a_measurement_is_neither_passed_nor_failed(reviewed: Review) -> None:
    checks = [check for check in reviewed.verdict.checks if check.measured is not None and check.passed]
    unmeasured = msgspec.structs.replace(checks[0], measured=None)
    verdicts = [
        msgspec.structs.replace(reviewed.verdict, checks=some) for some in (checks, [unmeasured, *checks[1:]])
    ]
    shown = [card(dataclasses.replace(reviewed, verdicts=[one], chosen=0), {}) for one in verdicts]
    assert [html.count(">passed<") for html in shown] == [len(checks), len(checks) - 1]
    assert [html.count(">not measured<") for html in shown] == [0, 1]
