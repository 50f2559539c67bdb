"""CellEncoder: all columns of a table but its texts, to sparse rows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils import murmurhash3_32

from udt.columns import Column
from udt.features import crosses as pairs_of_columns
from udt.features.rows import stack_blocks, utf8
from udt.threads import Pool, blocks

if TYPE_CHECKING:
    from udt.features.weighting import Targets

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
ROWS_PER_BLOCK = 8192
_ENTRIES_PER_BLOCK = 1 << 22
_SAMPLE = 1 << 18  # rows that quantiles are taken from
#: Share of distinct values up to which a number's exact values are features too.
_RECURRING = 0.5
#: Crosses that become features, the most frequent, and how many are counted at a time.
_MAX_CROSSED, _COUNTED = 1 << 18, 16


class CellEncoder:
    """Encodes all columns of a table but its texts.

    Parameters
    ----------
    columns : sequence of Column
        Of any roles but "text" and "ignored".
    min_df : int
        Rows in which a category, a cross or an exact value must occur.
    n_bins, crosses
        See `udt.features.table.TableFeaturizer`.

    Attributes
    ----------
    knots, bounds, firsts : ndarray
        See `udt.features.cells.encode_rows`.
    hashes : ndarray of shape (n_categories,), uint32
        The categories and crosses seen, those of each fit by falling frequency.
    hash_ids : ndarray of shape (n_categories,), int64
    rare : ndarray of shape (2, n_rare), uint32, or None
        After `partial_fit`: categories met in fewer than ``min_df`` rows, and in how many.
    crosses : ndarray of shape (n_crosses, 3), int64
        See `udt.features.cells.encode_rows`.
    scale : float
        Makes the mean squared length of the rows of fit 1, without crosses.
    n_features, n_embedded : int
        Ids from ``n_embedded`` to the end of the first fit are of fine distinctions, which are
        for the linear path alone.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        min_df: int,
        n_bins: int | None = None,
        crosses: Any = False,
    ) -> None:
        self.names = [column.name for column in columns]
        self.seeds = [column_seed(name) for name in self.names]
        self.roles = [column.role for column in columns]
        self.min_df = min_df
        self.n_bins = n_bins
        self.rare: Array | None = None
        self.crosses = np.zeros((0, 3), dtype=np.int64)
        self._wanted = crosses
        self._table: Array | None = None

    def fit_transform(
        self, cells: Sequence[Any], pool: Pool, targets: Targets | None = None
    ) -> sp.csr_matrix:
        """Learn knots and categories from the columns' arrays, and give their rows.

        ``targets`` tell which columns to cross, if that is to be chosen.
        """
        from udt.features.cells import EXACT, LINEAR, MISSING

        arrays = self._arrays(cells)
        numbers = arrays[0]
        n_rows = len(numbers)
        sample = numbers[:: -(-n_rows // _SAMPLE)] if n_rows else numbers
        ladders = list(pool.map(self._ladders, list(sample.T)))
        self.bounds = np.zeros((len(ladders), 4, 2), dtype=np.int64)
        self.firsts = np.full((len(ladders), 6), -1, dtype=np.int64)
        knots: list[Array] = []
        n_knots = 0
        for j, steps in enumerate(ladders):
            for level, step in enumerate(steps):
                self.bounds[j, level] = n_knots, n_knots + len(step)
                knots.append(step)
                n_knots += len(step)
        self.knots = np.concatenate(knots) if knots else np.zeros(0)
        self.hashes = np.zeros(0, dtype=np.uint32)
        self.hash_ids = np.zeros(0, dtype=np.int64)
        self.n_features = 0
        for j in range(len(ladders)):
            is_missing = bool(np.isnan(numbers[:, j]).any())
            lengths = np.diff(self.bounds[j]).ravel()
            if lengths.sum() < 1 or (lengths[0] == 1 and not is_missing):
                self.bounds[j] = 0
                continue
            self._number(j, LINEAR, 1)
            if is_missing:
                self._number(j, MISSING, 1)
            for level in (0, 1):
                self._number(j, level, lengths[level])
        self._add_codes(*self._count_categories(arrays))
        self.n_embedded = self.n_features
        for j in range(len(ladders)):
            for level in (2, EXACT):
                self._number(j, level, int(np.diff(self.bounds[j, level])[0]))
        n_single = self.n_features
        self.crosses = self._choose_crosses(arrays, targets)
        self._add_codes(*self._count_crosses(arrays, pool), _MAX_CROSSED)
        self.scale = 1.0
        matrix = self._encode(arrays, pool)
        single = matrix.data[matrix.indices < n_single] if len(self.crosses) else matrix.data
        square = float(np.sum(single.astype(np.float64) ** 2)) / max(n_rows, 1)
        if square > 0:
            self.scale = 1 / np.sqrt(square)
        matrix.data *= np.float32(self.scale)
        return matrix

    def partial_fit_transform(
        self, cells: Sequence[Any], pool: Pool, targets: Targets | None = None
    ) -> sp.csr_matrix:
        """Append what has become frequent enough; knots and pairs stay. Give the rows."""
        if self.rare is None:
            self.rare = np.zeros((2, 0), dtype=np.uint32)
        if not hasattr(self, "knots"):
            return self.fit_transform(cells, pool, targets)
        arrays = self._arrays(cells)
        counted = self._count_categories(arrays), self._count_crosses(arrays, pool)
        keys, counts = map(np.concatenate, zip(*counted, strict=True))
        self._add_codes(keys, counts)
        return self._encode(arrays, pool)

    def transform(self, cells: Sequence[Any], pool: Pool) -> sp.csr_matrix:
        """Give the rows of the columns' arrays."""
        return self._encode(self._arrays(cells), pool)

    def _number(self, column: int, kind: int, n: int) -> None:
        if n > 0:
            self.firsts[column, kind] = self.n_features
            self.n_features += int(n)

    def _ladders(self, numbers: Array) -> list[Array]:
        from udt.features.cells import LADDERS

        sizes = LADDERS if self.n_bins is None else (*LADDERS[:2], self.n_bins)
        values, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
        steps: list[Array] = []
        if not len(values):
            return steps
        for size in sizes:
            step = quantile_knots(values, counts, min(size, sizes[-1]))
            is_finer = len(step) > max(map(len, steps), default=0)
            steps.append(step if is_finer else step[:0])
        n_knots = max(map(len, steps))
        is_recurring = n_knots < len(values) < _RECURRING * counts.sum()
        steps.append(values[counts >= self.min_df] if is_recurring else values[:0])
        return steps

    def _choose_crosses(self, arrays: tuple[Array, ...], targets: Targets | None) -> Array:
        """Give pairs of numbers and codes, by each ladder that tells numbers of the pair apart."""
        from udt.features.cells import CROSS_LEVELS, LINEAR

        numbers, codes = arrays[0], arrays[1]
        names = self._part_names()
        n_numbers = numbers.shape[1]
        varies = np.concatenate([self.firsts[:, LINEAR] >= 0, np.ones(codes.shape[1], dtype=bool)])
        usable = np.flatnonzero(varies).tolist()
        n = pairs_of_columns.number(self._wanted)
        if n is not None:
            pairs = self._strongest(n, usable, numbers, codes, targets)
        else:
            parts: dict[str, list[int]] = {}
            for part in usable:
                parts.setdefault(names[part], []).append(part)
            named = [product(*(parts.get(name, []) for name in pair)) for pair in self._wanted]
            pairs = sorted({(min(a, b), max(a, b)) for a, b in chain(*named)})
        is_fine = np.zeros((CROSS_LEVELS, len(names)), dtype=bool)
        is_fine[1, :n_numbers] = np.diff(self.bounds[:, 1])[:, 0] > 0
        levels = range(CROSS_LEVELS)
        return np.array(
            [
                (a, b, level)
                for level in levels
                for a, b in pairs
                if level == 0 or is_fine[level, a] or is_fine[level, b]
            ],
            dtype=np.int64,
        ).reshape(-1, 3)

    def _strongest(
        self, n: int, usable: list[int], numbers: Array, codes: Array, targets: Targets | None
    ) -> list[tuple[int, int]]:
        from udt.features.cells import CROSS_LEVELS, crossable_rows

        n_pairs = len(usable) * (len(usable) - 1) // 2
        if n >= n_pairs or n == 0:
            return list(combinations(usable, 2)) if n else []
        if targets is None:
            raise ValueError(
                f"crosses={self._wanted!r}: to choose {n} of {n_pairs} pairs of columns takes y: "
                "give it, or name the pairs."
            )
        n_rows = min(
            pairs_of_columns.SAMPLE_ROWS, 1 + pairs_of_columns.SAMPLE_ENTRIES // len(usable)
        )
        step = -(-len(numbers) // n_rows) or 1
        some = numbers[::step], codes[::step]
        parts = np.empty(
            (len(some[0]), CROSS_LEVELS, numbers.shape[1] + codes.shape[1]), dtype=np.uint32
        )
        crossable_rows(*some, self.knots, self.bounds, self._number_seeds(), parts)
        left = pairs_of_columns.responses(targets, step)
        pairs = pairs_of_columns.strongest_pairs(parts[:, 0, usable], left, n)
        return [(usable[a], usable[b]) for a, b in pairs]

    def _count_categories(self, arrays: tuple[Array, ...]) -> tuple[Array, Array]:
        _, codes, list_bounds, list_codes, no_items = arrays
        empty = np.count_nonzero(np.diff(list_bounds) == 0, axis=1)
        all_codes = np.concatenate([codes.ravel(), list_codes, np.repeat(no_items, empty)])
        return np.unique(all_codes, return_counts=True)

    def _count_crosses(self, arrays: tuple[Array, ...], pool: Pool) -> tuple[Array, Array]:
        from udt.features.cells import cross_codes

        numbers, codes = arrays[0], arrays[1]
        counted = [(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64))]
        for begin in range(0, len(self.crosses), _COUNTED):
            some = self.crosses[begin : begin + _COUNTED]
            hashes = np.empty((len(some), len(numbers)), dtype=np.uint32)
            state = self.knots, self.bounds, self._number_seeds(), some, hashes
            pool.map(
                lambda block, state=state: cross_codes(numbers, codes, *block, *state),
                blocks(len(numbers), ROWS_PER_BLOCK),
            )
            counted += pool.map(lambda column: np.unique(column, return_counts=True), list(hashes))
        keys, counts = map(np.concatenate, zip(*counted, strict=True))
        return keys, counts

    def _add_codes(self, keys: Array, counts: Array, most: int | None = None) -> None:
        """Append categories or crosses that now occur often enough, or ``most`` of them."""
        if self.rare is not None:
            both = np.concatenate([keys, self.rare[0]])
            keys, places = np.unique(both, return_inverse=True)
            counts = np.bincount(places, np.concatenate([counts, self.rare[1]])).astype(np.int64)
        is_new = ~np.isin(keys, self.hashes)
        keys, counts = keys[is_new], counts[is_new]
        is_kept = counts >= self.min_df
        if self.rare is not None:
            self.rare = np.stack([keys[~is_kept], counts[~is_kept]]).astype(np.uint32)
        keys, counts = keys[is_kept], counts[is_kept]
        order = np.argsort(-counts, kind="stable")[:most]
        ids = self.n_features + np.arange(len(order))
        self.hashes = np.concatenate([self.hashes, keys[order]])
        self.hash_ids = np.concatenate([self.hash_ids, ids])
        self.n_features += len(order)
        self._table = None

    def table(self) -> Array:
        """Give the lookup table of categories."""
        if self._table is None:
            from udt.features.cells import make_table

            size = 1 << max(4, (2 * len(self.hashes)).bit_length())
            self._table = np.zeros((size, 2), dtype=np.uint32)
            make_table(self.hashes, self.hash_ids, self._table)
        return self._table

    def _arrays(self, cells: Sequence[Any]) -> tuple[Array, ...]:
        """Give columns as `encode_rows` takes them."""
        from udt.features.cells import DATE_PARTS, date_parts, hash_strings

        n_rows = len(cells[0])
        numbers = np.empty((n_rows, self.n_numbers()))
        codes = np.empty(
            (n_rows, sum(role in ("category", "flag") for role in self.roles)), dtype=np.uint32
        )
        bounds, items = [], [np.zeros(0, dtype=np.uint32)]
        i = j = n_items = 0
        for role, seed, values in zip(self.roles, self.seeds, cells, strict=True):
            if role == "number":
                numbers[:, i] = values
                i += 1
            elif role == "date":
                date_parts(values, 0, n_rows, i, numbers)
                i += DATE_PARTS
            elif role == "categories":
                offsets = np.asarray(values.offsets)
                item_codes = np.empty((offsets[-1] - offsets[0], 1), dtype=np.uint32)
                hash_strings(
                    *_padded_utf8(values.flatten()), 0, len(item_codes), seed, item_codes, 0
                )
                bounds.append(offsets - offsets[0] + n_items)
                items.append(item_codes[:, 0])
                n_items += len(item_codes)
            else:
                hash_strings(*_padded_utf8(values), 0, n_rows, seed, codes, j)
                j += 1
        list_bounds = np.array(bounds, dtype=np.int64).reshape(len(bounds), n_rows + 1)
        return numbers, codes, list_bounds, np.concatenate(items), self.no_items()

    def n_numbers(self) -> int:
        """Give how many numbers a row has: a date is several."""
        from udt.features.cells import DATE_PARTS

        return sum({"number": 1, "date": DATE_PARTS}.get(role, 0) for role in self.roles)

    def _part_names(self) -> list[str]:
        """Give the column of each number, and of each category behind them."""
        from udt.features.cells import DATE_PARTS

        counts = {"number": 1, "date": DATE_PARTS}
        columns = list(zip(self.names, self.roles, strict=True))
        numbers = [name for name, role in columns for _ in range(counts.get(role, 0))]
        return numbers + [name for name, role in columns if role in ("category", "flag")]

    def _number_seeds(self) -> Array:
        """Give the seeds of the hashes of numbers that are crossed."""
        from udt.features.cells import DATE_PARTS

        counts = {"number": 1, "date": DATE_PARTS}
        seeds = [
            murmurhash3_32(part, seed, positive=True)
            for role, seed in zip(self.roles, self.seeds, strict=True)
            for part in range(counts.get(role, 0))
        ]
        return np.array(seeds, dtype=np.uint32)

    def no_items(self) -> Array:
        """Give the codes of empty lists, one for each column of lists."""
        seeds = zip(self.roles, self.seeds, strict=True)
        codes = [murmurhash3_32(b"", seed, positive=True) for r, seed in seeds if r == "categories"]
        return np.array(codes, dtype=np.uint32)

    def state(self) -> tuple[Any, ...]:
        """Give what `encode_rows` takes after the rows."""
        seeds = self._number_seeds() if len(self.crosses) else np.zeros(0, dtype=np.uint32)
        single = self.knots, self.bounds, self.firsts, self.table()
        return *single, seeds, self.crosses, np.float32(self.scale)

    def _encode(self, arrays: tuple[Array, ...], pool: Pool) -> sp.csr_matrix:
        from udt.features.cells import encode_rows

        state = self.state()
        width = 8 * len(self.roles) + len(self.crosses)
        size = max(1, min(ROWS_PER_BLOCK, _ENTRIES_PER_BLOCK // width))
        parts = pool.map(
            lambda block: encode_rows(*arrays, *block, *state), blocks(len(arrays[0]), size)
        )
        return stack_blocks(parts, self.n_features)[0]


def column_seed(name: str) -> int:
    """Give the seed of a column's hashes, so that one word in two columns is two features."""
    return int(murmurhash3_32(name.encode(errors="replace"), 0, positive=True))


def quantile_knots(values: Array, counts: Array, size: int) -> Array:
    """Choose about ``size`` of sorted distinct values at equal distances in their counts.

    A value that holds ``1 / size`` of all is a knot of its own, and the others share the rest, as
    the ends do. All values are chosen if there are few.
    """
    if len(values) <= size + 1:
        return values
    is_heavy = counts >= counts.sum() / size
    light = np.where(is_heavy, 0, counts)
    n_light = max(2, size - int(is_heavy.sum()))
    targets = np.linspace(0, light.sum(), n_light + 1)[1:-1]
    places = np.searchsorted(np.cumsum(light), targets)
    ends = [0, len(values) - 1]
    return values[np.unique(np.concatenate([ends, places, np.flatnonzero(is_heavy)]))]


def _padded_utf8(column: Any) -> tuple[Array, Array]:
    """Give bytes and offsets of an Arrow column; a missing value is the empty string."""
    data, offsets = utf8(column.fill_null("") if column.null_count else column)
    if len(data) < offsets[-1] + 3:  # murmur3_32 reads past the end
        data = np.concatenate([data, np.zeros(3, dtype=np.uint8)])
    return data, offsets
