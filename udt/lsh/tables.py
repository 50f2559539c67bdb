"""Hash tables of neurons: built whole by counting sort, asked for those that most tables agree on.

Table ``t`` holds neuron numbers ``entries[t]``, bucket after bucket; bucket ``b`` lies between
``offsets[t, b]`` and ``offsets[t, b + 1]``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import prefetch
from udt.lsh.families import HashFamily, mix, scaled
from udt.threads import Pool, blocks

Array = NDArray[Any]
#: Vectors that are hashed at a time.
ROWS_PER_BLOCK = 1024
#: How many tables ahead offsets and buckets are asked for: they are scattered over the memory.
OFFSETS_AHEAD = 12
BUCKETS_AHEAD = 6
#: Tables that one thread sorts at a time.
TABLES_PER_TASK = 5
#: The agreements of a neuron are counted in a byte.
MAX_TABLES = 255


@kernel
def sort_table(codes: Array, offsets: Array, scratch: Array) -> None:
    """Write numbers from 0 on by rising code to ``scratch``, and where each code's begin."""
    offsets[:] = 0
    for i in range(codes.shape[0]):
        offsets[codes[i] + 1] += 1
    for b in range(1, offsets.shape[0]):
        offsets[b] += offsets[b - 1]
    # Each offset moves from where its bucket begins to where it ends, where the next one begins.
    for i in range(codes.shape[0]):
        scratch[offsets[codes[i]]] = i
        offsets[codes[i]] += 1
    for b in range(offsets.shape[0] - 1, 0, -1):
        offsets[b] = offsets[b - 1]
    offsets[0] = 0


@kernel
def collect(
    codes: Array, offsets: Array, entries: Array, cap: int, key: int, counts: Array, seen: Array
) -> int:
    """Count how many of a vector's buckets each neuron is in; list those seen, and how many."""
    n_tables = offsets.shape[0]
    n = 0
    for step in range(n_tables + OFFSETS_AHEAD):
        if step < n_tables:
            prefetch(offsets, step * offsets.shape[1] + np.int64(codes[step]))
        t = step - OFFSETS_AHEAD + BUCKETS_AHEAD
        if t >= 0 and t < n_tables:
            prefetch(entries, t * entries.shape[1] + offsets[t, codes[t]])
        t = step - OFFSETS_AHEAD
        if t < 0:
            continue
        bucket = entries[t, offsets[t, codes[t]] : offsets[t, codes[t] + 1]]
        size = bucket.shape[0]
        taken = min(size, cap)
        first = scaled(mix(key, t, codes[t]), size) if size > cap else np.int64(0)
        for j in range(first, min(first + taken, size)):
            v = bucket[j]
            seen[n] = v
            n += counts[v] == 0
            counts[v] += 1
        for j in range(first + taken - size):  # past the end, on from the beginning
            v = bucket[j]
            seen[n] = v
            n += counts[v] == 0
            counts[v] += 1
    return n


@kernel
def rank_candidates(
    codes: Array, offsets: Array, entries: Array, cap: int, key: int, counts: Array, seen: Array,
    histogram: Array, ids: Array, agreements: Array,
) -> int:  # fmt: skip
    """Find the neurons that share most buckets with a vector.

    Parameters
    ----------
    codes : ndarray of shape (L,), uint32
    offsets : ndarray of shape (L, n_buckets + 1), int32
    entries : ndarray of shape (L, n_neurons), int32
    cap : int
        What a bucket may add. Of a larger one, so many from a place on that ``key`` picks.
    key : int
        A number of this query, from 0 on.
    counts : ndarray of shape (n_neurons,), uint8
        Scratch: zeros, on entry and on exit.
    seen : ndarray of shape (min(n_neurons, L * cap) + 1,), int32
        Scratch.
    histogram : ndarray of shape (4, L + 2), int32
        Scratch.
    ids : ndarray of shape (max_candidates,), int32
        Receives the neurons, most agreements first; of equals those of earlier tables first, and
        of one table those that lie earlier in its bucket.
    agreements : ndarray of shape (max_candidates,), uint8
        Receives in how many tables each was found.

    Returns
    -------
    int
        How many there are.
    """
    n_tables = offsets.shape[0]
    n = collect(codes, offsets, entries, cap, key, counts, seen)
    # Four histograms in turn: additions to one place would wait for each other.
    histogram[:] = 0
    for j in range(n):
        histogram[j & 3, counts[seen[j]]] += 1
    place = histogram[0]
    total = 0
    for c in range(n_tables, 0, -1):
        here = histogram[0, c] + histogram[1, c] + histogram[2, c] + histogram[3, c]
        place[c] = total
        total += here
    # Those with fewer agreements than any that will be returned are left out without a branch.
    least = 1
    while least < n_tables and place[least] >= ids.shape[0]:
        least += 1
    kept = 0
    for j in range(n):
        v = seen[j]
        seen[kept] = v
        kept += counts[v] >= least
        if counts[v] < least:
            counts[v] = 0
    for j in range(kept):
        v = seen[j]
        c = counts[v]
        counts[v] = 0
        if place[c] < ids.shape[0]:
            ids[place[c]] = v
            agreements[place[c]] = c
            place[c] += 1
    return min(n, ids.shape[0])


@kernel
def rank_block(
    codes: Array, first: int, last: int, offsets: Array, entries: Array, cap: int, keys: Array,
    counts: Array, seen: Array, histogram: Array, ids: Array, agreements: Array, sizes: Array,
) -> None:  # fmt: skip
    """Find the neurons of each of vectors ``first:last`` as `rank_candidates` does."""
    for i in range(first, last):
        sizes[i] = rank_candidates(
            codes[i], offsets, entries, cap, keys[i], counts, seen, histogram, ids[i], agreements[i]
        )


class Candidates(NamedTuple):
    """The neurons of each vector, most agreements first.

    ``ids`` (n, max_candidates), int32, and ``agreements``, uint8, are filled up to ``sizes`` (n,).
    """

    ids: Array
    agreements: Array
    sizes: Array


class Scratch(NamedTuple):
    """What `rank_candidates` writes on; every thread needs its own."""

    counts: Array
    seen: Array
    histogram: Array


class HashTables:
    """``L`` tables from codes to neurons, as compressed rows.

    Parameters
    ----------
    family : HashFamily
        Hashes neurons and vectors alike.
    n_neurons : int
        Neurons, whose numbers are below.
    bucket_cap : int, default=128
        What one bucket may add to a vector's candidates.

    Attributes
    ----------
    offsets : ndarray of shape (L, n_buckets + 1), int32
    entries : ndarray of shape (L, n_neurons), int32

    Raises
    ------
    ValueError
        If a size is not possible, or there is not enough memory.

    References
    ----------
    .. [1] B. Chen, T. Medini, J. Farwell, S. Gobriel, C. Tai, A. Shrivastava, "SLIDE: in defense of
       smart algorithms over hardware acceleration for large-scale deep learning systems",
       MLSys 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from udt.lsh.families import DWTA
    >>> weights = np.random.default_rng(0).normal(size=(1000, 32)).astype(np.float32)
    >>> tables = HashTables(DWTA(n_features=32, K=2, L=20), n_neurons=1000)
    >>> tables.rebuild(weights)
    >>> found = tables.rank(tables.hash(weights[:3]), max_candidates=50)
    >>> found.ids[:, 0], found.agreements[:, 0]
    (array([0, 1, 2], dtype=int32), array([20, 20, 20], dtype=uint8))
    """

    def __init__(self, family: HashFamily, n_neurons: int, bucket_cap: int = 128) -> None:
        for name, value in (("n_neurons", n_neurons), ("bucket_cap", bucket_cap)):
            if value < 1:
                raise ValueError(f"{name}={value}: give at least 1.")
        if family.L > MAX_TABLES:
            raise ValueError(f"L={family.L}: give at most {MAX_TABLES} tables.")
        check_memory(n_neurons, family)
        self.family = family
        self.bucket_cap = bucket_cap
        self.offsets = np.zeros((family.L, n_buckets(family) + 1), dtype=np.int32)
        self.entries = np.empty((family.L, n_neurons), dtype=np.int32)

    def rebuild(self, weights: Array, bias: Array | None = None, pool: Pool | None = None) -> None:
        """Hash all neurons and sort them into the tables; the bits do not depend on threads.

        Parameters
        ----------
        weights : ndarray of shape (n_neurons, n_features), float32
        bias : ndarray of shape (n_neurons,), float32, default=None
            What is added to a neuron's inner products.
        pool : Pool, default=None
            Threads; None for the caller's alone.
        """
        n_neurons = self.entries.shape[1]
        if len(weights) != n_neurons:
            raise ValueError(f"{len(weights)} rows of weights: give n_neurons={n_neurons}.")
        codes = self.entries.view(np.uint32)  # until their table is sorted

        def hash_block(block: tuple[int, int]) -> None:
            first, last = block
            codes[:, first:last] = self.family.hash(weights[first:last]).T

        def sort(tables: tuple[int, int]) -> None:
            scratch = np.empty(n_neurons, dtype=np.int32)
            for t in range(*tables):
                sort_table(codes[t], self.offsets[t], scratch)
                self.entries[t] = scratch

        with contextlib.ExitStack() as stack:
            threads = pool or stack.enter_context(Pool(1))
            threads.map(hash_block, blocks(n_neurons, ROWS_PER_BLOCK))
            threads.map(sort, blocks(len(codes), TABLES_PER_TASK))

    def redraw(self, key: int) -> None:
        """Take fresh hash functions; `rebuild` must follow."""
        self.family = self.family.redraw(key)

    def hash(self, hidden: Array) -> Array:
        """Hash vectors (n, n_features), float32, to codes (n, L), uint32."""
        return self.family.hash(hidden)

    def scratch(self) -> Scratch:
        """Make what one thread needs to call `rank_candidates`."""
        n_tables, n_neurons = self.entries.shape
        return Scratch(
            counts=np.zeros(n_neurons, dtype=np.uint8),
            seen=np.empty(min(n_neurons, n_tables * self.bucket_cap) + 1, dtype=np.int32),
            histogram=np.empty((4, n_tables + 2), dtype=np.int32),
        )

    def rank(
        self,
        codes: Array,
        max_candidates: int,
        keys: Array | None = None,
        pool: Pool | None = None,
    ) -> Candidates:
        """Find the neurons that share most buckets with each of the vectors of ``codes``.

        Parameters
        ----------
        codes : ndarray of shape (n, L), uint32
            From `hash`.
        max_candidates : int
            How many to give at most.
        keys : ndarray of shape (n,), int64, default=None
            Numbers from 0 on that pick what capped buckets add; None for zeros.
        pool : Pool, default=None
            Threads; None for the caller's alone.
        """
        if max_candidates < 1:
            raise ValueError(f"max_candidates={max_candidates}: give at least 1.")
        n = len(codes)
        keys = np.zeros(n, dtype=np.int64) if keys is None else keys
        found = Candidates(
            np.empty((n, min(max_candidates, self.entries.shape[1])), dtype=np.int32),
            np.empty((n, min(max_candidates, self.entries.shape[1])), dtype=np.uint8),
            np.empty(n, dtype=np.int64),
        )

        def rank(block: tuple[int, int]) -> None:
            rank_block(
                codes, *block, self.offsets, self.entries, self.bucket_cap, keys, *self.scratch(),
                *found,
            )  # fmt: skip

        with contextlib.ExitStack() as stack:
            threads = pool or stack.enter_context(Pool(1))
            threads.map(rank, blocks(n, ROWS_PER_BLOCK))
        return found


def n_buckets(family: HashFamily) -> int:
    """Count the buckets of a table."""
    return 1 << family.K * family.bits


def memory_bytes(n_neurons: int, n_buckets: int, L: int) -> int:
    """Tell how much memory tables take: four bytes for each neuron and bucket of each.

    Examples
    --------
    >>> memory_bytes(670_091, 2**15, 50) // 2**20
    134
    """
    return 4 * L * (n_neurons + n_buckets + 1)


def check_memory(n_neurons: int, family: HashFamily) -> None:
    """Raise a ValueError if there is not enough memory for tables."""
    needed = memory_bytes(n_neurons, n_buckets(family), family.L)
    available = available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"K={family.K} codes of {family.bits} bits and L={family.L} tables of {n_neurons} "
            f"neurons need {needed / 2**20:,.0f} MiB, and {available / 2**20:,.0f} MiB are "
            f"available: give a smaller {'K' if n_buckets(family) > n_neurons else 'L'}."
        )


def available_memory() -> int | None:
    """Give the bytes that can be had without swapping, or None where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:  # all memory there is, where there is no word about what is in use
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
