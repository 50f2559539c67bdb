"""Hash tables of neurons: built whole by counting sort, asked for those that most tables agree on.

Table ``t`` holds neuron numbers ``entries[t]``, bucket after bucket; bucket ``b`` lies between
``offsets[t, b]`` and ``offsets[t, b + 1]``.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.intrinsics import prefetch
from udt.lsh.families import HashFamily
from udt.lsh.sizing import available_memory, memory_bytes
from udt.lsh.space import BalancedSpace
from udt.randomness import mix, scaled
from udt.threads import Pool, blocks

Array = NDArray[Any]
#: Neurons that a thread moves, and vectors that it asks about, at a time.
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
def part_of(offsets: Array, cap: int, key: int, table: int, code: Any) -> Any:
    """Give a bucket's beginning and size, how much of it to take, and from where on."""
    begin = np.int64(offsets[table, code])
    size = np.int64(offsets[table, code + 1]) - begin
    if size <= cap:
        return begin, size, size, np.int64(0)
    return begin, size, np.int64(cap), scaled(mix(key, table, code), size)


@kernel
def look_ahead(codes: Array, step: int, offsets: Array, entries: Array) -> None:
    """Ask for the memory of the offsets and entries that later steps need."""
    n_tables = offsets.shape[0]
    later = step + OFFSETS_AHEAD
    if later < codes.shape[0]:
        prefetch(offsets, later % n_tables * offsets.shape[1] + np.int64(codes[later]))
    later = step + BUCKETS_AHEAD
    if 0 <= later < codes.shape[0]:
        table = later % n_tables
        prefetch(entries, table * entries.shape[1] + np.int64(offsets[table, codes[later]]))


@kernel
def take(codes: Array, offsets: Array, entries: Array, cap: int, key: int, ids: Array) -> int:
    """List the neurons of one table's buckets, bucket after bucket, up to as many as fit."""
    n = 0
    for step in range(codes.shape[0]):
        look_ahead(codes, step, offsets, entries)
        begin, size, taken, first = part_of(offsets, cap, key, 0, codes[step])
        for j in range(min(taken, ids.shape[0] - n)):
            at = first + j if first + j < size else first + j - size
            ids[n] = entries[0, begin + at]
            n += 1
        if n == ids.shape[0]:
            break
    return n


@kernel
def count(
    codes: Array, offsets: Array, entries: Array, cap: int, key: int, counts: Array, seen: Array
) -> int:
    """Count how many of the buckets each neuron is in; list those seen, and return how many."""
    n_tables = offsets.shape[0]
    n = 0
    for step in range(-OFFSETS_AHEAD, codes.shape[0]):
        look_ahead(codes, step, offsets, entries)
        if step < 0:
            continue
        t = step % n_tables
        begin, size, taken, first = part_of(offsets, cap, key, t, codes[step])
        bucket = entries[t, begin : begin + size]
        for j in range(first, min(first + taken, size)):
            v = bucket[j]
            seen[n] = v  # without a branch: overwritten by the next one if it was seen before
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
    codes : ndarray of shape (a multiple of L,), uint32
        Buckets to look in, number j in table ``j % L``; each at most once.
    offsets : ndarray of shape (L, n_buckets + 1), int32
    entries : ndarray of shape (L, n_neurons), int32
    cap : int
        What a bucket may add. Of a larger one, so many from a place on that ``key`` picks.
    key : int
        A number of this query, from 0 on.
    counts : ndarray of shape (n_neurons,), uint8
        Scratch: zeros, on entry and on exit.
    seen : ndarray of shape (n_neurons + 1,), int32
        Scratch.
    histogram : ndarray of shape (4, L + 2), int32
        Scratch.
    ids : ndarray of shape (max_candidates,), int32
        Receives the neurons, most agreements first; of equals those of earlier buckets first. So
        from one table they come by their buckets alone, and the rest of these is not looked at.
    agreements : ndarray of shape (max_candidates,), uint8
        Receives in how many tables each was found.

    Returns
    -------
    int
        How many there are.
    """
    n_tables = offsets.shape[0]
    if n_tables == 1:
        n = take(codes, offsets, entries, cap, key, ids)
        agreements[:n] = 1
        return n
    n = count(codes, offsets, entries, cap, key, counts, seen)
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
    """``L`` tables from codes to neurons: those of SLIDE [1]_, but as compressed rows.

    Parameters
    ----------
    family : HashFamily
        Hashes neurons and vectors in a `BalancedSpace` of ``family.n_features`` coordinates.
    n_neurons : int
        Neurons, whose numbers are below.
    bucket_cap : int, default=128
        What one bucket may add to a vector's candidates.

    Attributes
    ----------
    offsets : ndarray of shape (L, n_buckets + 1), int32
    entries : ndarray of shape (L, n_neurons), int32
    space : BalancedSpace
        Where the neurons were when the tables were built.

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
    >>> from udt.lsh.families import SimHash
    >>> random = np.random.default_rng(0)
    >>> weights = random.normal(size=(1000, 32)).astype(np.float32)
    >>> tables = HashTables(SimHash(n_features=32, K=5, L=40), n_neurons=1000)
    >>> tables.rebuild(weights)
    >>> found = tables.rank(tables.hash(weights[:3]), max_candidates=50)
    >>> found.ids[:, 0], found.sizes
    (array([0, 1, 2], dtype=int32), array([50, 50, 50]))
    """

    space: BalancedSpace

    def __init__(self, family: HashFamily, n_neurons: int, bucket_cap: int = 128) -> None:
        for name, value in (("n_neurons", n_neurons), ("bucket_cap", bucket_cap)):
            if value < 1:
                raise ValueError(f"{name}={value}: give at least 1.")
        if family.L > MAX_TABLES:
            raise ValueError(f"L={family.L}: give at most {MAX_TABLES} tables.")
        _check_memory(n_neurons, family)
        self.family = family
        self.bucket_cap = bucket_cap
        self.offsets = np.zeros((family.L, family.n_buckets + 1), dtype=np.int32)
        self.entries = np.empty((family.L, n_neurons), dtype=np.int32)

    def rebuild(
        self,
        weights: Array,
        bias: Array | None = None,
        pool: Pool | None = None,
        hidden: Array | None = None,
        key: int = 0,
    ) -> None:
        """Hash all neurons and sort them into the tables; the bits do not depend on threads.

        Parameters
        ----------
        weights : ndarray of shape (n_neurons, d), float32
            ``family.n_features`` is at most d + 1.
        bias : ndarray of shape (n_neurons,), float32, default=None
            What is added to a neuron's inner products.
        pool : Pool, default=None
            Threads; None for the caller's alone.
        hidden : ndarray of shape (n, d), float32, default=None
            Some vectors like those that will be asked about; a thousand are enough. Without them
            most of what tables can find is lost, unless vectors are of any direction.
        key : int, default=0
            Picks the rotation of the space.
        """
        n_neurons = self.entries.shape[1]
        if weights.ndim != 2 or len(weights) != n_neurons:
            raise ValueError(f"weights of shape {weights.shape}: give n_neurons={n_neurons} rows.")
        self.space = BalancedSpace.fit(weights, bias, hidden, self.family.n_features, key)
        neurons = np.empty((n_neurons, self.family.n_features), dtype=np.float32)

        def move(block: tuple[int, int]) -> None:
            rows = slice(*block)
            neurons[rows] = self.space.neurons(weights[rows], None if bias is None else bias[rows])

        with contextlib.ExitStack() as stack:
            threads = pool or stack.enter_context(Pool(1))
            threads.map(move, blocks(n_neurons, ROWS_PER_BLOCK))
            self.fill(neurons, threads)

    def fill(self, neurons: Array, pool: Pool) -> None:
        """Sort neurons (n_neurons, n_features) that are where they should be hashed into tables."""
        codes = self.entries.view(np.uint32)  # until their table is sorted
        self.family.encode(neurons, codes, pool)

        def sort(tables: tuple[int, int]) -> None:
            scratch = np.empty(codes.shape[1], dtype=np.int32)
            for t in range(*tables):
                sort_table(codes[t], self.offsets[t], scratch)
                self.entries[t] = scratch

        pool.map(sort, blocks(len(codes), TABLES_PER_TASK))

    def redraw(self, key: int) -> None:
        """Take fresh hash functions; `rebuild` must follow."""
        self.family = self.family.redraw(key)

    def hash(self, hidden: Array) -> Array:
        """Hash vectors (n, d), float32, to the buckets to look in (n, a multiple of L), uint32."""
        return self.family.hash(self.space.vectors(hidden))

    def scratch(self) -> Scratch:
        """Make what one thread needs to call `rank_candidates`."""
        n_tables, n_neurons = self.entries.shape
        return Scratch(
            counts=np.zeros(n_neurons, dtype=np.uint8),
            seen=np.empty(n_neurons + 1, dtype=np.int32),
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
        codes : ndarray of shape (n, a multiple of L), uint32
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


def _check_memory(n_neurons: int, family: HashFamily) -> None:
    """Raise a ValueError if there is not enough memory for tables."""
    needed = memory_bytes(n_neurons, family.n_buckets, family.L)
    available = available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"L={family.L} tables of {n_neurons} neurons in {family.n_buckets} buckets, of "
            f"{family!r}, need {needed / 2**20:,.0f} MiB, and {available / 2**20:,.0f} MiB are "
            f"available: give a smaller {'K' if family.n_buckets > n_neurons else 'L'}."
        )
