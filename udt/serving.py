"""One row, from Python values to logits, in a few calls of compiled code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.columns import read_row
from udt.compilation import kernel
from udt.features.cell_encoder import CellEncoder
from udt.features.cells import DATE_PARTS, date_parts, encode_rows, join_rows
from udt.features.featurizer import HashingFeaturizer
from udt.features.hashing import murmur3_32
from udt.features.table import TableFeaturizer
from udt.features.text import scale_rows, transform_rows
from udt.network.active import add_crosses
from udt.network.kernels import activate, gather
from udt.network.model import N_RANKED, SparseNetwork
from udt.network.tiles import Tiles, score_row
from udt.network.weights import Weights, n_rows, width

Array = NDArray[Any]


@kernel
def row_logits(
    indptr: Array, indices: Array, values: Array, wide: Weights, embedding: Weights,
    output: Weights | Tiles, bias: Array, crosses: Weights, cross_starts: Array,
) -> Array:  # fmt: skip
    """Give the logits of one row of features, of shape (1, n_classes)."""
    hidden = np.empty((1, width(embedding)), dtype=np.float32)
    logits = np.empty((1, bias.shape[0]), dtype=np.float32)
    gather(indptr, indices, values, 0, 1, embedding, hidden)
    activate(hidden, 0, 1, 0.0, 0)
    gather(indptr, indices, values, 0, 1, wide, logits)
    score_row(hidden, output, bias, logits)
    if n_rows(crosses):
        add_crosses(logits, indptr, indices, values, cross_starts, crosses, N_RANKED)
    return logits


@kernel
def text_row(
    data: Array, length: int, classes: Array, ngrams: Array, seed: int, mask: int, ids: Array,
    sublinear: bool, weights: Array, norms: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Give the n-grams of the one text in ``data[:length]`` as CSR."""
    offsets = np.array([0, length])
    indptr, middles, indices, values = transform_rows(
        data, offsets, 0, 1, classes, ngrams, seed, mask, ids, sublinear
    )
    scale_rows(indptr, middles, indices, values, weights, norms, 0, 1)
    return indptr, indices, values


@kernel
def text_logits(
    data: Array, length: int, classes: Array, ngrams: Array, seed: int, mask: int, ids: Array,
    sublinear: bool, weights: Array, norms: Array, wide: Weights, embedding: Weights,
    output: Weights | Tiles, bias: Array, crosses: Weights, cross_starts: Array,
) -> Array:  # fmt: skip
    """Give the logits of the one text in ``data[:length]``."""
    indptr, indices, values = text_row(
        data, length, classes, ngrams, seed, mask, ids, sublinear, weights, norms
    )
    return row_logits(indptr, indices, values, wide, embedding, output, bias, crosses, cross_starts)


@kernel
def cells_row(
    raw: Array, is_date: Array, data: Array, offsets: Array, seeds: Array, list_seeds: Array,
    list_ends: Array, no_items: Array, knots: Array, bounds: Array, firsts: Array, table: Array,
    number_seeds: Array, cell_crosses: Array, scale: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Give the cells of one row as CSR, from its numbers and dates and its strings in UTF-8.

    ``offsets`` bounds the strings in ``data``: those of categories, then the items of lists, of
    which list ``i`` ends at string ``list_ends[i]``.
    """
    numbers = np.empty((1, bounds.shape[0]), dtype=np.float64)
    column = 0
    for i in range(raw.shape[0]):
        if is_date[i]:
            date_parts(raw[i : i + 1], 0, 1, column, numbers)
            column += DATE_PARTS
        else:
            numbers[0, column] = raw[i]
            column += 1
    n = seeds.shape[0]
    codes = np.empty((1, n), dtype=np.uint32)
    for i in range(n):
        codes[0, i] = murmur3_32(data, offsets[i], offsets[i + 1], seeds[i])
    item_codes = np.empty(offsets.shape[0] - 1 - n, dtype=np.uint32)
    list_bounds = np.empty((list_ends.shape[0], 2), dtype=np.int64)
    begin = 0
    for i in range(list_ends.shape[0]):
        list_bounds[i, 0], list_bounds[i, 1] = begin, list_ends[i] - n
        for j in range(begin, list_ends[i] - n):
            item_codes[j] = murmur3_32(data, offsets[n + j], offsets[n + j + 1], list_seeds[i])
        begin = list_ends[i] - n
    return encode_rows(
        numbers, codes, list_bounds, item_codes, no_items, 0, 1, knots, bounds, firsts, table,
        number_seeds, cell_crosses, scale,
    )  # fmt: skip


@kernel
def cells_logits(
    raw: Array, is_date: Array, data: Array, offsets: Array, seeds: Array, list_seeds: Array,
    list_ends: Array, no_items: Array, knots: Array, bounds: Array, firsts: Array, table: Array,
    number_seeds: Array, cell_crosses: Array, scale: float, wide: Weights, embedding: Weights,
    output: Weights, bias: Array, crosses: Weights, cross_starts: Array,
) -> Array:  # fmt: skip
    """Give the logits of one row without text."""
    indptr, indices, values = cells_row(
        raw, is_date, data, offsets, seeds, list_seeds, list_ends, no_items, knots, bounds, firsts,
        table, number_seeds, cell_crosses, scale,
    )  # fmt: skip
    return row_logits(indptr, indices, values, wide, embedding, output, bias, crosses, cross_starts)


class Server:
    """Classifies one row at a time, in some microseconds.

    Parameters
    ----------
    featurizer : TableFeaturizer
    network : SparseNetwork
    """

    def __init__(self, featurizer: TableFeaturizer, network: SparseNetwork) -> None:
        self._columns = featurizer.columns_
        self._roles = [column.role for column in self._columns if column.role != "ignored"]
        self._ids = featurizer.ids_
        self._lengths = featurizer._lengths()
        self._network = tuple(network.running().values())
        self._texts = [_TextPart(text) for text in featurizer.texts_]
        cells = featurizer.cells_
        self._cells = None if cells is None else _CellsPart(cells)
        self._only_text = None
        if cells is None and len(self._texts) == 1:
            self._only_text = self._texts[0]

    def logits(self, row: Any) -> NDArray[np.float32] | None:
        """Give the logits of a row, of shape (1, n_classes), or None if it is no row for this."""
        if type(row) is str:
            text = self._only_text
            if text is None:
                return None
            return text_logits(*text.utf8(row), *text.arguments, *self._network)
        if not isinstance(row, Mapping):
            return None
        try:
            values = read_row(row, self._columns)
        except ValueError:
            return None  # which names its columns otherwise, or is bad input: see `read_columns`
        if not self._texts:
            assert self._cells is not None
            return cells_logits(*self._cells.arrays(values), *self._cells.arguments, *self._network)
        texts = [value for role, value in zip(self._roles, values, strict=True) if role == "text"]
        parts = [
            text_row(*part.utf8(text), *part.arguments)
            for part, text in zip(self._texts, texts, strict=True)
        ]
        if self._cells is not None:
            others = [v for role, v in zip(self._roles, values, strict=True) if role != "text"]
            parts.insert(0, cells_row(*self._cells.arrays(others), *self._cells.arguments))
        return row_logits(*self._join(parts), *self._network)

    def _join(self, parts: list[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array]:
        if len(parts) == 1:
            return parts[0]
        n = sum(len(indices) for _, indices, _ in parts)
        indices, values = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.float32)
        starts = np.zeros(1, dtype=np.int64)
        for part, ids, length in zip(parts, self._ids, self._lengths, strict=True):
            join_rows(*part, 0, 1, ids, length, starts, indices, values)
        return np.array([0, n]), indices, values


class _TextPart:
    """A column of text."""

    def __init__(self, featurizer: HashingFeaturizer) -> None:
        self._normalise = featurizer._normalise
        self._takes_ascii = getattr(featurizer, "tokenizer_", None) is None
        self.arguments = (
            *featurizer._hash_arguments(), featurizer.weights_, featurizer._norms(),
        )  # fmt: skip

    def utf8(self, text: str) -> tuple[NDArray[np.uint8], int]:
        if not (self._takes_ascii and text.isascii()):
            text = self._normalise(text)
        utf8 = text.encode()
        # NumPy refuses an empty buffer, so an empty text is none of the bytes of a space.
        return np.frombuffer(utf8 or b" ", np.uint8), len(utf8)


class _CellsPart:
    """The columns that are no text."""

    def __init__(self, cells: CellEncoder) -> None:
        self._roles = cells.roles
        numbers = [role for role in cells.roles if role in ("number", "date")]
        self._is_date = np.array([role == "date" for role in numbers], dtype=bool)
        seeds = list(zip(cells.roles, cells.seeds, strict=True))
        self._seeds = np.array(
            [seed for role, seed in seeds if role in ("category", "flag")], dtype=np.uint32
        )
        self._list_seeds = np.array(
            [seed for role, seed in seeds if role == "categories"], dtype=np.uint32
        )
        self.arguments = (cells.no_items(), *cells.state())

    def arrays(self, values: list[Any]) -> tuple[Array, ...]:
        """Give what `cells_row` takes of a row."""
        numbers: list[float] = []
        strings: list[bytes] = []
        lists: list[list[str]] = []
        for role, value in zip(self._roles, values, strict=True):
            if role == "number" or role == "date":
                numbers.append(value)
            elif role == "categories":
                lists.append(value)
            else:
                strings.append((value or "").encode())
        ends = []
        for items in lists:
            strings.extend(item.encode() for item in items)
            ends.append(len(strings))
        offsets = np.zeros(len(strings) + 1, dtype=np.int64)
        np.cumsum([len(string) for string in strings], out=offsets[1:])
        data = np.frombuffer(b"".join(strings) + b"   ", np.uint8)  # murmur3_32 reads past the end
        return (
            np.array(numbers, dtype=np.float64), self._is_date, data, offsets, self._seeds,
            self._list_seeds, np.array(ends, dtype=np.int64),
        )  # fmt: skip
