"""How sure a template is, 0 to 1: the rule by which a job may begin without a person's look.

It is the least of five figures of the template's quality, each laid between a value that says nothing for it and one
beyond which more says nothing more.
"""

from __future__ import annotations

from model.watermark.template import Quality

#: By figure: where its confidence is 0, and where it is 1.
_SPANS = {
    "informative": (5.0, 25.0),
    "z": (4.0, 12.0),
    "error": (0.12, 0.02),
    "ghost": (0.3, 0.1),
    "jitter_px": (6.0, 2.0),
}


def confidence(quality: Quality) -> float:
    """The least of its figures."""
    return round(min(_between(getattr(quality, name), *span) for name, span in _SPANS.items()), 3)


def _between(value: float, nothing: float, whole: float) -> float:
    return min(max((value - nothing) / (whole - nothing), 0.0), 1.0)
