"""The confidence of a template, 0 to 1: the rule by which a job may begin without review.

It is the least of some figures of the template's quality, each scaled between the value of no confidence and the value
of full confidence; the shares of the self-test are two of them.
"""

from __future__ import annotations

from model.watermark.template import Quality

#: Values of no and of full confidence, by figure.
_SPANS = {
    "informative": (5.0, 25.0),
    "z": (4.0, 9.0),
    "error": (0.12, 0.02),
    "ghost": (0.3, 0.1),
    "jitter_px": (6.0, 2.0),
}

#: The same for the shares of its own samples in which the template is found again, and no longer shows.
_FOUND, _CLEAN = (0.7, 0.95), (0.5, 0.9)


def confidence(quality: Quality) -> float:
    """The least of the scaled figures of ``quality``."""
    figures = [_scaled(getattr(quality, name), *span) for name, span in _SPANS.items()]
    if quality.tested:
        figures += [_scaled(quality.found / quality.tested, *_FOUND), _scaled(quality.clean / quality.tested, *_CLEAN)]
    return round(min(figures), 3)


def _scaled(value: float, none: float, full: float) -> float:
    return min(max((value - none) / (full - none), 0.0), 1.0)
