"""Plots of a review."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from shared.learning.judging import plots
from shared.learning.judging.bootstrap import Estimate, Interval
from shared.learning.judging.plots import savings
from shared.learning.judging.review import Review


def test_plots_are_png_and_the_same_every_time(images: dict[str, bytes], reviewed: Review) -> None:
    assert all(image.startswith(b"\x89PNG") for image in images.values())
    assert savings(reviewed.savings) == images["savings.png"]


def test_labels_in_millions_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Any, Any]] = []

    def png(figure: Any, axes: Any, **_: object) -> bytes:
        drawn.append((figure, axes))
        return b""

    monkeypatch.setattr(plots, "_png", png)
    savings({"20260101T000000Z-abcdef01": Estimate(1.2e6, Interval(1e5, 2.65e6))})
    [(figure, axes)] = drawn
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
