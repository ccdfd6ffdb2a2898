"""The shape of a translucent mark in one picture: where its edge lies under the paint, how soft it is, and how sure.

People paint wider than the mark, and marks have soft edges. A candidate is an opacity, a colour, an edge and a
softness. It is judged by the un-blended picture: its roughness (the Laplacian) must be that of the surroundings, along
the mark's rim as well as inside, and it must agree with the network's fill where that is sure. Both are
log-likelihoods of the *marked* pixels, so that opacities can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from model.repair.opacity import FREEDOM, Flags, Paint, Values, continued, fill_error, fit_paints, texture_of
from model.repair.seam import spread

Mask = NDArray[np.uint8]

#: Edges tried, in px within the painted mask's border (below 0: outside), and the softness of the edge (a blur's
#: sigma in px), coarse and fine.
_EDGES = (-2, -1, 0, 1, 2, 3, 4, 5, 6)
_COARSE_EDGES, _COARSE_SOFTNESS = (-1, 0, 1, 2, 3, 4, 6), 0.7
_HARD_EDGES = (0, 1)
_SOFTNESS = (0.0, 0.45, 0.7, 1.0, 1.4)
#: Opacities beyond this hide the picture.
MOST_OPACITY = 0.95
_FINE = (0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.36, 0.42, 0.48, 0.54, 0.6, 0.66, 0.72, 0.78, 0.84, 0.9, 0.95)
#: A soft edge makes the first fit read opacity too low by up to this factor.
_MORE = (1.0, 1.35)
#: Opacities tried with each softness, over the one before.
_TRADES = (0.8, 0.9, 1.0, 1.1)
#: Weight of the agreement with the fill against roughness; its depth of half trust, in px.
_FILL_WEIGHT, _FILL_DEPTH = 0.5, 4.0
#: The depth at which the texture around the hole counts half, in px.
_TEXTURE_DEPTH = 8.0
#: Handicap of a fitted colour, in log-likelihood of a pixel: it trades against opacity.
_HANDICAP = 0.06
#: A tint up to this is free, more costs this much.
_FREE_TINT, _TINT_PRICE = 0.7, 0.3
#: Paints whose likelihood is this much below the best are not tried.
_NEAR = 1.5
#: Coarse trials whose score is this much below the best are not refined.
_HOPEFUL = 0.25
#: Rounds of carving; the reach of a pixel's vote, the most that one counts, and the odds below which a pixel goes.
_CARVING_ROUNDS, _VOTE_PX, _MOST_ODDS, _DOUBT = 2, 0.7, 8.0, 1.0
#: Log-likelihood that each border pixel of a carved shape must pay for.
_BORDER_PRICE = 0.7
#: Least pixels of a shape, and of a painted part in which a mark can be fitted.
_LEAST_PIXELS, _LEAST_PAINTED = 12, 400
#: Roughness of one level of noise: the mean size of its Laplacian.
_ROUGHNESS_OF_NOISE = 2.0
_MOST_ROUGHNESS, _LEAST_ROUGHNESS = 300.0, 0.8


@dataclass(frozen=True)
class Ground:
    """A window of a marked picture, with a guess of the picture below."""

    #: ``float32 [H, W, 3]``, levels of 255.
    marked: Values
    #: The same with the hole filled.
    guess: Values
    #: ``uint8 [H, W]``: 255 where a person painted, and the wider hole that the fill covers.
    painted: Mask
    hole: Mask
    #: Error of the picture's coding, in levels.
    noise: float

    @cached_property
    def inside(self) -> Flags:
        return np.asarray(self.hole > 0)

    @cached_property
    def band(self) -> Flags:
        """The hole and 1 px around it."""
        return np.asarray(cv2.dilate(self.hole, np.ones((3, 3), np.uint8)) > 0)

    @cached_property
    def texture(self) -> Values:
        return texture_of(self.marked, self.inside)

    @cached_property
    def depth(self) -> Values:
        return depth_in(self.inside)

    @cached_property
    def error(self) -> Values:
        """Standard error of the guess, in levels."""
        return fill_error(self.texture, self.depth)

    @cached_property
    def within(self) -> Values:
        """Distance to the painted mask's border in px: over 0 inside it."""
        # Beyond the picture's border the paint goes on.
        wider = cv2.copyMakeBorder(self.painted, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        inner = cv2.distanceTransform(wider, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
        outer = cv2.distanceTransform(255 - self.painted, cv2.DIST_L2, cv2.DIST_MASK_5)
        return np.where(self.painted > 0, inner - 0.5, 0.5 - outer).astype(np.float32)

    def eroded(self, edge: int) -> Flags:
        """The painted mask less ``edge`` px."""
        return np.asarray((self.within > edge) & self.inside)

    def softened(self, hard: Flags, softness: float) -> Values:
        """``float32 [H, W]``, 0 to 1: the mark's share of its opacity, where ``hard`` is its shape."""
        shape = hard.astype(np.float32)
        if softness:
            shape = np.asarray(cv2.GaussianBlur(shape, (0, 0), softness), np.float32)
        return shape * self.inside

    def carved(self, edge: int, opacity: float, colour: Values) -> Flags:
        """The painted mask less ``edge`` px, less the pixels that do not look marked: gaps between letters.

        Each pixel is tested against the guess with and without the paint; neighbours vote. Pixels that are not marked
        make the guess better for the next round.
        """
        support = self.eroded(edge)
        guess, error, _ = self.refined(support.astype(np.float32))
        hard = support
        for _ in range(_CARVING_ROUNDS):
            plain = np.square(error) + self.noise**2
            veiled = np.square((1 - opacity) * error) + self.noise**2
            without = np.square(self.marked - guess).sum(axis=2) / plain
            with_paint = np.square(self.marked - (1 - opacity) * guess - opacity * colour).sum(axis=2) / veiled
            odds = (FREEDOM + 3) / 2 * (np.log1p(without / FREEDOM) - np.log1p(with_paint / FREEDOM))
            odds = np.clip(odds + 1.5 * np.log(plain / veiled), -_MOST_ODDS, _MOST_ODDS)
            odds[~self.inside] = -_MOST_ODDS
            votes = cv2.GaussianBlur(odds.astype(np.float32), (0, 0), _VOTE_PX)
            hard = np.asarray((votes > -_DOUBT) & support)
            guess, error, _ = self.refined(np.asarray(cv2.GaussianBlur(hard.astype(np.float32), (0, 0), 0.8)))
        return hard

    def refined(self, shape: Values) -> tuple[Values, Values, Values]:
        """Guess, its error and the depth, if only ``shape`` is marked: the other pixels of the hole are known."""
        known = shape < 0.02
        step = np.where((known & (self.depth < 64))[..., None], self.marked - self.guess, 0).astype(np.float32)
        moved = self.guess + spread(step, known.astype(np.float32))
        depth = depth_in(~known)
        guess = np.where(known[..., None], self.marked, moved).astype(np.float32)
        return guess, np.minimum(self.error, fill_error(self.texture, depth)), depth


def depth_in(flags: Flags) -> Values:
    """``float32 [H, W]``: the distance of each pixel of ``flags`` to the nearest other pixel, in px."""
    return np.asarray(cv2.distanceTransform(flags.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)


@dataclass(frozen=True)
class Evidence:
    """How well a veil explains the marked pixels. Of a true one, the first three are near 1, and ``agreement`` too."""

    #: Roughness of the un-blended picture over that of the surroundings: along the mark's rim, within the mark, and in
    #: the rest of the hole.
    rim: float
    interior: float
    rest: float
    #: Mean distance of the un-blended picture to the fill, in the fill's standard errors.
    agreement: float
    #: Share of un-blended values outside the levels of a picture.
    impossible: float
    #: Log-likelihood of a pixel: against an opaque object, and against no mark at all.
    against_object: float
    against_nothing: float
    #: Mean shift of a channel of the un-blended colours from the fill's against the other channels, in the fill's
    #: standard errors: a mark of another colour than the veil's leaves one.
    tint: float
    #: Number of pixels in the hole.
    pixels: int
    #: Mean step from the picture to the mark, in the fill's standard errors: near 0 if the colour is the ground's own.
    visible: float
    #: Share of the painted pixels that it covers.
    coverage: float
    #: Opacity as read off the contrast of the fill alone, and its standard error.
    contrast_opacity: float
    contrast_error: float


@dataclass(frozen=True)
class Veil:
    """A translucent mark: the marked picture is ``I (1 - a) + colour a`` with ``a = opacity * shape``."""

    opacity: float
    #: ``float32 [3]``, levels of 255.
    colour: Values
    #: The edge's place within the painted border in px, whether gaps were carved out, and the edge's softness in px.
    edge: int
    carved: bool
    softness: float
    fitted: bool
    #: ``float32 [H, W]``, 0 to 1.
    shape: Values = field(repr=False)
    likelihood: float
    evidence: Evidence

    @property
    def alpha(self) -> Values:
        return np.asarray(self.opacity * self.shape, np.float32)


@dataclass(frozen=True)
class _Trial:
    score: float
    opacity: float
    colour: Values
    hard: Flags = field(repr=False)
    softness: float
    #: The edge of ``hard`` within the painted border, and whether gaps were carved out of it.
    edge: int
    carved: bool


class _Plane:
    """A ground in the one channel in which a colour is seen best; judges candidates."""

    def __init__(self, ground: Ground, colour: Values) -> None:
        self._ground = ground
        self.mix = np.abs(colour - ground.guess[ground.inside]).mean(axis=0) + 5
        self.mix = (self.mix / self.mix.sum()).astype(np.float32)
        self.marked = ground.marked @ self.mix
        self._guess = (ground.guess @ self.mix)[ground.band]
        band = ground.band
        self._where = np.flatnonzero(band)
        known = (cv2.dilate(ground.hole, np.ones((5, 5), np.uint8)) == 0).astype(np.float32)
        rough = np.minimum(np.abs(cv2.Laplacian(self.marked, cv2.CV_32F)), _MOST_ROUGHNESS)
        self._rough = np.maximum(continued(rough, known, sigma=5), _LEAST_ROUGHNESS)[band]
        self._error = ground.error[band]
        self._weight = _FILL_WEIGHT / (1 + np.square(ground.depth[band] / _FILL_DEPTH))
        # Deep in a wide hole the texture may be another one than around it.
        self._rough_weight = 1 / (1 + np.square(ground.depth[band] / _TEXTURE_DEPTH))
        self._pixels = float(ground.inside.sum())

    def unblended(self, alpha: Values, colour: Values) -> Values:
        level = float(colour @ self.mix)
        return np.asarray((self.marked - alpha * level) / (1 - np.minimum(alpha, 0.97)), np.float32)

    def roughness(self, alpha: Values, clean: Values) -> Values:
        """``float32 [N]`` over the band: the Laplacian's size over the expected one, at most 6."""
        band = self._ground.band
        size = np.abs(cv2.Laplacian(np.clip(clean, -40, 295), cv2.CV_32F))[band]
        through = 1 - np.minimum(alpha[band], 0.97)
        expected = np.hypot(self._rough, _ROUGHNESS_OF_NOISE * self._ground.noise / through)
        return np.minimum(size / expected, 6)

    def score(self, alpha: Values, colour: Values) -> float:
        """Log-likelihood of the marked pixels, for each pixel of the hole."""
        clean = self.unblended(alpha, colour)
        size = np.abs(cv2.Laplacian(np.clip(clean, -40, 295), cv2.CV_32F).ravel()[self._where])
        through, clean = 1 - np.minimum(alpha.ravel()[self._where], 0.97), clean.ravel()[self._where]
        stretch = np.log(through)
        expected = np.hypot(self._rough, _ROUGHNESS_OF_NOISE * self._ground.noise / through)
        # Heavier tails than Laplace's: edges of the picture are rare and large.
        total = self._rough_weight * (-3 * np.log1p(size / expected / 2) - np.log(expected) - stretch)
        total -= 8 * np.clip((np.abs(clean - 127.5) - 139.5) / 12, 0, 1)
        variance = np.square(self._error) + np.square(self._ground.noise / through)
        density = -(FREEDOM + 1) / 2 * np.log1p(np.square(clean - self._guess) / variance / FREEDOM)
        total += self._weight * (density - 0.5 * np.log(variance) - stretch)
        return float(total.sum()) / self._pixels


def find_veil(ground: Ground, *, least_against_object: float = -np.inf) -> Veil | None:
    """The translucent mark that explains the painted pixels best, with its evidence; ``None``: none can be fitted.

    ``least_against_object``: paints with less of that evidence are not tried, which saves the time of a search.

    A veil is only a candidate: :func:`model.repair.recovery.is_sure` decides.
    """
    painted = ground.painted > 0
    if np.count_nonzero(painted) < _LEAST_PAINTED:
        return None
    paints = fit_paints(ground.marked[painted], ground.guess[painted], ground.error[painted], noise=ground.noise)
    paints = [
        paint
        for paint in paints
        if paint.likelihood > paints[0].likelihood - _NEAR and paint.likelihood - paint.opaque >= least_against_object
    ]
    edges = [edge for edge in _EDGES if np.count_nonzero((ground.within > edge) & ground.inside) >= _LEAST_PIXELS]
    if not paints or not edges:
        return None
    planes = [_Plane(ground, paint.colour) for paint in paints]
    starts = [
        max(_coarse(ground, plane, paint, edges), key=lambda one: one.score)
        for paint, plane in zip(paints, planes, strict=True)
    ]
    hopeful = max(start.score for start in starts) - _HOPEFUL
    veils: list[Veil] = []
    for paint, plane, start in zip(paints, planes, starts, strict=True):
        if start.score < hopeful:
            continue
        trial = start
        for _ in range(2):
            before = trial
            trial = _with_opacity(ground, plane, trial, fitted=paint.fitted)
            trial = _with_shape(ground, plane, trial, edges)
            if trial is before:
                break
        trial = _with_fine_opacity(ground, plane, trial)
        veils.append(_veil(ground, plane, trial, paint.fitted, paint.likelihood - paint.opaque))
    return max(veils, key=_merit)


def _merit(veil: Veil) -> float:
    """The score of a veil among those of other paints. White and black explain a coloured mark, but for its tint."""
    return veil.likelihood - _HANDICAP * veil.fitted - _TINT_PRICE * max(veil.evidence.tint - _FREE_TINT, 0)


def _veil(ground: Ground, plane: _Plane, trial: _Trial, fitted: bool, against_object: float) -> Veil:
    shape = ground.softened(trial.hard, trial.softness)
    evidence = _evidence(ground, plane, trial, shape, against_object)
    return Veil(
        trial.opacity, trial.colour, trial.edge, trial.carved, trial.softness, fitted, shape, trial.score, evidence
    )


def _coarse(ground: Ground, plane: _Plane, paint: Paint, edges: list[int]) -> list[_Trial]:
    """Trials of the paint with eroded and drawn shapes."""

    def trials_of(edge: int, hard: Flags, carved: bool, softness: float = _COARSE_SOFTNESS) -> list[_Trial]:
        shape = ground.softened(hard, softness)
        price = _price(ground, hard) if carved else 0.0
        return [
            _Trial(
                plane.score(opacity * shape, paint.colour) - price,
                opacity,
                paint.colour,
                hard,
                softness,
                edge,
                carved,
            )
            for opacity in {min(paint.opacity * more, MOST_OPACITY) for more in _MORE}
        ]

    opacity = min(paint.opacity, MOST_OPACITY)
    tried = [edge for edge in _COARSE_EDGES if edge in edges] or edges[:1]
    trials = [trial for edge in tried for trial in trials_of(edge, ground.eroded(edge), False)]
    # Hard marks, painted exactly: a soft edge would end elsewhere.
    trials += [
        trial for edge in _HARD_EDGES if edge in edges for trial in trials_of(edge, ground.eroded(edge), False, 0.0)
    ]
    best = max(trials, key=lambda one: one.score)
    for edge in {best.edge, tried[0]}:
        hard = ground.carved(edge, opacity, paint.colour)
        if np.count_nonzero(hard) >= _LEAST_PIXELS:
            trials += trials_of(edge, hard, True)
    return trials


def _price(ground: Ground, hard: Flags) -> float:
    """The price of a carved shape, for each pixel of the hole: it must explain more than a shape that was given."""
    border = cv2.morphologyEx(
        hard.astype(np.uint8), cv2.MORPH_GRADIENT, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    )
    return float(_BORDER_PRICE / 2 * np.count_nonzero(border) / max(int(np.count_nonzero(ground.inside)), 1))


def veil_of(ground: Ground, veil: Veil) -> Veil:
    """``veil``, fitted in a part of ``ground``, over all of it: its shape and its evidence there."""
    plane = _Plane(ground, veil.colour)
    hard = ground.carved(veil.edge, veil.opacity, veil.colour) if veil.carved else ground.eroded(veil.edge)
    score = plane.score(veil.opacity * ground.softened(hard, veil.softness), veil.colour)
    trial = _Trial(score, veil.opacity, veil.colour, hard, veil.softness, veil.edge, veil.carved)
    return _veil(ground, plane, trial, veil.fitted, veil.evidence.against_object)


def _with_opacity(ground: Ground, plane: _Plane, trial: _Trial, *, fitted: bool) -> _Trial:
    """The best opacity for the trial's shape, with the colour that fits it where colours are fitted."""
    shape = ground.softened(trial.hard, trial.softness)
    price = _price(ground, trial.hard) if trial.carved else 0.0
    colours = _colours(ground, shape) if fitted else [(opacity, trial.colour) for opacity in _FINE]
    trials = [
        replace(trial, score=plane.score(opacity * shape, colour) - price, opacity=opacity, colour=colour)
        for opacity, colour in colours
    ]
    return max([trial, *trials], key=lambda one: one.score)


def _colours(ground: Ground, shape: Values) -> list[tuple[float, Values]]:
    """For each opacity, the colour that moves the un-blended picture onto the guess near the mark's rim."""
    guess, error, depth = ground.refined(shape)
    where = np.flatnonzero((shape > 0.5 * float(shape.max())).ravel())
    where = where[:: max(1, len(where) // 1500)]
    below, marked = guess.reshape(-1, 3)[where], ground.marked.reshape(-1, 3)[where]
    error, depth, share = error.ravel()[where], depth.ravel()[where], shape.ravel()[where]
    colours: list[tuple[float, Values]] = []
    for opacity in _FINE:
        alpha = (opacity * share)[:, None]
        shift = (marked - (1 - alpha) * below) / alpha
        variance = np.square((1 - alpha[:, 0]) * error) + ground.noise**2
        weight = np.square(alpha[:, 0]) / variance / (1 + np.square(depth / _FILL_DEPTH)) + 1e-12
        colour = np.average(shift, axis=0, weights=weight)
        for _ in range(3):
            residual = np.square((shift - colour) * alpha).sum(axis=1) / variance
            colour = np.average(shift, axis=0, weights=weight / (1 + residual / FREEDOM))
        if (colour > -15).all() and (colour < 270).all():
            colours.append((opacity, np.clip(colour, 0, 255).astype(np.float32)))
    return colours


def _with_shape(ground: Ground, plane: _Plane, trial: _Trial, edges: list[int]) -> _Trial:
    """The best edge, one px to either side, carved or not, and softness."""
    opacity = min(trial.opacity, MOST_OPACITY)
    near = [edge for edge in edges if abs(edge - trial.edge) <= 1]
    shapes = [(edge, ground.eroded(edge), 0.0, False) for edge in near]
    hard = ground.carved(trial.edge, opacity, trial.colour)
    if np.count_nonzero(hard) >= _LEAST_PIXELS:
        shapes.append((trial.edge, hard, _price(ground, hard), True))
    best, cost = trial, _price(ground, trial.hard) if trial.carved else 0.0
    for edge, hard, price, carved in shapes:
        score = plane.score(trial.opacity * ground.softened(hard, trial.softness), trial.colour) - price
        if score > best.score:
            best, cost = replace(trial, score=score, hard=hard, edge=edge, carved=carved), price
    # Softness and opacity trade against each other.
    trials = [best]
    for softness in _SOFTNESS:
        shape = ground.softened(best.hard, softness)
        for more in _TRADES:
            opacity = min(best.opacity * more, MOST_OPACITY)
            score = plane.score(opacity * shape, best.colour) - cost
            trials.append(replace(best, score=score, opacity=opacity, softness=softness))
    return max(trials, key=lambda one: one.score)


def _with_fine_opacity(ground: Ground, plane: _Plane, trial: _Trial) -> _Trial:
    shape = ground.softened(trial.hard, trial.softness)
    price = _price(ground, trial.hard) if trial.carved else 0.0
    for step in (0.04, 0.02, 0.01):
        trials = [
            replace(trial, score=plane.score(opacity * shape, trial.colour) - price, opacity=opacity)
            for opacity in (max(trial.opacity - step, 0.04), min(trial.opacity + step, 0.97))
        ]
        trial = max([trial, *trials], key=lambda one: one.score)
    return trial


def _evidence(ground: Ground, plane: _Plane, trial: _Trial, shape: Values, against_object: float) -> Evidence:
    alpha = np.asarray(trial.opacity * shape, np.float32)
    clean = plane.unblended(alpha, trial.colour)
    roughness = np.zeros(shape.shape, np.float32)
    roughness[ground.band] = plane.roughness(alpha, clean)
    square = np.ones((3, 3), np.uint8)
    rim = (cv2.dilate(shape, square) - cv2.erode(shape, square) > 0.3) & ground.band
    interior, rest = (shape > 0.9) & ~rim, (shape < 0.05) & ground.band & ~rim
    guess, error, depth = ground.refined(shape)
    below, level = guess @ plane.mix, float(trial.colour @ plane.mix)
    variance = np.square(error) + np.square(ground.noise / (1 - np.minimum(alpha, 0.97)))
    weight = shape / (1 + np.square(depth / _FILL_DEPTH))
    distance = np.abs(clean - below) / np.sqrt(variance)
    core = (shape > 0.5 * float(shape.max())) & (shape > 0)
    step = float((alpha * (level - below) * weight)[core].mean()) if core.any() else 0.0
    scale = float((np.sqrt(variance) * weight)[core].mean()) if core.any() else 1.0
    colours = (ground.marked - alpha[..., None] * trial.colour) / (1 - np.minimum(alpha, 0.97))[..., None]
    shifts = ((np.clip(colours, 0, 255) - guess) * weight[..., None])[core]
    shift = shifts.mean(axis=0) if core.any() else np.zeros(3, np.float32)
    tint = float(np.abs(shift - shift.mean()).max()) / max(scale, 1e-6)
    opacity, spread_of_it = contrast_opacity(ground.marked, guess, error, weight * core, shape, noise=ground.noise)
    return Evidence(
        rim=_mean(roughness, rim),
        interior=_mean(roughness, interior),
        rest=_mean(roughness, rest),
        agreement=float((distance * weight).sum() / max(float(weight.sum()), 1e-6)),
        impossible=float((np.abs(clean[core] - 127.5) > 134).mean()) if core.any() else 0.0,
        against_object=against_object,
        tint=tint,
        pixels=int(np.count_nonzero(ground.inside)),
        visible=abs(step) / max(scale, 1e-6),
        coverage=float((shape > 0.5)[ground.painted > 0].mean()),
        against_nothing=trial.score - plane.score(np.zeros_like(alpha), trial.colour),
        contrast_opacity=opacity,
        contrast_error=spread_of_it,
    )


def contrast_opacity(
    marked: Values, guess: Values, error: Values, weight: Values, shape: Values, *, noise: float
) -> tuple[float, float]:
    """The rim check: a mark's opacity from the contrast of the picture seen through it, and its standard error.

    Inside the mark, ``marked`` is ``a * guess + b``: the slope a is 1 less the opacity, whatever the mark's colour b.
    An opaque mark or object has the slope 0. ``marked`` and ``guess``: ``float32 [H, W, 3]``; ``error`` of the guess in
    levels, ``weight`` and ``shape`` (the share of the opacity, 0 to 1): ``float32 [H, W]``. Where the guess is flat the
    error is large.
    """
    where = np.flatnonzero((weight > 0).ravel())
    where = where[:: max(1, len(where) // 4000)]
    if len(where) < _LEAST_PIXELS:
        return 1.0, 1.0
    below, step = guess.reshape(-1, 3)[where], (marked - guess).reshape(-1, 3)[where]
    error, share, trust = error.ravel()[where], shape.ravel()[where][:, None], weight.ravel()[where]
    opacity, added = 0.5, np.zeros(3, np.float32)
    for number in range(6):
        variance = np.square((1 - min(opacity, 1.0) * share[:, 0]) * error) + noise**2
        weights = trust / variance
        if number:
            residual = np.square(step - share * (added - opacity * below)).sum(axis=1)
            weights = weights / (1 + residual / variance / FREEDOM)
        squared = (weights[:, None] * share**2).sum() + 1e-9
        middle = (weights[:, None] * share**2 * below).sum(axis=0) / squared
        mean_step = (weights[:, None] * share * step).sum(axis=0) / squared
        across = -share * (below - middle)
        along = step - share * mean_step
        size = float((weights[:, None] * across**2).sum())
        opacity = float(np.clip((weights[:, None] * across * along).sum() / max(size, 1e-9), 0.02, 1.05))
        added = mean_step + opacity * middle
    rest = np.square(step - share * (added - opacity * below))
    # Errors of the guess extend over about 9 px.
    return opacity, float(np.sqrt(9 * (np.square(weights)[:, None] * across**2 * rest).sum()) / max(size, 1e-9))


def _mean(values: Values, where: Flags) -> float:
    return float(values[where].mean()) if np.count_nonzero(where) > 5 else 1.0
