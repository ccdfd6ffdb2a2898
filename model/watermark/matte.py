"""Opacity and colour of each pixel of a mark, by robust regression over the samples.

Under the mark a sample is J = (1 - a) I + a W. I is guessed from around the mark (harmonic continuation); the slope of
J on it, shared by the three channels, is 1 - a, and the intercept is a W. Marks have few colours: once they are known,
opacity is a regression of one parameter, several times less noisy. Level parts of the opacity are made exactly level.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from model.watermark.guesses import Guesses
from model.watermark.lattice import Lattice
from model.watermark.palette import palette_of
from model.watermark.strength import Edges

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Mask = NDArray[np.bool_]

_ROUNDS = 4
#: Pixels with less opacity than this carry no mark.
LEAST_ALPHA = 0.015
#: Largest residual of a two-colour mixture, as a share of the residual of one colour, for the mixture to be used.
_MIXED = 0.9
#: Opacity that JPEG's chroma subsampling simulates where two colours meet.
_BLED = 0.06
#: Least distance of the mark's colour and the background, in levels, for a sample to inform.
_VISIBLE = 24
#: Colours are free where their mean over this many px differs from the palette's by more levels, if that holds for this
#: share of the mark.
_SMOOTH, _OFF, _GRADIENT = 7, 10.0, 0.15
#: Error of a sample's strength from the guess of the background.
_GUESSED = 0.04
#: Least error of an opacity beside that of its repetitions.
_LEAST_ERROR = 0.002


@dataclass(frozen=True)
class Matte:
    """The result of the regression, over the window."""

    #: ``float32 [h, w]`` in [0, 1].
    alpha: Values
    #: ``float32 [h, w, 3]``, 0 to 255.
    colour: Values
    #: Each sample's strength, relative to the mean of all: ``float32 [N]``.
    strength: Values
    #: Number of samples that inform about each pixel: ``float32 [h, w]``.
    informative: Values
    #: Standard error of the opacity: ``float32 [h, w]``.
    error: Values


@dataclass
class _Fit:
    """The best explanation so far of each pixel of the hole."""

    alpha: Values
    colour: Values
    error: Values
    informative: Values
    #: Mean squared residual.
    cost: Values
    mixed: Mask


def regress(windows: Pixels, hole: Mask, used: NDArray[np.intp]) -> Matte:
    """The matte in ``hole`` (``bool [h, w]``) from the samples ``used`` of ``windows`` (``uint8 [N, h, w, 3]``)."""
    data = Guesses(windows, hole, used)
    strength = np.ones(len(used), np.float32)
    palette = palette_of(*_free(data))
    fit = _explained(data, palette, strength)
    plain = fit.alpha.copy()
    for last in (False, True):
        error = data.plane(hole.shape, fit.error)
        alpha = _levelled(data.plane(hole.shape, fit.alpha), error, _bled(data, hole.shape, fit))
        fit.alpha = alpha[data.rows, data.columns]
        _recolour(data, fit, strength, _off_palette(data, (hole.shape[0], hole.shape[1]), fit, strength))
        if not last:
            strength = _strengths(windows, data, used, alpha, data.plane(hole.shape, fit.colour))
            fit = _explained(data, palette, strength)
            # Strengths are relative: their common factor belongs to the opacity.
            sure = plain > 0.1
            common = float(np.median(fit.alpha[sure] / plain[sure])) if sure.any() else 1.0
            fit.alpha, strength = np.clip(fit.alpha / common, 0, 1), np.asarray(strength * common, np.float32)
    alpha[alpha < LEAST_ALPHA] = 0
    every = np.ones(windows.shape[0], np.float32)
    every[used] = strength
    return Matte(
        alpha,
        data.plane(hole.shape, fit.colour),
        every,
        data.plane(hole.shape, fit.informative),
        data.plane(hole.shape, fit.error),
    )


def repeated(matte: Matte, lattice: Lattice) -> Matte:
    """The matte of a mark that repeats within its window: the same in all repetitions, by their certainty."""
    sure = np.where(matte.informative > 0, 1 / np.square(np.maximum(matte.error, _LEAST_ERROR)), 0)
    weight = np.asarray(sure, np.float32)
    total = np.maximum(lattice.averaged(weight), 1e-6)
    opacity = lattice.averaged(matte.alpha * weight) / total
    inks = matte.colour.transpose(2, 0, 1) * (matte.alpha * weight)
    colour = np.clip(lattice.averaged(inks) / np.maximum(opacity * total, 1e-6), 0, 255).transpose(1, 2, 0)
    return replace(matte, alpha=np.asarray(opacity, np.float32), colour=np.ascontiguousarray(colour, np.float32))


def _free(data: Guesses) -> tuple[Values, Values, Values]:
    """Opacity ``[P]`` (shared by the channels), opacity times colour ``[P, 3]``, and the opacity's error ``[P]``."""
    count = len(data.rows)
    slope, shift = np.ones(count, np.float32), np.zeros((count, 3), np.float32)
    error = np.ones(count, np.float32)
    for part in data.chunks():
        x, y, base = data.part(part)
        weight = base.copy()
        for _ in range(_ROUNDS):
            total = np.maximum(weight.sum(axis=0), 1e-6)
            mean_x = (weight * x).sum(axis=1) / total
            mean_y = (weight * y).sum(axis=1) / total
            dx, dy = x - mean_x[:, None], y - mean_y[:, None]
            across = (weight * dx**2).sum(axis=(0, 1)) + 1e-3
            b = ((weight * dx * dy).sum(axis=(0, 1)) + 0.5e-3) / across
            rest = np.square(dy - b * dx).mean(axis=0)
            weight = base * _tukey(np.sqrt(rest) / _scale(np.sqrt(rest), base))
        slope[part], shift[part] = b, (mean_y - b * mean_x).T
        error[part] = np.sqrt((weight * rest).sum(axis=0) / total / (across / total / 3)) / np.sqrt(
            np.maximum((base > 0).sum(axis=0) - 2, 1)
        )
    return np.clip(1 - slope, 0, 1), shift, error


def _scale(size: Values, weight: Values) -> Values:
    """A robust scale of residuals ``[N, P]``: the weighted mean absolute one, one level at least."""
    mean = (size * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-6)
    return np.asarray(np.maximum(1.6 * mean, 1.0), np.float32)


def _tukey(ratio: Values) -> Values:
    return np.asarray(np.square(np.clip(1 - np.square(ratio / 4), 0, 1)), np.float32)


def _explained(data: Guesses, palette: Values, strength: Values) -> _Fit:
    """Each pixel by the one colour of the palette that explains it best, or by a mixture of two."""
    count = len(data.rows)
    fit = _Fit(
        np.zeros(count, np.float32), np.zeros((count, 3), np.float32), np.ones(count, np.float32),
        np.zeros(count, np.float32), np.full(count, np.inf, np.float32), np.zeros(count, np.bool_),
    )  # fmt: skip
    for part in data.chunks():
        x, y, base = data.part(part)
        for tint in palette:
            _take(fit, part, _single(x, y, base, tint, strength), 1.0)
        for pair in combinations(palette, 2):
            _take(fit, part, _mixture(x, y, base, pair, strength), _MIXED)
    return fit


def _take(fit: _Fit, part: slice, other: tuple[Values, Values, Values, Values, Values], factor: float) -> None:
    alpha, colour, error, informative, cost = other
    mixed = factor < 1
    # Mixtures compete with each other as equals, and with single colours at a handicap.
    bar = np.where(fit.mixed[part], 1.0, factor) * fit.cost[part]
    better = cost < bar
    for old, new in (
        (fit.alpha, alpha), (fit.colour, colour), (fit.error, error), (fit.informative, informative), (fit.cost, cost),
    ):  # fmt: skip
        old[part][better] = new[better]
    fit.mixed[part][better] = mixed


def _single(
    x: Values, y: Values, base: Values, tint: Values, strength: Values
) -> tuple[Values, Values, Values, Values, Values]:
    apart = tint[:, None, None] - x
    toward, step, weight = apart * strength[:, None], y - x, base.copy()
    square, product = (toward**2).sum(axis=0), (toward * step).sum(axis=0)
    for _ in range(_ROUNDS):
        across = (weight * square).sum(axis=0) + 1e-3
        alpha = np.clip((weight * product).sum(axis=0) / across, 0, 1)
        rest = np.square(step - alpha * toward).mean(axis=0)
        weight = base * _tukey(np.sqrt(rest) / _scale(np.sqrt(rest), base))
    colour = np.broadcast_to(tint, (len(alpha), 3))
    return alpha, colour, *_judged(rest, weight, base, across, np.abs(apart).max(axis=0))


def _mixture(
    x: Values, y: Values, base: Values, pair: tuple[Values, Values], strength: Values
) -> tuple[Values, Values, Values, Values, Values]:
    """y - x = a (second - x) + u (first - second), with 0 <= u <= a: the colour lies between the two."""
    first, second = pair
    toward, step, weight = (second[:, None, None] - x) * strength[:, None], y - x, base.copy()
    apart = (first - second)[:, None, None] * strength[:, None]
    # Sums over the channels do not change with the weights.
    products = [
        (one * other).sum(axis=0)
        for one, other in ((toward, toward), (toward, apart), (apart, apart), (toward, step), (apart, step))
    ]
    for _ in range(_ROUNDS):
        aa, au, uu, ay, uy = ((weight * product).sum(axis=0) for product in products)
        aa, uu = aa + 1e-3, uu + 1e-3
        across = np.maximum(aa - au**2 / uu, 1e-3)
        alpha = np.clip((ay - au * uy / uu) / across, 0, 1)
        part = np.clip((uy - au * alpha) / uu, 0, alpha)
        rest = np.square(step - alpha * toward - part * apart).mean(axis=0)
        weight = base * _tukey(np.sqrt(rest) / _scale(np.sqrt(rest), base))
    share = (part / np.maximum(alpha, 1e-3))[:, None]
    colour = share * first + (1 - share) * second
    return alpha, colour, *_judged(rest, weight, base, across, np.abs(colour.T[:, None] - x).max(axis=0))


def _judged(rest: Values, weight: Values, base: Values, across: Values, apart: Values) -> tuple[Values, Values, Values]:
    """Standard error of the opacity, samples that inform, and the mean squared residual, of each pixel."""
    total = np.maximum(weight.sum(axis=0), 1e-6)
    used = ((apart > _VISIBLE) & (base > 0)).sum(axis=0).astype(np.float32)
    spread = np.sqrt((weight * rest).sum(axis=0) / total)
    error = spread / np.sqrt(np.maximum(across / total / 3, 1)) / np.sqrt(np.maximum(used, 1))
    # Without robust weights, which would forgive a wrong colour.
    cost = (np.minimum(rest, 3600) * base).sum(axis=0) / np.maximum(base.sum(axis=0), 1e-6)
    return error, used, cost


def _off_palette(data: Guesses, shape: tuple[int, int], fit: _Fit, strength: Values) -> Mask:
    """Pixels whose own colour differs from their palette's, as in gradients and photographs: ``bool [P]``."""
    own = np.zeros((len(data.rows), 3), np.float32)
    for part in data.chunks():
        x, y, base = data.part(part)
        own[part] = _own_colour(x, y, base, fit.alpha[part], strength)
    sure = (fit.alpha > 0.1).astype(np.float32)
    weight = cv2.blur(data.plane(shape, sure), (_SMOOTH, _SMOOTH))
    apart = data.plane(shape, (own - fit.colour) * sure[:, None])
    smooth = cv2.blur(apart, (_SMOOTH, _SMOOTH)) / np.maximum(weight, 1e-3)[..., None]
    off = (np.abs(smooth).max(axis=2) > _OFF)[data.rows, data.columns] & (sure > 0)
    return np.asarray(off if off.sum() > _GRADIENT * sure.sum() else np.zeros_like(off))


def _own_colour(x: Values, y: Values, base: Values, opacity: Values, strength: Values) -> Values:
    """The colour ``[P, 3]`` that explains the samples best, given the opacity."""
    alpha = opacity[None, :] * strength[:, None]
    # Guesses beside texture err alike where goods lie alike: the smoothest samples decide.
    weight = np.square(base) * alpha
    left = (weight * (y - (1 - alpha) * x)).sum(axis=1)
    return np.asarray(np.clip(left / np.maximum((weight * alpha).sum(axis=0), 1e-6), 0, 255).T, np.float32)


def _recolour(data: Guesses, fit: _Fit, strength: Values, free: Mask) -> None:
    """Recompute the colour of mixed pixels, and of those in ``free``, from the levelled opacity."""
    for part in data.chunks():
        mixed = (fit.mixed[part] | free[part]) & (fit.alpha[part] > 0.1)
        if not mixed.any():
            continue
        x, y, base = (values[..., mixed] for values in data.part(part))
        fit.colour[part][mixed] = _own_colour(x, y, base, fit.alpha[part][mixed], strength)


def _strengths(windows: Pixels, data: Guesses, used: NDArray[np.intp], alpha: Values, colour: Values) -> Values:
    """Each sample's strength relative to the mean, shrunk towards 1 by its uncertainty."""
    fitted, error, edges = np.ones(len(used)), np.ones(len(used)), Edges(alpha, colour)
    for place, index in enumerate(used):
        window = np.asarray(windows[index]).astype(np.float32)
        guess = window.copy()
        guess[data.rows, data.columns] = data.guess[place]
        fitted[place], error[place] = edges.fit(window, guess)
    fitted, error = np.clip(fitted, 0.3, 2.0), np.hypot(error, _GUESSED)
    # The mean comes from samples that show the mark well: errors bias the others to one side.
    trust = 1 / error**2
    middle = float((fitted * trust).sum() / trust.sum())
    own = max(float((trust * (fitted - middle) ** 2).sum() / trust.sum()) - 1 / float(trust.mean()), 1e-5)
    return np.asarray(1 + (fitted / middle - 1) * own / (own + error**2), np.float32)


def _bled(data: Guesses, shape: tuple[int, int], fit: _Fit) -> Mask:
    """Pixels near another colour of the mark: ``bool [h, w]``; without the soft edge, where opacity really falls."""
    alpha, colour = data.plane(shape, fit.alpha), data.plane(shape, fit.colour)
    level = float(np.percentile(fit.alpha[fit.alpha > 0.03], 75)) if (fit.alpha > 0.03).any() else 1.0
    there = cv2.erode((alpha > 0.5 * level).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kernel = np.ones((7, 7), np.uint8)
    highest = cv2.dilate(np.where(there[..., None], colour, 0), kernel)
    lowest = cv2.erode(np.where(there[..., None], colour, 255), kernel)
    return np.asarray(there & ((highest - lowest).max(axis=2) > _VISIBLE))


def _levelled(alpha: Values, error: Values, bled: Mask) -> Values:
    """Opacity with its nearly level parts made exactly level: most marks have few opacities, and soft edges."""
    out, there = alpha.copy(), alpha > 0.03
    doubt = np.where(bled, np.hypot(error, _BLED), error)
    inner = there & (cv2.erode(there.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    if inner.sum() < 30:
        inner = there
    left = inner.copy()
    for _ in range(3):
        values = alpha[left]
        if len(values) < max(20, 0.1 * inner.sum()):
            break
        counts, bounds = np.histogram(values, 60, (0, 1.0))
        smooth = np.convolve(counts * (0.3 + bounds[:-1]), (1, 2, 3, 2, 1), "same")
        peak = float(bounds[np.argmax(smooth)]) + 1 / 120
        sigma = float(np.clip(np.median(error[left]), 0.01, 0.06))
        for _ in range(5):
            near = values[np.abs(values - peak) < 3 * sigma]
            peak = float(np.mean(near)) if len(near) else peak
        if (np.abs(values - peak) < 3 * sigma).sum() < 0.25 * inner.sum():
            break
        pull = np.clip(1.5 - np.abs(alpha - peak) / (3 * np.clip(doubt, sigma, 0.08)), 0, 1) * there
        out = out * (1 - pull) + peak * pull
        left &= np.abs(alpha - peak) > 4.5 * sigma
    return np.asarray(out, np.float32)
