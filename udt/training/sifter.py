"""Training on those samples alone that still teach: others get no backward pass.

A step has three phases: forward over a batch, and backward and update over as many rows as a batch
holds of those that were kept, now or earlier. Kept rows wait at the front of the per-sample
buffers, so that nothing is computed twice; their logits are a step or two old by then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.network.heads import Batch, Targets
from udt.network.model import CSR, SparseNetwork
from udt.network.moving import move_samples
from udt.threads import Pool, blocks
from udt.training import sifting_kernels as kernels
from udt.training.loop import Trainer
from udt.training.settings import Settings
from udt.training.sifting import Rule, SiftingConfig, beta_for

Array = NDArray[Any]
# Draws of what to look at and of what to keep must have nothing in common.
_LOOK, _KEEP = 0x51F7, 0xBEEF
# Rows a batch up to which the work between phases shows, so that more are taken at once: enough to
# leave a batch, but not more than so many batches.
_SMALL, _MAX_BATCHES = 512, 3
# Rows to learn from how classes and weights lie.
_N_CALIBRATED = 1 << 13


class Sifter:
    """Decides which rows are looked at in a pass, and which of these are kept.

    Parameters
    ----------
    sifting : float, SiftingConfig or callable
        See `UDTClassifier`.
    targets : ndarray of shape (n,), int64, or LabelSets
    weights : ndarray of shape (n,), float32
    key : int
        Seed of the draws, which do not depend on the order of rows.

    Attributes
    ----------
    shares : list of (float, float)
        Of each pass, the share of rows that were looked at, and that were kept.
    """

    def __init__(
        self, sifting: float | SiftingConfig | Rule, targets: Targets, weights: Array, key: int
    ) -> None:
        self._rule: Rule | None = None
        exponents = sparing(targets, weights)
        if isinstance(sifting, SiftingConfig):
            self.config = sifting
        elif callable(sifting):  # which sees all batches, and minds its own delay
            self._rule = sifting
            self.config = SiftingConfig(0.0, sift_delay=0)
        else:
            self.config = SiftingConfig(calibrate(float(sifting), exponents))
        exponents *= np.float32(self.config.beta)
        self._exponents = exponents
        self._key = key
        self._epoch = 0
        self._n_batches = 0  # since sifting was last delayed
        self._n_rows = self._n_looked_at = self._n_kept = 0
        self._history = np.empty(0, dtype=np.float32)
        n_remembered = len(weights) if self.config.skip_forward else 0
        self._probabilities = np.ones(n_remembered, dtype=np.float32)
        self._chances = np.ones(n_remembered, dtype=np.float32)
        self.shares: list[tuple[float, float]] = []

    @property
    def kept(self) -> float:
        """About which share will be kept of the rows that are looked at."""
        if not self.shares:
            return self.config.kept
        looked_at, kept = self.shares[-1]
        return kept / looked_at

    def begin(self, order: Array, epoch: int, n_delayed: int) -> Array:
        """Begin a pass over rows in some order; give those to look at, in this order.

        ``n_delayed`` rows make the batches before sifting starts.
        """
        config, self._epoch = self.config, epoch
        if config.repeat_delay_per_epoch:
            self._n_batches = 0
        self._n_rows = len(order)
        if config.skip_forward:
            looked_at = np.empty(len(order), dtype=np.bool_)
            n_safe = n_delayed if config.repeat_delay_per_epoch else 0
            kernels.select(
                order, n_safe, self._probabilities, self._key + _LOOK, epoch, self._chances,
                looked_at,
            )  # fmt: skip
            if not looked_at.any():  # a pass over nothing would have no loss
                looked_at[0], self._chances[order[0]] = True, 1
            order = order[looked_at]
        self._n_looked_at, self._n_kept = len(order), 0
        return order

    def end(self) -> None:
        """End a pass."""
        self.shares.append((self._n_looked_at / self._n_rows, self._n_kept / self._n_rows))

    def sift(self, rows: Array, losses: Array, weights: Array) -> tuple[Array, Array | None]:
        """Choose among rows that were looked at.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Their numbers.
        losses : ndarray of shape (n,), float32
            Times their weights.
        weights : ndarray of shape (n,), float32

        Returns
        -------
        places : ndarray of shape (n_kept,), int64
            Where among ``rows`` those to keep are, in rising order.
        factors : ndarray of shape (n_kept,), float32, or None
            What their gradients are to be multiplied by.
        """
        config, n = self.config, len(rows)
        losses = losses / weights
        is_delayed = self._n_batches < config.sift_delay
        factors = np.empty(n if config.unbiased else 0, dtype=np.float32)
        if self._rule is not None:
            random = np.random.default_rng([self._key, self._n_batches])
            places = np.flatnonzero(_checked(self._rule(losses, self._history, random), n))
        else:
            places = np.empty(n, dtype=np.int64)
            n_kept = kernels.sift(
                rows, losses, np.sort(self._history), self._exponents,
                config.min_probability, is_delayed, self._key + _KEEP, self._epoch,
                self._probabilities, self._chances, places, factors,
            )  # fmt: skip
            places, factors = places[:n_kept], factors[:n_kept]
        self._n_batches += 1
        self._n_kept += len(places)
        length = config.loss_history_length
        self._history = np.concatenate([self._history, losses[-length:]])[-length:]
        return places, factors if config.unbiased else None


class SiftingTrainer(Trainer):
    """Trains a network in place, without backward passes of rows that are sifted out.

    Parameters are those of `Trainer`; ``settings.sifting`` is not None.
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
    ) -> None:
        assert settings.sifting is not None
        self.sifter = Sifter(settings.sifting, targets, weights, key)
        size = settings.batch_size
        super().__init__(
            network, rows, targets, weights, settings, key, pool, positive_weights, state,
            n_waiting=max(size, min(_MAX_BATCHES * size, _SMALL)),
        )  # fmt: skip
        self.shares = self.sifter.shares
        self._block_size = self.block_size
        # Rows whose forward pass is done, at the front of the buffers.
        self._waiting = np.empty(0, dtype=np.int64)

    def _begin_pass(self, order: Array, epoch: int) -> tuple[Array, int]:
        # As many as will leave a batch, where that spares rounds.
        size = self.settings.batch_size
        n = round(min(size / max(self.sifter.kept, 1 / _MAX_BATCHES), max(size, _SMALL)))
        self.block_size = self._block_size * n // size  # as many blocks as of a batch
        return self.sifter.begin(order, epoch, self.sifter.config.sift_delay * n), n

    def _end_pass(self) -> None:
        if len(self._waiting):
            self._step(len(self._waiting))
        self.sifter.end()

    def train_batch(self, numbers: Array, decay: float, epoch: int, step: int) -> float:
        """Look at the rows with these numbers; return the sum of their losses.

        As many steps are taken as there are batches of rows that are kept.
        """
        n_waiting = len(self._waiting)
        batch = self._prepare(np.concatenate([self._waiting, numbers]), decay, epoch, step)
        self._batch = batch
        run, _ = self._runner(batch)
        run(
            lambda block: self._forward(batch, (n_waiting + block[0], n_waiting + block[1])),
            blocks(len(numbers), self.block_size),
        )
        losses = self.losses[n_waiting : len(batch.numbers)]
        total = float(losses.sum(dtype=np.float64))
        places, factors = self.sifter.sift(numbers, losses, batch.weights[n_waiting:])
        self._move(n_waiting + places, n_waiting, factors)
        self._waiting = np.concatenate([self._waiting, numbers[places]])
        while len(self._waiting) >= self.settings.batch_size:
            self._step(self.settings.batch_size)
        return total

    def _step(self, n: int) -> None:
        """Take a step on the first ``n`` rows that wait."""
        old = self._batch
        batch = old._replace(  # its targets and weights have done their work
            numbers=self._waiting[:n],
            indptr=old.indptr[: n + 1],
            rate_factor=self._rate_factor(old.decay),
        )
        run, n_owners = self._runner(batch)
        run(lambda block: self._backward(batch, block), blocks(n, self.block_size))
        self._update(batch, run, n_owners)
        self._move(np.arange(n, len(self._waiting)), 0)
        self._waiting = self._waiting[n:]

    def _move(self, sources: Array, first: int, factors: Array | None = None) -> None:
        """Move samples ``sources`` to ``first`` and on."""
        batch: Batch = self._batch
        self.head.move(self.logits, sources, first, factors)
        move_samples(
            sources, first, self.hidden, batch.indptr, batch.indices, batch.values,
            batch.wide_values,
        )  # fmt: skip


def sparing(targets: Targets, weights: Array) -> Array:
    """Give what the exponents of rows are multiplied by: (n,), float32.

    That is at most 1, and less for rows of classes (or with a label) that are rarer than the
    average one, or with weights above 1.
    """
    if isinstance(targets, LabelSets):
        counts = targets.frequencies()
        rarest = np.full(len(targets), np.inf)
        np.minimum.at(rarest, targets.rows, counts[targets.indices])
    else:
        counts = np.bincount(targets)
        rarest = counts[targets].astype(np.float64)
    average = counts.sum() / max(np.count_nonzero(counts), 1)
    share = np.minimum(1, rarest / max(average, 1))
    return (share / np.maximum(1, weights)).astype(np.float32)


def calibrate(kept: float, relative: Array) -> float:
    """Give the exponent with which about a share of rows is kept, with these relative exponents.

    It is `beta_for` that share where all are 1, and larger otherwise, up to 100 times.
    """
    relative = relative[:: max(1, len(relative) // _N_CALIBRATED)].astype(np.float64)
    low = beta_for(kept)
    if np.mean(1 / (1 + low * relative)) <= kept:
        return low
    high = 100 * low
    for _ in range(40):
        beta = (low + high) / 2
        if np.mean(1 / (1 + beta * relative)) > kept:
            low = beta
        else:
            high = beta
    return low


def _checked(mask: Any, n: int) -> Array:
    if isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (n,):
        return mask
    given = type(mask).__name__
    if isinstance(mask, np.ndarray):
        given = f"an array of shape {mask.shape} and dtype {mask.dtype}"
    raise ValueError(
        f"sifting: the function gave {given} for {n} losses; let it give an array of bool, of "
        f"shape ({n},)."
    )
