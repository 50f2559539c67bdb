"""Heads: from hidden activations and true labels to a loss and the gradients of active outputs.

A head is what training knows of the output layer. Its methods write to the rows or classes that
they are given and to nothing else, so that blocks may run on several threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.network import kernels
from udt.network.bfloat16 import back_products, products
from udt.network.moving import move_rows, scale_rows
from udt.network.optimizers import Optimizer, step_active
from udt.threads import blocks

Array = NDArray[Any]
#: The true labels of rows: the number of the only one (n,), int64, or any number of them.
Targets = Array | LabelSets


class Batch(NamedTuple):
    """Rows of one step: their numbers, labels and weights, their own CSR, and dropout's keys.

    ``decay`` is what the schedule multiplies rates by, ``rate_factor`` what the optimiser does too.
    """

    numbers: Array
    targets: Targets
    weights: Array
    indptr: Array
    indices: Array
    values: Array
    wide_values: Array
    decay: float
    rate_factor: np.float32
    key: int
    step_key: int


class Head(Protocol):
    """What the training loop asks of an output layer."""

    @property
    def needs_logits(self) -> bool:
        """Whether `forward` needs room for the logits of all classes."""

    def prepare(self, batch: Batch) -> None:
        """Get ready for a batch, whose values are yet to be filled in."""

    def forward(self, hidden: Array, logits: Array, first: int, last: int, losses: Array) -> None:
        """Give losses of samples ``first:last`` from hidden activations, and keep their slopes.

        ``logits`` comes with the linear path's part (zeros if there is none), if it is needed.
        """

    def backward(self, logits: Array, first: int, last: int, hidden_gradient: Array) -> None:
        """Give gradients in the hidden activations of samples ``first:last``.

        ``logits`` is as `forward` left it.
        """

    def move(self, logits: Array, sources: Array, first: int, factors: Array | None = None) -> None:
        """Move what `forward` kept of samples ``sources``, which rise, to ``first`` and on.

        Their slopes are multiplied by ``factors``, if there are some.
        """

    def tasks(self, n_owners: int) -> list[tuple[int, int]]:
        """Cut an update into tasks that may run side by side.

        Tasks are ranges of outputs or, where only some outputs are active, owners of rows as in
        `Optimizer.scatter`, of whom there should be ``n_owners``, a power of two.
        """

    def update(
        self, batch: Batch, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on the outputs of a task with the gradients of the whole batch."""


class Active(NamedTuple):
    """The active classes of a batch: ``classes[i, :sizes[i]]``, and the slopes of their logits."""

    classes: Array
    slopes: Array
    sizes: Array

    @classmethod
    def empty(cls, batch_size: int, width: int) -> Self:
        """Give room for a batch."""
        return cls(
            np.empty((batch_size, width), dtype=np.int32),
            np.empty((batch_size, width), dtype=np.float32),
            np.zeros(batch_size, dtype=np.int64),
        )

    def backward(self, first: int, last: int, output: Array, hidden_gradient: Array) -> None:
        """Give gradients in the hidden activations of samples ``first:last``."""
        kernels.active_backward(*self, first, last, output, hidden_gradient)

    def move(self, sources: Array, first: int, factors: Array | None) -> None:
        """Move samples as `Head.move` does."""
        for array in (self.classes, self.slopes, self.sizes[:, np.newaxis]):
            move_rows(array, sources, first)
        if factors is not None:
            scale_rows(self.slopes, first, factors)


class DenseHead:
    """A head that computes all outputs and their gradients; subclasses bring the loss.

    Parameters
    ----------
    output : Optimizer
        Of weights of shape (n_classes, n_hidden).
    bias : Optimizer
        Of weights of shape (n_classes, 1).
    smoothing : float
        Share of each label that is spread out [1]_.

    References
    ----------
    .. [1] C. Szegedy et al., "Rethinking the Inception architecture", CVPR 2016.
    """

    block_size = 256
    needs_logits = True

    def __init__(self, output: Optimizer, bias: Optimizer, smoothing: float) -> None:
        self.output = output
        self.bias = bias
        self.smoothing = np.float32(smoothing)

    def prepare(self, batch: Batch) -> None:
        """Get ready for a batch."""
        self._batch = batch

    def forward(self, hidden: Array, logits: Array, first: int, last: int, losses: Array) -> None:
        """Turn the wide path's logits of samples ``first:last`` into slopes, in place."""
        if hidden.shape[1]:
            logits[first:last] += products(hidden[first:last], self.output.weights)
        self._differentiate(logits, first, last, losses)

    def backward(self, logits: Array, first: int, last: int, hidden_gradient: Array) -> None:
        """Give gradients in the hidden activations of samples ``first:last``."""
        if hidden_gradient.shape[1]:
            back_products(logits[first:last], self.output.weights, hidden_gradient[first:last])

    def move(self, logits: Array, sources: Array, first: int, factors: Array | None = None) -> None:
        """Move the slopes of samples ``sources`` to ``first`` and on, times ``factors``."""
        move_rows(logits, sources, first)
        if factors is not None:
            scale_rows(logits, first, factors)

    def _differentiate(self, logits: Array, first: int, last: int, losses: Array) -> None:
        """Give each loss, and turn logits less their bias into its gradient."""
        raise NotImplementedError

    def tasks(self, n_owners: int) -> list[tuple[int, int]]:
        """Give ranges of classes, the same for any number of threads."""
        return blocks(len(self.bias.weights), self.block_size)

    def update(
        self, batch: Batch, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on a range of classes."""
        part = gradient[:, slice(*task)]
        self.output.step(part.T @ hidden, rate, *task)
        self.bias.step(part.sum(axis=0)[:, np.newaxis], rate, *task)


class SoftmaxHead(DenseHead):
    """Full softmax over all classes with label-smoothed cross-entropy: one label a row."""

    def _differentiate(self, logits: Array, first: int, last: int, losses: Array) -> None:
        kernels.softmax_gradient(
            logits, first, last, self.bias.weights[:, 0], self._batch.targets,
            self._batch.weights, self.smoothing, losses,
        )  # fmt: skip


class OneVsAllHead(DenseHead):
    """A sigmoid for each label with binary cross-entropy, summed: any number of labels a row.

    Parameters
    ----------
    output, bias, smoothing
        As for `DenseHead`; ``smoothing`` moves that share of each label's 0 or 1 to one half.
    positive_weights : ndarray of shape (n_labels,), float32
        How much the rows that have a label count in that label's loss.
    """

    def __init__(
        self, output: Optimizer, bias: Optimizer, smoothing: float, positive_weights: Array
    ) -> None:
        super().__init__(output, bias, smoothing)
        self.positive_weights = positive_weights

    def _differentiate(self, logits: Array, first: int, last: int, losses: Array) -> None:
        targets: Any = self._batch.targets
        kernels.one_vs_all_gradient(
            logits, first, last, self.bias.weights[:, 0], targets.indptr, targets.indices,
            self._batch.weights, self.positive_weights, self.smoothing, losses,
        )  # fmt: skip


class ResampledSoftmaxHead(SoftmaxHead):
    """Full softmax whose gradient is resampled to a few dozen classes a row, without bias.

    All logits and the exact loss are computed, but of the gradient ``p - y`` only a sparse
    estimate is passed on: ``p`` is replaced by the frequencies of a systematic sample [1]_ of
    ``n_points`` classes drawn from it, whose expectation is ``p``. That spares two of the three
    matrix products of a training step, and costs no accuracy that can be measured.

    Parameters
    ----------
    output, bias
        As for `DenseHead`.
    batch_size : int
    key : int
        Seed of the draws.
    n_points : int

    References
    ----------
    .. [1] W. G. Madow and L. H. Madow, "On the theory of systematic sampling, I", Annals of
       Mathematical Statistics 15, 1944.
    """

    block_size = 1024

    def __init__(
        self, output: Optimizer, bias: Optimizer, batch_size: int, key: int, n_points: int = 64
    ) -> None:
        super().__init__(output, bias, 0.0)
        self._active = Active.empty(batch_size, n_points + 1)
        self._random = np.random.Generator(np.random.PCG64(key))
        self._starts = np.empty(batch_size, dtype=np.float32)

    def prepare(self, batch: Batch) -> None:
        """Draw the random numbers of a batch."""
        super().prepare(batch)
        n = len(batch.numbers)
        self._starts[:n] = self._random.random(n, dtype=np.float32)

    def forward(self, hidden: Array, logits: Array, first: int, last: int, losses: Array) -> None:
        """Draw the active classes of samples ``first:last`` and their slopes."""
        products(hidden[first:last], self.output.weights, logits[first:last])
        kernels.resampled_gradient(
            logits, first, last, self.bias.weights[:, 0], self._batch.targets,
            self._batch.weights, self._starts, losses, *self._active,
        )  # fmt: skip

    def backward(self, logits: Array, first: int, last: int, hidden_gradient: Array) -> None:
        """Give gradients in the hidden activations of samples ``first:last``."""
        self._active.backward(first, last, self.output.weights, hidden_gradient)

    def move(self, logits: Array, sources: Array, first: int, factors: Array | None = None) -> None:
        """Move the active classes of samples ``sources``; multiply their slopes."""
        self._active.move(sources, first, factors)

    def update(
        self, batch: Batch, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on those of a range of classes that are active in the batch."""
        step_active(
            hidden, *self._active, *task, rate, self.output.rule,
            self.output.weights, self.output.state, self.bias.weights, self.bias.state,
            self.output.key,
        )  # fmt: skip
