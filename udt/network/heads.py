"""Heads: from hidden activations and true labels to a loss and the gradients of active outputs.

A head is what training knows of the output layer. Its methods write to the rows or classes that
they are given and to nothing else, so that blocks may run on several threads.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from udt.network import kernels

Array = NDArray[Any]

_CLASSES_PER_BLOCK = 256


class Head(Protocol):
    """What the training loop asks of an output layer."""

    def gradients(
        self, hidden: Array, outputs: Array, batch: Array, first: int, last: int
    ) -> None:
        """For samples ``first:last`` of a batch: turn outputs of the wide path into gradients."""

    def update(self, hidden: Array, outputs: Array, rate: float, first: int, last: int) -> None:
        """Take a step on outputs ``first:last``."""


class SoftmaxHead:
    """Full softmax over all classes with label-smoothed cross-entropy.

    Parameters
    ----------
    output : ndarray of shape (n_classes, n_hidden), float32
    bias : ndarray of shape (n_classes,), float32
    smoothing : float
        Share of each label that is spread over all classes [1]_.
    initial_state : float
        Where AdaGrad's sums of squares [2]_ begin.

    References
    ----------
    .. [1] C. Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
    .. [2] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """

    def __init__(self, output: Array, bias: Array, smoothing: float, initial_state: float) -> None:
        self.output = output
        self.bias = bias
        self.smoothing = np.float32(smoothing)
        self._output_state = np.full(len(bias), initial_state, dtype=np.float32)
        self._bias_state = np.full(len(bias), initial_state, dtype=np.float32)
        self.blocks = [
            (first, min(first + _CLASSES_PER_BLOCK, len(bias)))
            for first in range(0, len(bias), _CLASSES_PER_BLOCK)
        ]

    def gradients(
        self,
        hidden: Array,
        logits: Array,
        targets: Array,
        weights: Array,
        first: int,
        last: int,
        losses: Array,
        hidden_gradient: Array,
    ) -> None:
        """Turn the wide path's logits of samples ``first:last`` into gradients, in place."""
        kernels.add_scores(hidden, first, last, self.output, self.bias, logits)
        kernels.softmax_gradient(logits, first, last, targets, weights, self.smoothing, losses)
        if hidden.shape[1]:
            np.matmul(logits[first:last], self.output, out=hidden_gradient[first:last])

    def update(
        self, hidden: Array, gradient: Array, rate: np.float32, first: int, last: int
    ) -> None:
        """Take a step on classes ``first:last``."""
        kernels.update_output(
            hidden, gradient, first, last, rate,
            self.output, self._output_state, self.bias, self._bias_state,
        )  # fmt: skip
