"""The colours of the desk can be told apart, in the light and in the dark.

By WCAG 2.2: text at least 4.5 to 1 (1.4.3), and what a plot draws at least 3 to 1 (1.4.11), which axe does not check.
"""

from __future__ import annotations

import re

import pytest

from shared.desk.web.app import STATIC

CSS = (STATIC / "desk.css").read_text("utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): #(\w+)", part)) for part in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)
SCHEMES = pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
TEXTS = ("text", "faint", "link", "strong", "fraud", "good", "warn")
DRAWN = {"before": "fill", "stopped": "stroke", "this": "fill", "count": "fill", "marked": "fill", "line": "stroke"}
DRAWN |= {"foretold": "stroke", "money": "stroke"}
"""Classes of what a plot draws, with the property that has the colour."""
Colour = tuple[float, float, float]


def rgb(text: str) -> Colour:
    """Return the parts of a colour in hexadecimal, of three or six digits, from 0 to 1."""
    digits = text if len(text) == 6 else "".join(2 * each for each in text)
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def drawn(name: str, scheme: dict[str, str], ground: Colour) -> Colour:
    """Return the colour that a class of a plot has on a ground, through which it may let shine."""
    (rule,) = re.findall(rf"svg \.{name} \{{([^}}]*)\}}", CSS)
    (variable,) = re.findall(rf"(?<!\w){DRAWN[name]}: var\(--(\w+)\)", rule)
    opacity = float(next(iter(re.findall(r"opacity: ([\d.]+)", rule)), 1.0))
    mixed = zip(rgb(scheme[variable]), ground, strict=True)
    red, green, blue = (opacity * own + (1 - opacity) * under for own, under in mixed)
    return red, green, blue


def test_black_on_white_has_the_contrast_of_the_definition() -> None:
    assert contrast(rgb("000"), rgb("ffffff")) == pytest.approx(21)


@SCHEMES
def test_text_can_be_read(scheme: dict[str, str]) -> None:
    found = {(on, each): contrast(rgb(scheme[each]), rgb(scheme[on])) for on in ("page", "card") for each in TEXTS}
    found["strong", "on-strong"] = contrast(rgb(scheme["on-strong"]), rgb(scheme["strong"]))
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}


@SCHEMES
def test_what_a_plot_draws_can_be_seen(scheme: dict[str, str]) -> None:
    ground = rgb(scheme["card"])
    found = {name: contrast(drawn(name, scheme, ground), ground) for name in DRAWN}
    assert {name: ratio for name, ratio in found.items() if ratio < 3} == {}
