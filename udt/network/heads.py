"""Heads: from hidden activations and true labels to a loss and the gradients of active outputs.

A head is what training knows of the output layer. Its methods write to the rows or classes that
they are given and to nothing else, so that blocks may run on several threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.network import kernels
from udt.network.bfloat16 import back_products, products
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
        """Whether `gradients` needs room for the logits of all classes."""

    def prepare(self, batch: Batch) -> None:
        """Get ready for a batch, whose values are yet to be filled in."""

    def gradients(
        self,
        hidden: Array,
        logits: Array,
        first: int,
        last: int,
        losses: Array,
        hidden_gradient: Array,
    ) -> None:
        """Give losses and gradients of samples ``first:last``, from hidden activations.

        ``logits`` comes with the linear path's part (zeros if there is none), if it is needed.
        """

    def tasks(self, n_owners: int) -> list[tuple[int, int]]:
        """Cut an update into tasks that may run side by side.

        Tasks are ranges of outputs or, where only some outputs are active, owners of rows as in
        `Optimizer.scatter`, of whom there should be ``n_owners``, a power of two.
        """

    def update(
        self, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on the outputs of a task with the gradients of the whole batch."""


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

    def gradients(
        self,
        hidden: Array,
        logits: Array,
        first: int,
        last: int,
        losses: Array,
        hidden_gradient: Array,
    ) -> None:
        """Turn the wide path's logits of samples ``first:last`` into gradients, in place."""
        output = self.output.weights
        if hidden.shape[1]:
            logits[first:last] += products(hidden[first:last], output)
        self._differentiate(logits, first, last, losses)
        if hidden.shape[1]:
            back_products(logits[first:last], output, hidden_gradient[first:last])

    def _differentiate(self, logits: Array, first: int, last: int, losses: Array) -> None:
        """Give each loss, and turn logits less their bias into its gradient."""
        raise NotImplementedError

    def tasks(self, n_owners: int) -> list[tuple[int, int]]:
        """Give ranges of classes, the same for any number of threads."""
        return blocks(len(self.bias.weights), self.block_size)

    def update(
        self, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
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
        self._classes = np.empty((batch_size, n_points + 1), dtype=np.int32)
        self._slopes = np.empty((batch_size, n_points + 1), dtype=np.float32)
        self._sizes = np.empty(batch_size, dtype=np.int64)
        self._random = np.random.Generator(np.random.PCG64(key))
        self._starts = np.empty(batch_size, dtype=np.float32)

    def prepare(self, batch: Batch) -> None:
        """Draw the random numbers of a batch."""
        super().prepare(batch)
        n = len(batch.numbers)
        self._starts[:n] = self._random.random(n, dtype=np.float32)

    def gradients(
        self,
        hidden: Array,
        logits: Array,
        first: int,
        last: int,
        losses: Array,
        hidden_gradient: Array,
    ) -> None:
        """Draw the active classes of samples ``first:last`` and their gradients."""
        output = self.output.weights
        products(hidden[first:last], output, logits[first:last])
        kernels.resampled_gradient(
            logits, first, last, self.bias.weights[:, 0], self._batch.targets,
            self._batch.weights, self._starts, output, losses, self._classes, self._slopes,
            self._sizes, hidden_gradient,
        )  # fmt: skip

    def update(
        self, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on those of a range of classes that are active in the batch."""
        step_active(
            hidden, self._classes, self._slopes, self._sizes, *task, rate, self.output.rule,
            self.output.weights, self.output.state, self.bias.weights, self.bias.state,
            self.output.key,
        )  # fmt: skip
