"""Text, JSON, Graphviz and SVG of a trace."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from shared.trace import dot, result, svg, text
from shared.trace.flow import Trace
from shared.trace.source import Untraced
from tests.unit.trace.world import WIDE, pix, traced

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def trace() -> Trace:
    """The money of a victim over two ways, with a return and a way back."""
    every = [
        pix("E-left", "mule-account", "left", 400, 3.5, verdict="FRAUD"),
        pix("E-right", "mule-account", "right", 600, 7, returned=10_000, verdict="PENDING"),
        pix("E-left-on", "left", "end", 400, 9),
        pix("E-right-on", "right", "end", 500, 12),
        pix("E-cash", "end", '"<&>"', 900, 100, verdict="LEGITIMATE", decision="HOLD"),
        pix("E-back", "end", "mule-account", 900, 101),
    ]
    return traced(pix("E-root", "victim", "mule-account", 1000, 0, verdict="FRAUD"), every)


def test_the_tree_reads_from_top_to_bottom(trace: Trace) -> None:
    assert text.render(trace).splitlines() == [
        "R$ 1,000.00 in 7 Pix over 4 hops",
        "R$ 1,000.00  victim → mule-acc  APPROVE, FRAUD; 90% passed on; E-root",
        "├─ R$ 400.00  mule-acc → left  +3.5 min; APPROVE, FRAUD; 40% of the root; 100% passed on; E-left",
        "│  └─ R$ 400.00  left → end  +5.5 min, 9 min after the root; APPROVE, no verdict; 40% of the root; "
        "100% passed on; E-left-on",
        "└─ R$ 500.00  mule-acc → right  +7 min; APPROVE, PENDING; R$ 100.00 returned; 50% of the root; "
        "100% passed on; E-right",
        "   └─ R$ 500.00  right → end  +5 min, 12 min after the root; APPROVE, no verdict; 50% of the root; "
        "100% passed on; E-right-on",
        '      ├─ R$ 900.00  end → "<&>"  +88 min, 100 min after the root; HOLD, LEGITIMATE; 90% of the root; '
        "0% passed on; R$ 400.00 by other ways; E-cash",
        "      └─ R$ 900.00  end → mule-acc  +89 min, 101 min after the root; APPROVE, no verdict; 0% of the root; "
        "back to an account on its path: not followed; E-back",
        "",
        "at most 5 hops and 1000 Pix, each of R$ 1.00 or more and within 2 h of the previous one",
    ]


def test_json_has_each_pix_only_if_asked(trace: Trace) -> None:
    found = msgspec.json.decode(msgspec.json.encode(result.of("E-root", trace, with_steps=True)))
    assert (found["outcome"], found["transactions"], found["hops"], found["accounts"]) == ("TRACED", 7, 4, 5)
    last = {step["end_to_end_id"]: step for step in found["steps"]}["E-cash"]
    assert last["sources"] == {"E-left-on": "400.00", "E-right-on": "500.00"}
    assert (last["hop"], last["parent"], last["amount"], last["stays"]) == (4, "E-right-on", "900.00", "900.00")
    assert last["settled_at"] == "1970-01-01T01:40:00Z"
    assert "steps" not in result.of("E-root", trace, with_steps=False)


def test_json_says_why_no_money_moved() -> None:
    found = result.of("E-root", Untraced("NOT_SETTLED", "HOLD", "EXPIRED"), with_steps=True)
    assert found == {"outcome": "NOT_SETTLED", "end_to_end_id": "E-root", "decision": "HOLD", "life": "EXPIRED"}


def test_graphviz_gets_an_edge_for_each_pix(trace: Trace) -> None:
    drawn = dot.render(trace)
    assert drawn.startswith("digraph trace {\n")
    assert drawn.endswith("}\n")
    assert len(re.findall(r"^  \".*\" -> \".*\" \[.*\];$", drawn, re.MULTILINE)) == 7
    assert '"end" -> "\\"<&>\\""' in drawn
    assert drawn.count("dashed") == 1


def test_the_picture_has_a_box_for_each_pix_in_the_column_of_its_hop(trace: Trace) -> None:
    places = svg.layout(trace)
    columns = [places[step.pix.end_to_end_id].x for step in trace.steps]
    assert columns == sorted(columns)
    assert len(set(columns)) == 4
    taken = sorted((place.x, place.y) for place in places.values())
    for (x, y), (next_x, next_y) in itertools.pairwise(taken):
        assert next_x > x or next_y - y >= svg.BOX_HEIGHT + svg.GAP_Y
    drawn = ET.fromstring(svg.render(trace))
    titles = [title.text for title in drawn.iter(f"{SVG}title")]
    assert [title.split("\n")[0] for title in titles] == [step.pix.end_to_end_id for step in trace.steps]
    lines = list(drawn.iter(f"{SVG}path"))
    assert len(lines) == 7  # one into each Pix but the root, and a second way into E-cash
    width, height = float(drawn.get("width")), float(drawn.get("height"))
    assert max(place.x for place in places.values()) + svg.BOX_WIDTH < width
    assert max(place.y for place in places.values()) + svg.BOX_HEIGHT < height


def test_a_root_alone_has_a_picture_too() -> None:
    alone = traced(pix("E-root", "victim", "mule", 1000, 0), [], WIDE)
    assert len(list(ET.fromstring(svg.render(alone)).iter(f"{SVG}title"))) == 1
    assert text.render(alone).startswith("R$ 1,000.00 in 1 Pix over 1 hop\n")
