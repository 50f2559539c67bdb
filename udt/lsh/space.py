"""The space in which neurons are hashed: where the largest inner products are the nearest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.threads import single_threaded_blas

Array = NDArray[Any]
#: Neurons, and vectors, that are enough to estimate second moments.
SAMPLE = 16_384
#: Share of the mean eigenvalue that is added to all, so that nothing is divided by zero.
RIDGE = 1e-4


class NotFinite(ValueError):
    """Weights or activations are infinite or NaN."""


@kernel
def project(X: Array, extra: Array, mapping: Array, shift: Array, out: Array) -> None:
    """Write ``[X, extra] @ mapping - shift``, each row alone, so that blocks do not change bits."""
    d = X.shape[1]
    for i in range(X.shape[0]):
        x, total = X[i], out[i]
        last = mapping[d]
        for k in range(total.shape[0]):
            total[k] = extra[i] * last[k] - shift[k]
        j = 0
        while j + 4 <= d:  # four at a time, which saves loads and stores of the sums
            m0, m1, m2, m3 = mapping[j], mapping[j + 1], mapping[j + 2], mapping[j + 3]
            x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
            for k in range(total.shape[0]):
                total[k] += (x0 * m0[k] + x1 * m1[k]) + (x2 * m2[k] + x3 * m3[k])
            j += 4
        while j < d:
            row = mapping[j]
            for k in range(total.shape[0]):
                total[k] += x[j] * row[k]
            j += 1


@dataclass(eq=False)
class BalancedSpace:
    r"""Linear maps of neurons and of vectors that keep inner products but bring top ones nearer.

    With :math:`\tilde w = (w, b) - \text{mean}` and :math:`\tilde q = (q, 1)`, neurons rank by
    :math:`q \cdot w + b` as by :math:`\tilde q \cdot \tilde w`, and as by
    :math:`A^{-1} \tilde q \cdot A^T \tilde w` for any invertible :math:`A`. Hash functions see
    angles, and the cosine of a given product is largest where the norms are smallest. By
    Cauchy and Schwarz :math:`E|A^{-1}\tilde q|^2 \, E|A^T \tilde w|^2` is least where both
    second-moment matrices are one and the same: diagonal, with the singular values :math:`s` of
    :math:`M_q^{1/2} M_w^{1/2}`. Coordinates with small :math:`s` add more to norms than to
    products and are left out; a random rotation makes those that remain alike.

    The network's vectors are far from random: after tanh most of their norm may be one common
    direction, which hides all differences between neurons from a hash of the raw vectors.

    Parameters
    ----------
    neuron_map, vector_map : ndarray of shape (d + 1, rank), float32
    shift : ndarray of shape (rank,), float32
        The mean of mapped neurons.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> weights = random.normal(size=(500, 8)).astype(np.float32)
    >>> bias = random.normal(size=500).astype(np.float32)
    >>> space = BalancedSpace.fit(weights, bias, hidden=None, rank=9, key=0)
    >>> products = space.vectors(weights[:1]) @ space.neurons(weights, bias).T
    >>> int(products.argmax()) == int((weights[:1] @ weights.T + bias).argmax())
    True
    """

    neuron_map: Array
    vector_map: Array
    shift: Array

    @classmethod
    def fit(
        cls, weights: Array, bias: Array | None, hidden: Array | None, rank: int, key: int
    ) -> Self:
        """Fit the maps to (a sample of) neurons and vectors.

        Parameters
        ----------
        weights : ndarray of shape (n_neurons, d), float32
        bias : ndarray of shape (n_neurons,), float32, or None for zeros
        hidden : ndarray of shape (n, d), float32, or None
            Vectors like those that will be asked about; a thousand are enough. None stands for
            vectors of any direction.
        rank : int
            Coordinates to keep, at most d + 1.
        key : int
            Picks the rotation.

        Raises
        ------
        NotFinite
            If something is not finite.
        ValueError
            If shapes do not fit.
        """
        d = weights.shape[1]
        if not 1 <= rank <= d + 1:
            raise ValueError(f"rank={rank}: give 1 to {d + 1} for neurons of {d} weights.")
        if hidden is not None and hidden.shape[1:] != (d,):
            raise ValueError(f"hidden of shape {hidden.shape}: give vectors of {d} values.")
        if bias is not None and bias.shape != weights.shape[:1]:
            raise ValueError(f"bias of shape {bias.shape}: give {len(weights)}, one a neuron.")
        step = max(1, len(weights) // SAMPLE)
        neurons = np.zeros((len(weights[::step]), d + 1))
        neurons[:, :d] = weights[::step]
        if bias is not None:
            neurons[:, d] = bias[::step]
        if not np.isfinite(neurons).all() or not (hidden is None or np.isfinite(hidden).all()):
            raise NotFinite("Weights or hidden activations are not finite: training has diverged.")
        mean = neurons.mean(axis=0)
        neurons -= mean
        with single_threaded_blas():
            vector_root, vector_inverse = _roots(None if hidden is None else _sample(hidden), d + 1)
            neuron_root, neuron_inverse = _roots(neurons, d + 1)
            left, s, right = np.linalg.svd(vector_root @ neuron_root)
            random = np.random.default_rng([key, 2])
            rotation = np.linalg.qr(random.normal(size=(rank, rank)))[0]
            scale = np.sqrt(s[:rank])
            vector_map = vector_inverse @ (left[:, :rank] * scale) @ rotation
            neuron_map = neuron_inverse @ (right[:rank].T * scale) @ rotation
        return cls(
            neuron_map.astype(np.float32),
            vector_map.astype(np.float32),
            (mean @ neuron_map).astype(np.float32),
        )

    def neurons(self, weights: Array, bias: Array | None) -> Array:
        """Map neurons (n, d) and their biases to (n, rank), float32."""
        extra = np.zeros(len(weights), dtype=np.float32) if bias is None else bias
        return self._project(weights, extra, self.neuron_map, self.shift)

    def vectors(self, hidden: Array) -> Array:
        """Map vectors (n, d) to (n, rank), float32."""
        extra = np.ones(len(hidden), dtype=np.float32)
        return self._project(hidden, extra, self.vector_map, np.zeros_like(self.shift))

    def _project(self, X: Array, extra: Array, mapping: Array, shift: Array) -> Array:
        if X.ndim != 2 or X.shape[1] != len(mapping) - 1:
            raise ValueError(f"X of shape {X.shape}: give vectors of {len(mapping) - 1} values.")
        out = np.empty((len(X), mapping.shape[1]), dtype=np.float32)
        X = np.ascontiguousarray(X, dtype=np.float32)
        project(X, np.ascontiguousarray(extra, dtype=np.float32), mapping, shift, out)
        return out


def _sample(hidden: Array) -> Array:
    rows = hidden[:: max(1, len(hidden) // SAMPLE)]
    return np.column_stack([rows, np.ones(len(rows))])


def _roots(X: Array | None, d: int) -> tuple[Array, Array]:
    """Give the symmetric root of the second moments of the rows of X, and its inverse."""
    if X is None:
        return np.eye(d), np.eye(d)
    moments = X.T @ X / max(1, len(X))
    ridge = RIDGE * np.trace(moments) / d
    values, axes = np.linalg.eigh(moments)
    values = np.sqrt(np.maximum(values, 0) + max(ridge, np.finfo(np.float32).tiny))
    return (axes * values) @ axes.T, (axes / values) @ axes.T
