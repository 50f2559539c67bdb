"""The training loop: passes over shuffled batches, each in two parallel phases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.lsh.space import NotFinite
from udt.network import kernels
from udt.network.candidate_heads import N_PROBES, LSHHead, MinedHead
from udt.network.heads import (
    Batch,
    Head,
    OneVsAllHead,
    ResampledSoftmaxHead,
    SoftmaxHead,
    Targets,
)
from udt.network.model import CSR, SparseNetwork
from udt.network.optimizers import Optimizer, mean_squares, rate_factor
from udt.threads import Pool, blocks
from udt.training.progress import History, Progress
from udt.training.settings import Settings

Array = NDArray[Any]
# Multiply-adds in a batch below which handing work to threads costs more than it saves.
_WORTH_THREADS = 1 << 22
# Share of rows from which on a label counts once where it is positive.
_COMMON = 0.5
# Classes from which a sparse estimate of the gradient is cheaper than the gradient.
_WORTH_RESAMPLING = 512


class Diverged(ArithmeticError):
    """The training loss is no longer finite."""


class Trainer:
    """Trains a network in place.

    Parameters
    ----------
    network : SparseNetwork
    rows : tuple (indptr, indices, values)
        The features.
    targets : ndarray of shape (n,), int64, or LabelSets
        Class numbers, or any number of labels a row.
    weights : ndarray of shape (n,), float32
        Sample weights, of mean 1.
    settings : Settings
    key : int
        Seed of shuffling and dropout.
    pool : Pool
        Threads. The result does not depend on their number: blocks follow the batch size alone.
    positive_weights : ndarray of shape (n_labels,), float32, or None
        How much rows that have a label count in its loss, times the settings' positive weight,
        if ``targets`` are LabelSets.
    state : dict of str to ndarray, or None
        The optimiser's, of an earlier training of the first of these weights.
    n_waiting : int, default=0
        Samples beside a batch for which there is to be room.
    """

    def __init__(
        self,
        network: SparseNetwork,
        rows: CSR,
        targets: Targets,
        weights: Array,
        settings: Settings,
        key: int,
        pool: Pool,
        positive_weights: Array | None = None,
        state: dict[str, Array] | None = None,
        *,
        n_waiting: int = 0,
    ) -> None:
        self.network = network
        self.rows = rows
        self.targets = targets
        self.weights = weights
        self.settings = settings
        self.random = np.random.Generator(np.random.PCG64(key))
        self.key = key
        self.pool = pool
        self.has_hidden = network.embedding.shape[1] > 0
        self.has_wide = len(network.wide) > 0
        self.optimizers = {
            name: Optimizer(settings.optimizer, array, settings.initial_state)
            for name, array in network.matrices().items()
        }
        self.n_steps = 0
        if state is not None and all(
            optimizer.resume(state[name]) for name, optimizer in self.optimizers.items()
        ):
            self.n_steps = int(state["n_steps"])
        self.row_lengths = np.diff(rows[0])
        size = settings.batch_size + n_waiting
        self.head = self._make_head(positive_weights, size)
        n_classes, n_hidden = network.output.shape
        self.hidden = np.empty((size, n_hidden), dtype=np.float32)
        self.hidden_gradient = np.empty((size, n_hidden), dtype=np.float32)
        n_logits = n_classes if self.head.needs_logits else 0
        self.logits = np.empty((size, n_logits), dtype=np.float32)
        self.hidden_squares = np.empty(size, dtype=np.float32)
        self.squares = np.empty(size, dtype=np.float32)
        self.losses = np.empty(size, dtype=np.float32)
        self.batch_indices = np.empty(0, dtype=np.int32)
        self.batch_values = np.empty((2, 0), dtype=np.float32)
        self.block_size = min(max(32, settings.batch_size // 16), 128)
        #: With sifting, the shares of rows that were looked at and kept, a pass.
        self.shares: list[tuple[float, float]] = []

    @property
    def state(self) -> dict[str, Array]:
        """The optimiser's memory of each matrix of weights, and the number of its steps."""
        states = {name: optimizer.state for name, optimizer in self.optimizers.items()}
        return {**states, "n_steps": np.array(self.n_steps)}

    def _make_head(self, positive_weights: Array | None, size: int) -> Head:
        network, settings = self.network, self.settings
        output, bias = self.optimizers["output"], self.optimizers["bias"]
        emphasis = np.ones(network.n_classes, dtype=np.float32)
        if isinstance(self.targets, LabelSets):
            shares = self.targets.frequencies() / max(len(self.targets), 1)
            rarity = np.maximum(0, 1 - shares / _COMMON)
            emphasis = (1 + (settings.positive_weight - 1) * rarity).astype(np.float32)
            if positive_weights is not None:
                emphasis *= positive_weights
        if settings.head in ("mined", "lsh"):
            return self._make_candidate_head(output, bias, emphasis, size)
        if isinstance(self.targets, LabelSets):
            return OneVsAllHead(output, bias, settings.label_smoothing, emphasis)
        if (
            network.n_classes < _WORTH_RESAMPLING
            or self.has_wide
            or settings.label_smoothing
            or not self.has_hidden
        ):
            return SoftmaxHead(output, bias, settings.label_smoothing)
        return ResampledSoftmaxHead(output, bias, size, self.key)

    def _make_candidate_head(
        self, output: Optimizer, bias: Optimizer, emphasis: Array, size: int
    ) -> Head:
        network, settings, targets = self.network, self.settings, self.targets
        max_true = 1
        if isinstance(targets, LabelSets):
            max_true = int(np.diff(targets.indptr).max(initial=0))
        arguments: dict[str, Any] = {
            "batch_size": size,
            "is_exclusive": not isinstance(targets, LabelSets),
            "max_true": max_true,
            "smoothing": settings.label_smoothing,
            "positive_weights": emphasis,
            "cross_rate": settings.cross_rate,
            "key": self.key,
            "n_hard": settings.n_hard,
        }
        if settings.head == "mined":
            return MinedHead(network, output, bias, **arguments)
        n = len(targets)
        some = np.sort(self.random.permutation(n)[:N_PROBES])
        indptr = np.zeros(len(some) + 1, dtype=np.int64)
        np.cumsum(self.row_lengths[some], out=indptr[1:])
        indices = np.empty(indptr[-1], dtype=np.int32)
        values = np.empty(indptr[-1], dtype=np.float32)
        kernels.copy_rows(*self.rows, some, 0, len(some), 0.0, 0, indptr, indices, values)
        return LSHHead(
            network, output, bias,
            hashing=settings.hashing,
            first_interval=-(-n // settings.batch_size) * settings.rebuild_interval,
            pool=self.pool,
            probes=lambda: network.hidden((indptr, indices, values), 0, len(some)),
            **arguments,
        )  # fmt: skip

    def passes(self, tick: Callable[[int], Any]) -> Iterator[float]:
        """Train, giving the mean loss after each pass; call ``tick`` with the rows just done."""
        n = len(self.targets)
        a_pass = -(-n // self.settings.batch_size)
        n_steps = a_pass * self.settings.max_iter
        step = 0
        for epoch in range(self.settings.max_iter):
            order, size = self._begin_pass(self.random.permutation(n), epoch)
            if len(order) < n:
                tick(n - len(order))
            n_batches = -(-len(order) // size)
            total = 0.0
            for i in range(n_batches):
                batch = order[i * size : (i + 1) * size]
                # The rate follows the rows that are behind, whatever became of them.
                done = epoch * a_pass + i * a_pass / n_batches
                decay = 1 - done / n_steps if self.settings.rates_fall else 1.0
                total += self.train_batch(batch, decay, epoch, step)
                step += 1
                tick(len(batch))
            self._end_pass()
            if not np.isfinite(total):
                raise Diverged
            yield total / len(order)

    def _begin_pass(self, order: Array, epoch: int) -> tuple[Array, int]:
        """Give the rows to go over in a pass, in order, and how many of them make a batch."""
        return order, self.settings.batch_size

    def _end_pass(self) -> None:
        """Finish a pass."""

    def train_batch(self, numbers: Array, decay: float, epoch: int, step: int) -> float:
        """Take one step on the rows with these numbers; return the sum of their losses.

        ``decay`` scales the rates; ``epoch`` and ``step`` make the keys of dropout.
        """
        n = len(numbers)
        batch = self._prepare(numbers, decay, epoch, step)
        run, n_owners = self._runner(batch)
        run(lambda block: self._forward_and_backward(batch, block), blocks(n, self.block_size))
        self._update(batch, run, n_owners)
        return float(self.losses[:n].sum(dtype=np.float64))

    def _prepare(self, numbers: Array, decay: float, epoch: int, step: int) -> Batch:
        """Make a batch of rows, and get the head ready for it."""
        n = len(numbers)
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(self.row_lengths[numbers], out=indptr[1:])
        indices, (values, wide_values) = self._buffers(int(indptr[-1]))
        batch = Batch(
            numbers, self.targets[numbers], self.weights[numbers], indptr, indices, values,
            wide_values, decay, self._rate_factor(decay), self.key + epoch, self.key + step,
        )  # fmt: skip
        try:
            self.head.prepare(batch)
        except NotFinite:
            raise Diverged from None
        return batch

    def _rate_factor(self, decay: float) -> np.float32:
        """Give what the next step multiplies rates by."""
        return np.float32(decay * rate_factor(self.settings.optimizer, self.n_steps + 1))

    def _runner(self, batch: Batch) -> tuple[Callable[..., Any], int]:
        """Give what runs tasks of a batch, and the number of owners of rows of weights."""
        network = self.network
        width = network.embedding.shape[1] + (network.n_classes if self.has_wide else 0)
        n_weights = network.output.size if self.head.needs_logits else _WORTH_THREADS
        if int(batch.indptr[-1]) * width + len(batch.numbers) * n_weights < _WORTH_THREADS:
            return _run_inline, 1
        return self.pool.map, 1 << (self.pool.n_threads - 1).bit_length()

    def _update(self, batch: Batch, run: Callable[..., Any], n_owners: int) -> None:
        """Take a step with the gradients of a batch."""
        self.n_steps += 1
        for optimizer in self.optimizers.values():
            optimizer.key = np.uint64(self.key + self.n_steps)
        updates: list[tuple[Callable[..., None], Any]] = []
        if self.has_hidden:
            updates += [(self._update_embedding, (i, n_owners - 1)) for i in range(n_owners)]
        if self.has_wide:
            updates += [(self._update_wide, (i, n_owners - 1)) for i in range(n_owners)]
        updates += [(self._update_head, task) for task in self.head.tasks(n_owners)]
        run(lambda update: update[0](batch, *update[1]), updates)

    def _forward_and_backward(self, batch: Batch, block: tuple[int, int]) -> None:
        self._forward(batch, block)
        self._backward(batch, block)

    def _forward(self, batch: Batch, block: tuple[int, int]) -> None:
        """Fill a block of the per-sample buffers: activations, losses and their slopes."""
        network, settings, hidden, logits = self.network, self.settings, self.hidden, self.logits
        if self.has_hidden:
            kernels.copy_rows(
                *self.rows, batch.numbers, *block, settings.dropout, batch.key,
                batch.indptr, batch.indices, batch.values,
            )  # fmt: skip
            kernels.gather(
                batch.indptr, batch.indices, batch.values, *block, network.embedding, hidden
            )
            kernels.activate(hidden, *block, settings.hidden_dropout, batch.step_key)
        if self.has_wide or network.has_crosses:
            kernels.copy_rows(
                *self.rows, batch.numbers, *block, settings.wide_dropout, batch.key,
                batch.indptr, batch.indices, batch.wide_values,
            )  # fmt: skip
        if self.has_wide:
            kernels.gather(
                batch.indptr, batch.indices, batch.wide_values, *block, network.wide, logits
            )
        else:
            logits[slice(*block)] = 0
        self.head.forward(hidden, logits, *block, self.losses)

    def _backward(self, batch: Batch, block: tuple[int, int]) -> None:
        """Fill a block of the per-sample buffers: gradients, from what `_forward` left."""
        dropout, gradient = self.settings.hidden_dropout, self.hidden_gradient
        self.head.backward(self.logits, *block, gradient)
        if self.has_hidden:
            kernels.activate_backward(self.hidden, *block, dropout, gradient)
            mean_squares(gradient, *block, self.hidden_squares)
        if self.has_wide:
            mean_squares(self.logits, *block, self.squares)

    def _update_embedding(self, batch: Batch, owner: int, owner_mask: int) -> None:
        self.optimizers["embedding"].scatter(
            batch.indptr, batch.indices, batch.values, self.hidden_gradient, self.hidden_squares,
            np.float32(self.settings.hidden_rate * batch.rate_factor), owner, owner_mask,
        )  # fmt: skip

    def _update_wide(self, batch: Batch, owner: int, owner_mask: int) -> None:
        self.optimizers["wide"].scatter(
            batch.indptr, batch.indices, batch.wide_values, self.logits, self.squares,
            np.float32(self.settings.wide_rate * batch.rate_factor), owner, owner_mask,
        )  # fmt: skip

    def _update_head(self, batch: Batch, first: int, last: int) -> None:
        n = len(batch.numbers)
        rate = np.float32(self.settings.head_rate * batch.rate_factor)
        self.head.update(batch, self.hidden[:n], self.logits[:n], rate, (first, last))

    def _buffers(self, n_entries: int) -> tuple[Array, Array]:
        """Give room for a batch's indices, and its values in the hidden and the linear path.

        What they hold stays: rows may wait there.
        """
        n = len(self.batch_indices)
        if n_entries > n:
            more = n_entries * 5 // 4 - n
            self.batch_indices = np.pad(self.batch_indices, (0, more))
            self.batch_values = np.pad(self.batch_values, ((0, 0), (0, more)))
        return self.batch_indices, self.batch_values


def _run_inline(function: Callable[..., Any], tasks: list[Any]) -> None:
    for task in tasks:
        function(task)


def run(
    trainer: Trainer,
    validation: tuple[CSR, Targets, Array] | None,
    patience: int | None,
    progress: Progress,
    on_pass: Callable[[SparseNetwork, float], None] | None = None,
) -> tuple[SparseNetwork, History]:
    """Train to the end, or until the score on ``validation`` has not risen for ``patience`` passes.

    The score is accuracy or, if rows have any number of labels, micro-averaged F1. ``on_pass`` is
    called after each pass.

    With patience, the network of the best pass is returned, otherwise that of the last.
    """
    history = History()
    if isinstance(trainer.targets, LabelSets):
        history.metric = "micro_f1"
    best, best_score, best_pass = trainer.network, -np.inf, 0
    history.sifted = trainer.shares
    for loss in trainer.passes(progress.tick):
        history.losses.append(loss)
        if validation is not None:
            score = getattr(trainer.network, history.metric)
            history.scores.append(score(*validation, trainer.pool))
        progress.report(history)
        if on_pass is not None:
            on_pass(trainer.network, len(history.losses) / trainer.settings.max_iter)
        if patience is None:
            continue
        if history.scores[-1] > best_score:
            best, best_score = trainer.network.copy(), history.scores[-1]
            best_pass = len(history.scores)
        elif len(history.scores) - best_pass >= patience:
            break
    return best, history
