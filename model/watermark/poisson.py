"""Poisson problems on a grid: a surface from its gradients, and the smoothest surface across a hole."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.fft import dctn, idctn
from scipy.sparse.linalg import splu

Values = NDArray[np.float32]
#: Allowed error of a solution, in levels.
_ENOUGH = 0.02


def integrate(steps: Values) -> Values:
    """The surface ``float32 [H, W]`` whose forward differences are closest to ``steps`` (``[2, H, W]``, x first).

    Least squares with free borders, by a cosine transform; its median is 0.
    """
    x, y = steps
    height, width = x.shape
    divergence = np.zeros((height, width), np.float64)
    divergence[:, :-1] += x[:, :-1]
    divergence[:, 1:] -= x[:, :-1]
    divergence[:-1] += y[:-1]
    divergence[1:] -= y[:-1]
    rows, columns = np.cos(np.pi * np.arange(height) / height), np.cos(np.pi * np.arange(width) / width)
    scale = 4 - 2 * rows[:, None] - 2 * columns[None, :]
    scale[0, 0] = 1
    spectrum = -dctn(divergence, norm="ortho") / scale
    spectrum[0, 0] = 0
    surface = idctn(spectrum, norm="ortho")
    return np.asarray(surface - np.median(surface), np.float32)


class Harmonic:
    """The harmonic continuation into a hole, factorised once and then cheap for many pictures.

    For fields with the spectrum of natural pictures (1/f^2) it is the best guess from the border, so its errors do not
    bias a regression on it.
    """

    def __init__(self, hole: NDArray[np.bool_]) -> None:
        """``hole``: ``bool [H, W]``; some pixel must be outside it."""
        height, width = hole.shape
        self.rows, self.columns = np.nonzero(hole)
        count = len(self.rows)
        number = np.full(hole.shape, -1, np.int64)
        number[self.rows, self.columns] = np.arange(count)
        own = np.arange(count)
        degree = np.zeros(count)
        pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._border: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
        for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            row, column = self.rows + down, self.columns + across
            there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            degree += there
            neighbour = np.full(count, -1, np.int64)
            neighbour[there] = number[row[there], column[there]]
            inner = neighbour >= 0
            pairs.append((own[inner], neighbour[inner]))
            outer = there & ~inner
            self._border.append((own[outer], row[outer], column[outer]))
        first = np.concatenate([one for one, _ in pairs])
        second = np.concatenate([other for _, other in pairs])
        off = sparse.coo_matrix((-np.ones(len(first)), (first, second)), shape=(count, count))
        # A small multiple of the identity keeps parts of the hole without a known neighbour solvable.
        self._solver = splu((off + sparse.diags(degree + 1e-9)).tocsc(), permc_spec="MMD_AT_PLUS_A")

    def __call__(self, picture: NDArray[np.uint8] | Values) -> Values:
        """Values in the hole, ``float32 [P, C]``, of ``picture`` ``[H, W, C]``."""
        sides = np.zeros((len(self.rows), picture.shape[2]))
        for own, row, column in self._border:
            sides[own] += picture[row, column]
        return np.asarray(self._solver.solve(sides), np.float32)


def continued(picture: Values, start: Values, hole: NDArray[np.bool_], rounds: int) -> Values:
    """Nearly the harmonic continuation of ``picture`` ``[H, W, C]`` into ``hole``, from a smooth ``start``."""
    right, down = np.ones(hole.shape, np.float32), np.ones(hole.shape, np.float32)
    right[:, -1:], down[-1:] = 0, 0
    first = planes(np.where(hole[..., None], start, picture))
    nothing = np.zeros(hole.shape, np.float32)
    continuation = solved(
        first, np.zeros_like(first), data=nothing, couplings=(right, down), inside=hole, rounds=rounds
    )
    return np.ascontiguousarray(continuation.transpose(1, 2, 0))


def planes(picture: Values) -> Values:
    """``[H, W, C]`` as ``[C, H, W]``."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)


def laplacian(values: Values, right: Values, down: Values) -> Values:
    """The weighted graph Laplacian of planes ``[C, H, W]``; weights ``[H, W]`` of the differences right and down."""
    across = right[:, :-1] * (values[:, :, :-1] - values[:, :, 1:])
    along = down[:-1] * (values[:, :-1] - values[:, 1:])
    out = np.zeros_like(values)
    out[:, :, :-1] += across
    out[:, :, 1:] -= across
    out[:, :-1] += along
    out[:, 1:] -= along
    return out


def solved(
    first: Values,
    target: Values,
    *,
    data: Values,
    couplings: tuple[Values, Values],
    inside: NDArray[np.bool_],
    rounds: int,
) -> Values:
    """Conjugate gradients for (data + Laplacian) x = target inside; elsewhere x stays what ``first`` is.

    ``first``, ``target``: planes ``[C, H, W]``, quicker than pixels; ``data``, ``couplings``, ``inside``: ``[H, W]``.
    """
    right, down = couplings
    degree = np.zeros_like(right)
    degree[:, :-1] += right[:, :-1]
    degree[:, 1:] += right[:, :-1]
    degree[:-1] += down[:-1]
    degree[1:] += down[:-1]
    # 0 outside, so that no step changes a pixel outside.
    scale = (inside / (data + degree + 1e-9)).astype(np.float32)
    x = np.ascontiguousarray(first, np.float32).copy()
    rest = np.asarray(target - data * x - laplacian(x, right, down), np.float32)
    new = scale * rest
    step = new.copy()
    # Rounds allocate nothing: that would take most of their time.
    moved, across, along = np.empty_like(x), np.empty_like(x[:, :, 1:]), np.empty_like(x[:, 1:])
    flat_x, flat_rest, flat_new, flat_step, flat_moved = (
        values.reshape(-1, values.shape[2]) for values in (x, rest, new, step, moved)
    )
    energy = float(np.vdot(rest, new))
    for _ in range(rounds):
        if energy <= 0:
            break
        np.multiply(data, step, out=moved)
        np.subtract(step[:, :, :-1], step[:, :, 1:], out=across)
        across *= right[:, :-1]
        moved[:, :, :-1] += across
        moved[:, :, 1:] -= across
        np.subtract(step[:, :-1], step[:, 1:], out=along)
        along *= down[:-1]
        moved[:, :-1] += along
        moved[:, 1:] -= along
        length = energy / max(float(np.vdot(step, moved)), 1e-20)
        cv2.scaleAdd(flat_step, length, flat_x, dst=flat_x)
        if length * cv2.norm(flat_step, cv2.NORM_INF) < _ENOUGH:
            break
        cv2.scaleAdd(flat_moved, -length, flat_rest, dst=flat_rest)
        np.multiply(scale, rest, out=new)
        fresh = float(np.vdot(rest, new))
        cv2.scaleAdd(flat_step, fresh / energy, flat_new, dst=flat_step)
        energy = fresh
    return x
