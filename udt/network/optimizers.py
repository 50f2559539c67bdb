"""Optimisers: from gradients of a batch to steps on those rows of weights that it touched.

Each step belongs to one row of a matrix of weights. Rows have owners, who may run side by side, and
a row's gradients come in the order of the samples, so the result does not depend on who does what.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import narrow, prefetch, widen
from udt.network.bfloat16 import row_key
from udt.network.kernels import AHEAD
from udt.network.weights import prefetch_row

Array = NDArray[Any]
ADAGRAD, ADAM, SGD = range(3)
_RULES = {"adagrad": ADAGRAD, "adam": ADAM, "sgd": SGD}
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
_B1, _NEW_1 = np.float32(_BETA_1), np.float32(1 - _BETA_1)
_B2, _NEW_2 = np.float32(_BETA_2), np.float32(1 - _BETA_2)
_EPS = np.float32(_EPSILON)


class Groups(NamedTuple):
    """The entries of a batch, by the row of weights that they touch.

    ``samples[indptr[i] : indptr[i + 1]]``, in rising order, have row ``rows[i]``, with ``values``.
    """

    rows: Array
    indptr: Array
    samples: Array
    values: Array


class Optimizer:
    """Takes steps on the rows of a matrix of weights, and keeps what it remembers of each row.

    Parameters
    ----------
    name : {"adagrad", "adam", "sgd"}
        "adagrad" is AdaGrad [1]_ with one sum of squares a row: memory of one float a row.
        "adam" is lazy Adam [2]_: moments, as large as the weights each, of the rows that a batch
        touches; others rest. "sgd" has no memory.
    weights : ndarray of shape (n_rows, width) or (n_rows,), float32 or bfloat16, C-contiguous
        Changed in place. Steps on bfloat16 (uint16) are rounded at random.
    initial_state : float
        Where AdaGrad's sums begin.

    Attributes
    ----------
    weights : ndarray of shape (n_rows, width), float32 or bfloat16
        A view of what was given.
    state : ndarray of shape (n_rows, 1, 1), (n_rows, 2, width) or (n_rows, 0, 0), float32
        Of each row AdaGrad's sum of mean squares, or Adam's first and second moments, or nothing.
    rule : int
        `ADAGRAD`, `ADAM` or `SGD`, for `step_rows` and the kernels that call it.
    key : uint64
        Picks the random bits that round steps on bfloat16; to be set to another one for each step.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    .. [2] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> weights = np.zeros((3, 2), dtype=np.float32)
    >>> optimizer = Optimizer("sgd", weights, 0.0)
    >>> slopes = np.array([[1, 2]], dtype=np.float32)
    >>> optimizer.step(slopes, np.float32(0.5), 1, 2)
    >>> weights.tolist()
    [[0.0, 0.0], [-0.5, -1.0], [0.0, 0.0]]
    """

    def __init__(self, name: str, weights: Array, initial_state: float) -> None:
        self.rule = _RULES[name]
        self.weights = weights if weights.ndim == 2 else weights[:, np.newaxis]
        n_rows, width = self.weights.shape
        kept = {ADAGRAD: (1, 1), ADAM: (2, width), SGD: (0, 0)}[self.rule]
        start = initial_state if self.rule == ADAGRAD else 0
        self.state = np.full((n_rows, *kept), start, dtype=np.float32)
        self.key = np.uint64(0)
        self._slots = np.full(n_rows, -1, dtype=np.int32)

    def resume(self, state: Array) -> bool:
        """Go on from the state of the first of these rows; tell whether it is of this optimiser.

        Others' is left alone.
        """
        if state.shape[1] != self.state.shape[1]:
            return False
        self.state[tuple(map(slice, state.shape))] = state
        return True

    def scatter(
        self,
        indptr: Array,
        indices: Array,
        values: Array,
        gradient: Array,
        squares: Array,
        rate: np.float32,
        owner: int,
        owner_mask: int,
    ) -> None:
        """Take steps on ``owner``'s rows for a batch of CSR rows, whose indices are rows here.

        AdaGrad takes a step for each entry; others take one a row with its summed gradient.

        Parameters
        ----------
        indptr, indices, values : ndarray
            Indices past the last row of weights are skipped, and values of 0.
        gradient : ndarray of shape (n_samples, width), float32
            In what ``value * weights[index]`` was added to.
        squares : ndarray of shape (n_samples,), float32
            The mean squares of the rows of ``gradient``, which AdaGrad needs.
        rate : float32
            Times `rate_factor`.
        owner, owner_mask : int
            Row ``i`` is that of ``i // 16 & owner_mask``; the mask is the number of owners, a power
            of two, less one.
        """
        if self.rule == ADAGRAD:
            scatter(
                indptr, indices, values, len(indptr) - 1, gradient, squares, rate, owner,
                owner_mask, self.weights, self.state.reshape(-1), self.key,
            )  # fmt: skip
        else:
            groups = self.group(indptr[:-1], indptr[1:], indices, values, owner, owner_mask)
            self.step_groups(groups, gradient, rate)

    def group(
        self,
        begins: Array,
        ends: Array,
        indices: Array,
        values: Array,
        owner: int,
        owner_mask: int,
    ) -> Groups:
        """Group the entries that touch ``owner``'s rows, as in `scatter`, by row.

        Those of sample ``i`` are ``indices[begins[i] : ends[i]]`` and ``values[begins[i] :
        ends[i]]``.
        """
        return Groups(
            *group_by_row(
                begins, ends, indices, values, len(self.weights), owner, owner_mask, self._slots
            )
        )

    def step_groups(self, groups: Groups, gradient: Array, rate: np.float32) -> None:
        """Take one step on each row of ``groups``, along the sum of ``value * gradient[sample]``.

        Parameters
        ----------
        groups : Groups
        gradient : ndarray of shape (n_samples, width), float32
        rate : float32
            Times `rate_factor`.
        """
        step_groups(*groups, gradient, rate, self.rule, self.weights, self.state, self.key)

    def step(self, slopes: Array, rate: np.float32, first: int, last: int) -> None:
        """Take one step on each of rows ``first:last`` with its summed gradient.

        Parameters
        ----------
        slopes : ndarray of shape (last - first, width), float32
        rate : float32
            Times `rate_factor`.
        first, last : int
        """
        step_rows(
            slopes, rate, self.rule, self.weights[first:last], self.state[first:last], self.key,
            first,
        )  # fmt: skip


def rate_factor(name: str, step: int) -> float:
    """Give what the rate of step ``step``, counted from 1, is to be multiplied by.

    That is Adam's correction of moments that started at zero, and 1 for others.
    """
    return math.sqrt(1 - _BETA_2**step) / (1 - _BETA_1**step) if name == "adam" else 1.0


@kernel
def step_rows(
    slopes: Array, rate: float, rule: int, weights: Array, state: Array, key: Any, first: int
) -> None:
    """Take a step on each row of ``weights`` with a batch's summed gradient.

    ``key`` is the optimiser's, and row 0 that of number ``first``.
    """
    if rule == ADAGRAD:
        for c in range(slopes.shape[0]):
            total = np.float32(0)
            for d in range(slopes.shape[1]):
                total += slopes[c, d] * slopes[c, d]
            state[c, 0, 0] += total / np.float32(slopes.shape[1])
            step = rate / np.sqrt(state[c, 0, 0])
            noise = row_key(key, first + c, 0)
            for d in range(slopes.shape[1]):
                x = widen(weights[c, d]) - step * slopes[c, d]
                weights[c, d] = narrow(weights, x, noise, d)
    elif rule == ADAM:
        for c in range(slopes.shape[0]):
            noise = row_key(key, first + c, 0)
            for d in range(slopes.shape[1]):
                g = slopes[c, d]
                mean = _B1 * state[c, 0, d] + _NEW_1 * g
                square = _B2 * state[c, 1, d] + _NEW_2 * g * g
                state[c, 0, d] = mean
                state[c, 1, d] = square
                x = widen(weights[c, d]) - rate * mean / (np.sqrt(square) + _EPS)
                weights[c, d] = narrow(weights, x, noise, d)
    else:
        for c in range(slopes.shape[0]):
            noise = row_key(key, first + c, 0)
            for d in range(slopes.shape[1]):
                x = widen(weights[c, d]) - rate * slopes[c, d]
                weights[c, d] = narrow(weights, x, noise, d)


@kernel
def scatter(
    indptr: Array, indices: Array, values: Array, n_samples: int, gradient: Array, squares: Array,
    rate: float, owner: int, owner_mask: int, weights: Array, state: Array, key: Any,
) -> None:  # fmt: skip
    """Take row-wise AdaGrad steps on the rows of ``weights`` that ``owner`` owns, in sample order.

    Row ``index`` belongs to owner ``index // 16 & owner_mask``: sixteen rows together, because
    owners of neighbours would wait for each other's cache lines. ``squares[i]`` is the mean square
    of ``gradient[i]``; ``state`` adds up the mean squares that a row of weights has seen.
    """
    n_rows = weights.shape[0]
    end = indptr[n_samples]
    for i in range(n_samples):
        slope = gradient[i]
        for j in range(indptr[i], indptr[i + 1]):
            if j + AHEAD < end:
                later = indices[j + AHEAD]
                if (later >> 4) & owner_mask == owner and later < n_rows:
                    prefetch_row(weights, later)
                    prefetch(state, np.int64(later))
            index = indices[j]
            value = values[j]
            if (index >> 4) & owner_mask != owner or index >= n_rows or value == 0:
                continue
            state[index] += value * value * squares[i]
            step = rate * value / np.sqrt(state[index])
            weight = weights[index]
            noise = row_key(key, index, i)
            for d in range(weight.shape[0]):
                weight[d] = narrow(weights, widen(weight[d]) - step * slope[d], noise, d)


@kernel
def step_active(
    hidden: Array, classes: Array, slopes: Array, sizes: Array, first: int, last: int, rate: float,
    rule: int, output: Array, output_state: Array, bias: Array, bias_state: Array, key: Any,
) -> None:  # fmt: skip
    """Take a step on the output and bias of those of classes ``first:last`` that are active.

    Those of sample ``i`` are ``classes[i, :sizes[i]]``, with gradients ``slopes[i, :sizes[i]]``.
    """
    sums = np.zeros((last - first, hidden.shape[1]), dtype=np.float32)
    bias_sums = np.zeros((last - first, 1), dtype=np.float32)
    is_active = np.zeros(last - first, dtype=np.uint8)
    for i in range(hidden.shape[0]):
        for j in range(sizes[i]):
            c = classes[i, j] - first
            if c < 0 or c >= last - first:
                continue
            g = slopes[i, j]
            total = sums[c]
            for d in range(total.shape[0]):
                total[d] += g * hidden[i, d]
            bias_sums[c, 0] += g
            is_active[c] = 1
    for c in range(last - first):
        if is_active[c]:
            row = first + c
            step_rows(
                sums[c : c + 1], rate, rule, output[row : row + 1], output_state[row : row + 1],
                key, row,
            )  # fmt: skip
            if rule == ADAGRAD:  # of a single weight, so that there is no mean to take
                g = bias_sums[c, 0]
                bias_state[row, 0, 0] += g * g
                bias[row, 0] -= rate / np.sqrt(bias_state[row, 0, 0]) * g
            else:
                step_rows(
                    bias_sums[c : c + 1], rate, rule, bias[row : row + 1],
                    bias_state[row : row + 1], key, row,
                )  # fmt: skip


@kernel
def mean_squares(gradient: Array, first: int, last: int, squares: Array) -> None:
    """Write the mean square of each row of ``gradient``."""
    for i in range(first, last):
        total = np.float32(0)
        for d in range(gradient.shape[1]):
            total += gradient[i, d] * gradient[i, d]
        squares[i] = total / np.float32(gradient.shape[1])


@kernel
def group_by_row(
    begins: Array, ends: Array, indices: Array, values: Array, n_rows: int, owner: int,
    owner_mask: int, slots: Array,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Sort the entries of a batch that touch rows of ``owner`` by row, in sample order.

    Rows are numbered as they come. ``slots``, of ``n_rows`` times -1, keeps their numbers while
    this runs; owners may share it.
    """
    n_entries = 0
    for i in range(begins.shape[0]):
        n_entries += ends[i] - begins[i]
    rows = np.empty(n_entries, dtype=np.int32)
    numbers = np.empty(n_entries, dtype=np.int32)
    samples = np.empty(n_entries, dtype=np.int32)
    kept = np.empty(n_entries, dtype=np.float32)
    indptr = np.zeros(n_entries + 2, dtype=np.int64)
    n, n_owned = 0, 0
    for i in range(begins.shape[0]):
        for j in range(begins[i], ends[i]):
            index = indices[j]
            if (index >> 4) & owner_mask != owner or index >= n_rows or values[j] == 0:
                continue
            if slots[index] < 0:
                slots[index] = n
                rows[n] = index
                n += 1
            numbers[n_owned] = slots[index]
            samples[n_owned] = i
            kept[n_owned] = values[j]
            indptr[slots[index] + 2] += 1
            n_owned += 1
    for number in range(n):
        slots[rows[number]] = -1
        indptr[number + 2] += indptr[number + 1]
    sorted_samples = np.empty(n_owned, dtype=np.int32)
    sorted_values = np.empty(n_owned, dtype=np.float32)
    for entry in range(n_owned):
        at = indptr[numbers[entry] + 1]
        indptr[numbers[entry] + 1] += 1
        sorted_samples[at] = samples[entry]
        sorted_values[at] = kept[entry]
    return rows[:n], indptr[: n + 1], sorted_samples, sorted_values


@kernel
def step_groups(
    rows: Array, indptr: Array, samples: Array, values: Array, gradient: Array, rate: float,
    rule: int, weights: Array, state: Array, key: Any,
) -> None:  # fmt: skip
    """Take one step on each row of ``weights`` that is in ``rows``; see `Groups`."""
    ahead = 2
    n_kept = state.shape[1] * state.shape[2]
    sums = np.empty((1, weights.shape[1]), dtype=np.float32)
    total = sums[0]
    for i in range(rows.shape[0]):
        if i + ahead < rows.shape[0]:
            later = rows[i + ahead]
            prefetch_row(weights, later)
            for d in range(0, n_kept, 16):
                prefetch(state, later * n_kept + d)
        for d in range(total.shape[0]):
            total[d] = 0
        for j in range(indptr[i], indptr[i + 1]):
            value = values[j]
            slope = gradient[samples[j]]
            for d in range(total.shape[0]):
                total[d] += value * slope[d]
        row = rows[i]
        step_rows(sums, rate, rule, weights[row : row + 1], state[row : row + 1], key, row)
