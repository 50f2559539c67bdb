"""Heads over very many classes that compute gradients of few: of true, hard and random ones.

Hard are the wrong classes with the largest logits. They teach nearly as much as all wrong classes
do: easy ones have probabilities, and so gradients, near zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.lsh.hashing import Hashing, make_tables
from udt.network import active
from udt.network.bfloat16 import as_float32, products
from udt.network.heads import Active, Batch
from udt.network.model import SparseNetwork
from udt.network.optimizers import Optimizer
from udt.threads import Pool

Array = NDArray[Any]
#: Rows whose hidden activations tell tables where to expect queries.
N_PROBES = 1024
#: The interval between rebuilds of the tables grows by this factor each time.
SLOWER = 1.5


class CandidateHead:
    """What heads share that choose active classes among candidates.

    Parameters
    ----------
    network : SparseNetwork
    output, bias : Optimizer
        Of the network's weights.
    batch_size : int
    is_exclusive : bool
        Whether each row has one label, and its loss is that of a sampled softmax [1]_; else it is
        the sum of the binary losses of the active labels.
    max_true : int
        The most labels of a row.
    smoothing : float
        Share of each label that is spread out.
    positive_weights : ndarray of shape (n_labels,), float32
        How much the rows that have a label count in that label's loss, unless ``is_exclusive``.
    cross_rate : float
        Learning rate of the crosses, which take plain steps of stochastic gradient descent.
    key : int
        Seed of the random classes.
    n_hard, n_random : int
        Active classes a row beside the true ones. A softmax takes those drawn at random for a
        sample of all that are not active; other losses need few.

    References
    ----------
    .. [1] Y. Bengio, J.-S. Senécal, "Quick training of probabilistic neural nets by importance
       sampling", AISTATS 2003.
    """

    def __init__(
        self,
        network: SparseNetwork,
        output: Optimizer,
        bias: Optimizer,
        *,
        batch_size: int,
        is_exclusive: bool,
        max_true: int,
        smoothing: float,
        positive_weights: Array,
        cross_rate: float,
        key: int,
        n_hard: int = 40,
        n_random: int = 4,
    ) -> None:
        self.network = network
        self.output = output
        self.bias = bias
        self.is_exclusive = is_exclusive
        self.smoothing = np.float32(smoothing)
        self.positive_weights = positive_weights
        self.cross_rate = cross_rate
        self.key = key
        self.n_hard = min(n_hard, network.n_classes)
        self.n_random = n_random
        self._active = Active.empty(batch_size, max_true + self.n_hard + n_random)
        self._ones = np.ones((batch_size, 1), dtype=np.float32)
        self._marks: list[Array] = []

    def prepare(self, batch: Batch) -> None:
        """Get ready for a batch."""
        self._batch = batch
        if isinstance(batch.targets, LabelSets):
            self._truth = batch.targets.indptr, batch.targets.indices
        else:
            n = len(batch.targets)
            self._truth = np.arange(n + 1, dtype=np.int64), batch.targets.astype(np.int32)

    def _differentiate(
        self, hidden: Array, first: int, last: int, candidates: Array, sizes: Array,
        logits: Array, scores_given: bool, losses: Array,
    ) -> None:  # fmt: skip
        """Choose active classes of samples ``first:last`` among candidates; give slopes."""
        batch, network = self._batch, self.network
        try:  # threads take turns with these
            marks = self._marks.pop()
        except IndexError:
            marks = np.zeros(network.n_classes, dtype=np.uint8)
        active.active_gradient(
            hidden, first, last, candidates, sizes, logits, scores_given, *self._truth,
            batch.weights, self.positive_weights, self.is_exclusive, self.smoothing, self.n_hard,
            self.n_random, np.uint64(self.key + batch.step_key), self.output.weights,
            self.bias.weights[:, 0], batch.indptr, batch.indices, batch.wide_values,
            network.cross_starts, network.crosses, marks, losses, *self._active,
        )  # fmt: skip
        self._marks.append(marks)

    def backward(self, logits: Array, first: int, last: int, hidden_gradient: Array) -> None:
        """Give gradients in the hidden activations of samples ``first:last``."""
        self._active.backward(first, last, self.output.weights, hidden_gradient)

    def move(self, logits: Array, sources: Array, first: int, factors: Array | None = None) -> None:
        """Move the active classes of samples ``sources``; multiply their slopes."""
        self._active.move(sources, first, factors)

    def tasks(self, n_owners: int) -> list[tuple[int, int]]:
        """Give owners of classes; see `Optimizer.scatter`."""
        return [(owner, n_owners - 1) for owner in range(n_owners)]

    def update(
        self, batch: Batch, hidden: Array, gradient: Array, rate: np.float32, task: tuple[int, int]
    ) -> None:
        """Take a step on those of an owner's classes that are active in the batch."""
        classes, slopes, sizes = self._active
        network, n = self.network, len(hidden)
        begins = np.arange(n) * classes.shape[1]
        groups = self.output.group(
            begins, begins + sizes[:n], classes.reshape(-1), slopes.reshape(-1), *task
        )
        self.output.step_groups(groups, hidden, rate)
        self.bias.step_groups(groups, self._ones[:n], rate)
        if network.has_crosses:
            active.step_crosses(
                *groups, batch.indptr, batch.indices, batch.wide_values,
                np.float32(self.cross_rate * batch.decay), network.cross_starts, network.crosses,
                self.output.key,
            )  # fmt: skip


class MinedHead(CandidateHead):
    """Computes all logits of a row, and passes on the gradients of the hardest classes.

    Which spares two of the three matrix products of a training step. Parameters are those of
    `CandidateHead`.
    """

    needs_logits = True

    def forward(self, hidden: Array, logits: Array, first: int, last: int, losses: Array) -> None:
        """Give losses and slopes of samples ``first:last``; ``logits`` is used up."""
        part = logits[first:last]
        products(hidden[first:last], self.output.weights, part)
        part += self.bias.weights[:, 0]
        n_classes = part.shape[1]
        self._differentiate(
            hidden, first, last, np.arange(n_classes, dtype=np.int32)[np.newaxis],
            np.full(last - first, n_classes), part, True, losses,
        )  # fmt: skip


class LSHHead(CandidateHead):
    """Computes the logits of classes only that hash tables propose [1]_.

    Tables are built anew from the weights of all classes, at growing intervals.

    Parameters
    ----------
    network, output, bias, **others
        As for `CandidateHead`.
    hashing : Hashing
    first_interval : float
        Batches until tables are built for the second time.
    pool : Pool
        Threads that build the tables.
    probes : callable() -> ndarray of shape (n, n_hidden), float32
        Gives hidden activations of some rows, as they are now.

    References
    ----------
    .. [1] B. Chen, T. Medini, J. Farwell, S. Gobriel, C. Tai, A. Shrivastava, "SLIDE: in defense of
       smart algorithms over hardware acceleration for large-scale deep learning systems",
       MLSys 2020.
    """

    needs_logits = False

    def __init__(
        self,
        network: SparseNetwork,
        output: Optimizer,
        bias: Optimizer,
        *,
        hashing: Hashing,
        first_interval: float,
        pool: Pool,
        probes: Callable[[], Array],
        **others: Any,
    ) -> None:
        super().__init__(network, output, bias, **others)
        self._tables, self.n_active = make_tables(
            hashing, network.n_classes, network.output.shape[1], self.key
        )
        self._pool = pool
        self._probes = probes
        self._interval = max(1.0, first_interval)
        self._step = 0
        self._next = 0.0

    def prepare(self, batch: Batch) -> None:
        """Build the tables anew if it is time."""
        super().prepare(batch)
        if self._step >= self._next:
            self._tables.redraw(self.key + self._step)
            self._tables.rebuild(
                as_float32(self.output.weights), self.bias.weights[:, 0], self._pool,
                hidden=self._probes(), key=self.key + self._step,
            )  # fmt: skip
            self._next = self._step + self._interval
            self._interval *= SLOWER
        self._step += 1

    def forward(self, hidden: Array, logits: Array, first: int, last: int, losses: Array) -> None:
        """Ask the tables about samples ``first:last``; give losses and slopes."""
        found = self._tables.rank(self._tables.hash(hidden[first:last]), self.n_active)
        scores = np.empty(found.ids.shape, dtype=np.float32)
        self._differentiate(hidden, first, last, found.ids, found.sizes, scores, False, losses)
