"""The shape of a translucent mark of known paint: which pixels of the hole carry it, and how much at its rim.

The un-blended picture goes on smoothly across the mark's edge; with a wrong shape it has a step there. Each pixel has a
label, marked or not, and each pair of neighbours costs what the step between them says under their two labels. The
mean field of that model (a Potts model with the picture's own differences) is found by a few parallel rounds.
:func:`softened` does the same along the rim with five labels from no paint to all of it.
"""

from __future__ import annotations

import cv2
import numpy as np

from model.repair.ground import Below, Ground
from model.repair.opacity import FREEDOM, Flags, Values

#: Weight of the agreement with the guess against the steps, and the depth of half trust in the guess, in px.
_GUESS_WEIGHT, GUESS_DEPTH = 0.5, 4.0
#: Cost of each change of label between neighbours.
_BORDER = 0.2
#: Most cost of the guess at one pixel; weight of colours that no picture has; steps of the distance to the border.
_MOST_COST, _IMPOSSIBLE, _DISTANCES = 6.0, 6.0, 15
#: Weight of the prior by distance, and the rounds after which it is learned anew.
_DISTANCE_WEIGHT, _LEARNT = 0.75, 4
#: Before: the distance in px at which a pixel is as likely marked as not, and the most that the distance counts.
_START_PX, _MOST_START = 2.5, 3.0
#: Labels at the rim, as shares of the opacity, and the cost of those between.
_SHARES, _BETWEEN = np.array([0, 0.25, 0.5, 0.75, 1], np.float32), 0.7
_SOFT_ROUNDS = 8
#: How sure the rim's pixels are of their hard label before the first round.
_START = 0.5


class Plane:
    """A ground in the one channel in which a colour is seen best."""

    def __init__(self, ground: Ground, colour: Values) -> None:
        self.ground = ground
        mix = np.abs(colour - ground.guess[ground.inside]).mean(axis=0) + 5
        self.mix = (mix / mix.sum()).astype(np.float32)
        self.marked = np.asarray(ground.marked @ self.mix, np.float32)
        self.level = float(colour @ self.mix)

    def unblended(self, opacity: float) -> Values:
        return np.asarray((self.marked - np.float32(opacity * self.level)) * np.float32(1 / (1 - opacity)))

    def guess_cost(self, opacity: float, below: Below) -> Values:
        """Negative log-likelihood of the marked pixels, if ``below`` is the picture below."""
        share, guess = np.float32(1 - opacity), below.guess @ self.mix
        variance = np.square(share * below.error) + np.float32(self.ground.noise**2)
        far = np.square(self.marked - share * guess - np.float32(opacity * self.level)) / variance
        cost = _log(1 + far / np.float32(FREEDOM)) * np.float32((FREEDOM + 1) / 2) + _log(variance) * np.float32(0.5)
        weight = np.float32(_GUESS_WEIGHT) / (1 + np.square(self.ground.depth / np.float32(GUESS_DEPTH)))
        return np.asarray(cost * weight, np.float32)

    def step_scale(self, opacity: float) -> Values:
        return np.asarray(np.hypot(self.ground.step, np.float32(self.ground.noise / (1 - opacity))), np.float32)

    def impossible(self, opacity: float) -> Values:
        """0 to 1: how far the un-blended level lies outside those of a picture, beyond what coding does."""
        beyond = np.abs(self.unblended(opacity) - np.float32(127.5)) - np.float32(
            137.5 + 3 * self.ground.noise / (1 - opacity)
        )
        return np.asarray(np.clip(beyond / np.float32(20), 0, 1), np.float32)


def _log(values: Values) -> Values:
    return np.asarray(cv2.log(values))


def _step_cost(near: Values, far: Values, scale: Values, log_scale: Values) -> Values:
    return 2 * _log(1 + np.abs(near - far) / scale) + log_scale


def marked_share(
    plane: Plane, opacity: float, below: Below, rounds: int, start: Values | None = None
) -> tuple[Values, float]:
    """``float32 [H, W]``: each pixel's probability of carrying the mark; and what the shape explains, in log-likelihood
    for each painted pixel, over no mark at all.

    ``start``: an earlier answer. Without it, the pixels' own costs begin, and again with those of the distance to the
    painted border, and the better explanation counts: the first leaves gaps in wide marks, the second closes letters.
    """
    ground = plane.ground
    own = plane.guess_cost(opacity, below) - plane.guess_cost(0, below)
    own = np.clip(own, -_MOST_COST, _MOST_COST) + np.float32(_IMPOSSIBLE) * plane.impossible(opacity)
    inside = ground.inside.astype(np.float32)
    clean = plane.unblended(opacity)
    plain, veiled = plane.step_scale(0), plane.step_scale(opacity)
    log_plain, log_veiled = _log(plain), _log(veiled)
    stretch = np.float32(np.log(1 - opacity))
    pairs = []
    for first, second in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        without = _step_cost(plane.marked[first], plane.marked[second], plain[first], log_plain[first])
        both = _step_cost(clean[first], clean[second], veiled[first], log_veiled[first]) + stretch
        edge = np.float32(_BORDER) + stretch / 2
        falling = _step_cost(clean[first], plane.marked[second], veiled[first], log_veiled[first]) + edge
        rising = _step_cost(plane.marked[first], clean[second], veiled[first], log_veiled[first]) + edge
        pairs.append((first, second, falling - without, rising - without, both - falling - rising + without))
    distance = np.clip(np.floor(ground.within) + 6, 0, _DISTANCES - 1).astype(np.int32)

    def settled(share: Values) -> tuple[Values, float]:
        prior: Values | np.float32 = np.float32(0)
        for number in range(rounds):
            if number % _LEARNT == _LEARNT - 1:
                prior = _distance_cost(share, distance, ground.inside)
            cost = own + prior
            for first, second, falling, rising, both in pairs:
                cost[first] += falling + both * share[second]
                cost[second] += rising + both * share[first]
            share = inside * (share + 1 / (1 + np.exp(np.clip(cost, -20, 20)))) / 2
        hard = (share > 0.5).astype(np.float32)
        total = float((own * hard).sum())
        for first, second, falling, rising, both in pairs:
            one, other = hard[first], hard[second]
            total += float((falling * one + rising * other + both * one * other).sum())
        return share, -total / max(int(np.count_nonzero(ground.painted)), 1)

    if start is not None:
        return settled(start)
    near = -np.clip(ground.within - np.float32(_START_PX), -_MOST_START, _MOST_START)
    starts = [inside / (1 + np.exp(np.clip(own + more, -20, 20))) for more in (np.float32(0), near)]
    return max((settled(share) for share in starts), key=lambda one: one[1])


def _distance_cost(share: Values, distance: Values, inside: Flags) -> Values:
    """People paint at an even distance around a mark: the cost of a label by the distance to the painted border."""
    sure = inside & (np.abs(share - 0.5) > 0.3)
    total = np.bincount(distance[sure], minlength=_DISTANCES)
    marked = np.bincount(distance[sure & (share > 0.5)], minlength=_DISTANCES)
    rate = (marked + 2) / (total + 4)
    cost = np.log(1 / rate - 1) * _DISTANCE_WEIGHT
    return np.asarray(cost[distance], np.float32)


def softened(plane: Plane, opacity: float, share: Values, below: Below) -> tuple[Values, Flags]:
    """``float32 [H, W]``: the share of its opacity that the mark has at each pixel; and the rim, where it was sought.

    ``share``: from :func:`marked_share`.
    """
    ground = plane.ground
    hard = (share > 0.5).astype(np.uint8)
    rim = edge_of(hard > 0) & ground.inside
    rows, columns = np.nonzero(rim)
    shape = hard.astype(np.float32)
    if not len(rows):
        return shape, rim
    alphas = [float(opacity * part) for part in _SHARES]
    own = np.stack(
        [
            (plane.guess_cost(alpha, below) + np.float32(8) * plane.impossible(alpha))[rim]
            + np.float32(_BETWEEN * (0 < part < 1))
            for alpha, part in zip(alphas, _SHARES, strict=True)
        ]
    )
    clean, scale = (np.stack([of(alpha) for alpha in alphas]) for of in (plane.unblended, plane.step_scale))
    through = np.log(1 - np.array(alphas, np.float32)) / 2
    stretch = (through[:, None] + through[None])[..., None]
    belief = np.zeros((len(_SHARES), *share.shape), np.float32)
    belief[0], belief[-1] = 1 - hard, hard
    # Begun without a view, a thin stroke settles whole on the labels between, which lie nearest to all others.
    belief[:, rim] = _START * belief[:, rim] + (1 - _START) / len(_SHARES)
    neighbours = []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        place = np.clip(rows + down, 0, rim.shape[0] - 1), np.clip(columns + across, 0, rim.shape[1] - 1)
        near, far = clean[:, rows, columns][:, None], clean[(slice(None), *place)][None]
        wide = np.maximum(scale[:, rows, columns][:, None], scale[(slice(None), *place)][None])
        cost = 2 * np.log1p(np.abs(near - far) / wide) + np.log(wide) + stretch
        neighbours.append((cost.astype(np.float32), place))
    for _ in range(_SOFT_ROUNDS):
        total = own.copy()
        for cost, place in neighbours:
            total += np.einsum("lmn,mn->ln", cost, belief[(slice(None), *place)])
        chance = np.exp(np.clip(total.min(axis=0) - total, -30, 0))
        belief[:, rows, columns] = (belief[:, rows, columns] + chance / chance.sum(axis=0)) / 2
    shape[rim] = np.tensordot(_SHARES, belief[:, rim], 1)
    return shape, rim


def edge_of(marked: Flags) -> Flags:
    """``bool [H, W]``: the pixels at both sides of the mark's edge."""
    hard, square = marked.astype(np.uint8), np.ones((3, 3), np.uint8)
    return np.asarray(cv2.dilate(hard, square) > cv2.erode(hard, square))
