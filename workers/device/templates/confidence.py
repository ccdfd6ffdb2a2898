"""The confidence of a template, 0 to 1: the rule by which a job may begin without review.

It is the least of five figures of the template's quality, each scaled between the value of no confidence and the value
of full confidence.
"""

from __future__ import annotations

from model.watermark.template import Quality

#: Values of no and of full confidence, by figure.
_SPANS = {
    "informative": (5.0, 25.0),
    "z": (4.0, 12.0),
    "error": (0.12, 0.02),
    "ghost": (0.3, 0.1),
    "jitter_px": (6.0, 2.0),
}


def confidence(quality: Quality) -> float:
    """The least of the scaled figures."""
    return round(min(_scaled(getattr(quality, name), *span) for name, span in _SPANS.items()), 3)


def _scaled(value: float, none: float, full: float) -> float:
    return min(max((value - none) / (full - none), 0.0), 1.0)
