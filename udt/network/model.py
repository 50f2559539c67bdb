"""SparseNetwork: the weights, and the forward pass over blocks of CSR rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from udt.labels import LabelSets
from udt.network import active, kernels
from udt.network.bfloat16 import DTYPES, convert, dtype_name, products
from udt.network.integers import floats, lay_out
from udt.network.tiles import Tiles, make_tiles, score
from udt.network.weights import Quantized, Weights
from udt.threads import Pool, blocks

Array = NDArray[Any]
CSR = tuple[Array, Array, Array]
ROWS_PER_BLOCK = 512
#: Classes of a row, those with the largest logits, whose crosses count.
N_RANKED = 64
#: The fewest crosses of a class.
MIN_CROSSES = 64
#: The fewest classes whose quantised weights are multiplied as integers.
MIN_TILED = 256
#: The most quantised weights that are widened for prediction: 8 MiB.
MAX_WIDENED = 1 << 21


def _none(dtype: type, n: int = 0) -> Array:
    return np.zeros(n, dtype=dtype)


@dataclass
class SparseNetwork:
    """A hidden layer over sparse features, with a wide linear path beside it.

    ``logits = wide.T @ x + output @ tanh(embedding.T @ x) + bias`` [1]_. Feature numbers past the
    last row of ``wide`` or ``embedding`` count as zero there.

    Parameters
    ----------
    wide : Weights of shape (n_wide_features, n_classes)
        The linear path; no rows if there is none. It, and those that follow but the bias, are
        arrays of float32 or of bfloat16 (as uint16, see `udt.network.bfloat16`), or quantised all
        of them.
    embedding : Weights of shape (n_embedded_features, n_hidden)
    output : Weights of shape (n_classes, n_hidden)
    bias : ndarray of shape (n_classes,), float32
    crosses : Weights of shape (n_crosses,)
        Weights of pairs of a feature and a class: a linear path where features x classes is out of
        reach. They are added to the `N_RANKED` largest logits of a row, and others are held down to
        the lowest of these. None if there is no such path.
    cross_starts : ndarray of shape (n_classes + 1,), int64
        Where each class's begin. They are a power of two, into which features are hashed [2]_.

    References
    ----------
    .. [1] H.-T. Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
    .. [2] K. Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009.
    """

    wide: Any
    embedding: Any
    output: Any
    bias: Array
    crosses: Any = field(default_factory=lambda: _none(np.float32))
    cross_starts: Array = field(default_factory=lambda: _none(np.int64, 1))

    def __post_init__(self) -> None:
        self._running: dict[str, Any] | None = None

    @classmethod
    def initialise(
        cls,
        n_classes: int,
        n_hidden: int,
        n_embedded: int,
        n_wide: int,
        embedding_range: float,
        seed: int,
        n_crosses: Array | None = None,
        dtype: str = "float32",
    ) -> Self:
        """Give a network of random embeddings and zeros elsewhere: all classes alike.

        ``n_crosses`` (n_classes,) are the crosses of each class, powers of two, if there are any.
        ``dtype`` is how weights are stored: "float32" or "bfloat16".
        """
        stored = DTYPES[dtype]
        starts = np.concatenate([[0], np.cumsum(() if n_crosses is None else n_crosses)])
        return cls(
            wide=np.zeros((n_wide, n_classes), dtype=stored),
            embedding=_random_embeddings(n_embedded, n_hidden, embedding_range, seed, dtype),
            output=np.zeros((n_classes, n_hidden), dtype=stored),
            bias=np.zeros(n_classes, dtype=np.float32),
            crosses=np.zeros(int(starts[-1]), dtype=stored),
            cross_starts=starts.astype(np.int64),
        )

    @property
    def has_crosses(self) -> bool:
        """Whether there is a linear path of crosses."""
        return _shape(self.crosses)[0] > 0

    @property
    def has_wide(self) -> bool:
        """Whether there is a dense linear path."""
        return _shape(self.wide)[0] > 0

    @property
    def n_hidden(self) -> int:
        """Units of the hidden layer."""
        return _shape(self.embedding)[1]

    @property
    def is_quantized(self) -> bool:
        """Whether the weights are integers."""
        return isinstance(self.output, Quantized)

    @property
    def dtype(self) -> str:
        """How weights are stored if they are not quantised: "float32" or "bfloat16"."""
        return dtype_name(self.embedding)

    @property
    def n_classes(self) -> int:
        """Number of outputs."""
        return len(self.bias)

    def running(self) -> dict[str, Any]:
        """Give the weights by name as they are fastest to multiply by.

        Quantised ones are widened to float32 if they fit a cache then, where that takes less time;
        the output weights of many classes are laid out in tiles.
        """
        if not self.is_quantized:
            return self.weights()
        if self._running is None:
            running = {**self.weights(), "output": floats(self.output)}
            if self.n_classes >= MIN_TILED and self.n_hidden:
                running["output"] = make_tiles(self.output, self.bias)
            for name, (n_rows, width) in self.sizes().items():
                if name != "output" and n_rows * width <= MAX_WIDENED:
                    running[name] = floats(running[name])
            if running["crosses"] is not self.crosses:
                running["crosses"] = running["crosses"][:, 0]
            self._running = running
        return self._running

    def weights(self) -> dict[str, Any]:
        """Give the weights by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def arrays(self) -> dict[str, Array]:
        """Give the arrays that hold the weights by name; `from_arrays` takes them."""
        arrays: dict[str, Array] = {}
        for name, weights in self.weights().items():
            if isinstance(weights, Quantized):
                arrays |= {f"{name}.codes": weights.codes, f"{name}.scales": weights.scales}
            else:
                arrays[name] = weights
        return arrays

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Give rows and width of what may be quantised."""
        names = ("wide", "embedding", "output", "crosses")
        return {name: _shape(getattr(self, name)) for name in names}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Array],
        shapes: Mapping[str, tuple[int, int]],
        bits: int = 8,
        block: int | None = None,
    ) -> Self:
        """Put a network together from what `arrays` gave; ``shapes`` are those of the quantised."""
        weights: dict[str, Any] = {}
        for name in (each.name for each in fields(cls)):
            if name in shapes:
                parts = arrays[f"{name}.codes"], arrays[f"{name}.scales"]
                weights[name] = lay_out(*shapes[name], bits, block, *parts)
            else:
                weights[name] = arrays[name]
        return cls(**weights)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be derived."""
        return {**self.__dict__, "_running": None}

    def matrices(self) -> dict[str, Array]:
        """Give those weights by name that an optimiser takes steps on, row by row."""
        return {name: getattr(self, name) for name in ("wide", "embedding", "output", "bias")}

    def copy(self) -> Self:
        """Copy the weights."""
        return type(self)(**{name: array.copy() for name, array in self.arrays().items()})

    def grown(
        self,
        n_classes: int,
        n_embedded: int,
        n_wide: int,
        embedding_range: float,
        seed: int,
        dtype: str = "float32",
    ) -> Self:
        """Copy the weights as ``dtype``, with room for more features and classes behind them.

        New features and classes start as in `initialise`, new classes with the lowest bias.
        """
        n_old, n_hidden = self.embedding.shape
        n_more = max(0, n_embedded - n_old)
        more = _random_embeddings(n_more, n_hidden, embedding_range, seed, dtype)
        n_new = n_classes - self.n_classes
        starts = self.cross_starts
        if self.has_crosses:
            starts = np.append(starts, starts[-1] + MIN_CROSSES * np.arange(1, n_new + 1))
        return type(self)(
            wide=np.pad(
                convert(self.wide, dtype), ((0, max(0, n_wide - len(self.wide))), (0, n_new))
            ),
            embedding=np.concatenate([convert(self.embedding, dtype), more]),
            output=np.pad(convert(self.output, dtype), ((0, n_new), (0, 0))),
            bias=np.pad(self.bias, (0, n_new), constant_values=self.bias.min()),
            crosses=np.pad(convert(self.crosses, dtype), (0, int(starts[-1]) - len(self.crosses))),
            cross_starts=starts,
        )

    def pruned(self, keep: Array) -> Self:
        """Copy the weights of those features alone that a mask keeps; there are no crosses."""
        weights = self.weights()
        for name in ("wide", "embedding"):
            weights[name] = weights[name][keep[: len(weights[name])]]
        return type(self)(**weights)

    def logits(self, rows: CSR, first: int, last: int) -> Array:
        """Give the logits of rows ``first:last``: (last - first, n_classes), float32."""
        n = last - first
        indptr, indices, values = rows
        block = (indptr[first : last + 1], indices, values)
        out = np.empty((n, self.n_classes), dtype=np.float32)
        running = self.running()
        if self.has_wide:
            kernels.gather(*block, 0, n, running["wide"], out)
        hidden, output = self.hidden(rows, first, last), running["output"]
        if isinstance(output, Tiles):
            score(hidden, output, self.has_wide, out)
        else:
            if self.has_wide:
                out += products(hidden, output)
            else:
                products(hidden, output, out)
            out += self.bias
        if self.has_crosses:
            crosses = running["crosses"]
            active.add_crosses(out, *block, self.cross_starts, crosses, N_RANKED)
        return out

    def hidden(self, rows: CSR, first: int, last: int) -> Array:
        """Give the hidden activations of rows ``first:last``: (last - first, n_hidden), float32."""
        n = last - first
        indptr, indices, values = rows
        hidden = np.empty((n, self.n_hidden), dtype=np.float32)
        block = (indptr[first : last + 1], indices, values)
        kernels.gather(*block, 0, n, self.running()["embedding"], hidden)
        kernels.activate(hidden, 0, n, 0.0, 0)
        return hidden

    def map_logits(self, rows: CSR, function: Callable[[Array], Any], pool: Pool) -> list[Any]:
        """Apply ``function`` to the logits of each block of rows, in parallel."""
        return self.map_blocks(rows, lambda logits, first, last: function(logits), pool)

    def map_blocks(
        self, rows: CSR, function: Callable[[Array, int, int], Any], pool: Pool
    ) -> list[Any]:
        """Apply ``function`` to the logits of each block of rows ``first:last``, and these two.

        Blocks have one size whatever the number of threads, so that matrix products have the same
        shapes and give the same bits.
        """
        n = len(rows[0]) - 1
        tasks = blocks(n, max(16, min(ROWS_PER_BLOCK, (1 << 22) // self.n_classes)))
        return pool.map(lambda block: function(self.logits(rows, *block), *block), tasks)

    def accuracy(self, rows: CSR, targets: Array, weights: Array, pool: Pool) -> float:
        """Give the weighted share of rows whose largest logit is their target's."""
        best = self.map_logits(rows, lambda logits: logits.argmax(axis=1), pool)
        return float(np.average(np.concatenate(best) == targets, weights=weights))

    def precision_at_1(self, rows: CSR, targets: LabelSets, weights: Array, pool: Pool) -> float:
        """Give the weighted share of rows whose largest logit is that of one of their labels."""
        best = np.concatenate(self.map_logits(rows, lambda logits: logits.argmax(axis=1), pool))
        hits = targets.rows[targets.indices == best[targets.rows]]
        return float(weights[hits].sum() / weights.sum())

    def micro_f1(
        self, rows: CSR, targets: LabelSets, weights: Array, pool: Pool, cut: float = 0.0
    ) -> float:
        """Give the weighted micro-averaged F1 of the labels whose logits are above a cut."""
        parts = self.map_logits(rows, lambda logits: LabelSets.from_mask(logits > cut), pool)
        found = LabelSets.concatenate(parts)
        # Cells of the indicator matrix that both have.
        hits = np.isin(
            found.rows * self.n_classes + found.indices,
            targets.rows * self.n_classes + targets.indices,
        )
        all_weights = weights[found.rows].sum() + weights[targets.rows].sum()
        return float(2 * weights[found.rows[hits]].sum() / all_weights) if all_weights else 0.0


def _shape(weights: Weights) -> tuple[int, int]:
    """Give rows and width, which is 1 where there is one dimension."""
    if isinstance(weights, Quantized):
        return weights.n_rows, weights.width
    return len(weights), weights.shape[1] if weights.ndim == 2 else 1


def _random_embeddings(
    n: int, n_hidden: int, embedding_range: float, seed: int, dtype: str
) -> Array:
    """Draw uniformly within plus or minus a range."""
    random = np.random.Generator(np.random.PCG64(seed))
    embeddings = random.random((n, n_hidden), dtype=np.float32)
    embeddings -= np.float32(0.5)
    embeddings *= np.float32(2 * embedding_range)
    return convert(embeddings, dtype)


def softmax(logits: Array) -> Array:
    """Turn logits into probabilities, in place."""
    kernels.softmax(logits)
    return logits


def top_k(logits: Array, k: int) -> tuple[Array, Array]:
    """Give the ``k`` most probable classes of each row, most probable first, and how probable."""
    return largest(softmax(logits), k)


def sigmoid(logits: Array) -> Array:
    """Turn logits into the probability of each label by itself, in place."""
    kernels.sigmoid(logits)
    return logits


def top_k_labels(logits: Array, k: int) -> tuple[Array, Array]:
    """Give the ``k`` labels of each row that are most probable by themselves, as `top_k` does."""
    numbers, best = largest(logits, k)  # sigmoids would make ties of large logits
    return numbers, sigmoid(best)


def largest(scores: Array, k: int) -> tuple[Array, Array]:
    """Give the columns of the ``k`` largest scores of each row, in falling order, and these."""
    numbers = np.empty((len(scores), k), dtype=np.int64)
    best = np.empty((len(scores), k), dtype=np.float32)
    kernels.top_k(scores, 0, len(scores), numbers, best)
    return numbers, best
