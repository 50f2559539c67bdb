"""The compiled loops of hash families, over rows of float32 or CSR."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel
from udt.randomness import mix, scaled

Array = NDArray[Any]
#: Vectors that are hashed side by side, which keeps vector registers busy and loops long.
LANES = 64
#: So many vectors are faster hashed one by one.
FEW = 8
#: Coordinates of a bin of `dwta`.
BIN = 8


@kernel
def load_lanes(X: Array, first: int, last: int, lanes: Array) -> None:
    """Lay rows ``first:last`` side by side; lanes that are left repeat the last row."""
    for s in range(lanes.shape[1]):
        row = X[min(first + s, last - 1)]
        for d in range(lanes.shape[0]):
            lanes[d, s] = row[d]


@kernel
def densify(codes: Array, is_filled: Array, key: int) -> None:
    """Give every empty bin the code of a full one that a hash of its number picks.

    The same bins borrow from the same ones, so that codes of alike vectors go on agreeing alike
    (A. Shrivastava, "Optimal densification for fast and accurate minwise hashing", ICML 2017).
    """
    n = codes.shape[0]
    n_filled = 0
    for b in range(n):
        n_filled += is_filled[b]
    for b in range(n):
        if is_filled[b]:
            continue
        codes[b] = 0
        if n_filled == 0:
            continue
        other = b
        for attempt in range(n):
            other = scaled(mix(key, b, attempt), n)
            if is_filled[other]:
                break
        while not is_filled[other]:
            other = other + 1 if other + 1 < n else 0
        codes[b] = codes[other]


@kernel
def join(codes: Array, K: int, bits: int, out: Array) -> None:
    """Join ``K`` codes at a time."""
    for table in range(out.shape[0]):
        number = np.uint32(0)
        for k in range(table * K, table * K + K):
            number = (number << np.uint32(bits)) | codes[k]
        out[table] = number


@kernel
def dwta_row(x: Array, coordinates: Array, K: int, key: int, codes: Array, is_filled: Array,
             out: Array) -> None:  # fmt: skip
    """Hash one dense vector, some of whose bins may hold nothing."""
    for b in range(codes.shape[0]):
        chosen = coordinates[b]
        best = 0
        is_filled[b] = 0
        for p in range(BIN):
            value = x[chosen[p]]
            if value != 0:
                is_filled[b] = 1
            if value > x[chosen[best]]:
                best = p
        codes[b] = best
    densify(codes, is_filled, key)
    join(codes, K, 3, out)


@kernel
def larger(x: Any, i: Any, y: Any, j: Any) -> Any:
    """Choose the larger value and its number; the first of equal ones."""
    return (y, j) if y > x else (x, i)


@kernel
def count_zeros(lanes: Array, out: Array) -> None:
    """Count the zeros of each lane."""
    out[:] = 0
    for d in range(lanes.shape[0]):
        for s in range(LANES):
            out[s] += lanes[d, s] == 0


@kernel
def dwta(X: Array, coordinates: Array, K: int, key: int, out: Array) -> None:
    """Hash dense vectors; the code of a bin tells which of its coordinates is largest."""
    lanes = np.empty((X.shape[1], LANES), dtype=np.float32)
    numbers = np.empty(LANES, dtype=np.uint32)
    n_zeros = np.empty(LANES, dtype=np.int32)
    codes = np.empty(coordinates.shape[0], dtype=np.uint32)
    is_filled = np.empty(coordinates.shape[0], dtype=np.uint8)
    for first in range(0, X.shape[0], LANES):
        last = min(first + LANES, X.shape[0])
        if last - first < FEW:
            for i in range(first, last):
                dwta_row(X[i], coordinates, K, key, codes, is_filled, out[i])
            continue
        load_lanes(X, first, last, lanes)
        count_zeros(lanes, n_zeros)
        for table in range(out.shape[1]):
            numbers[:] = 0
            for k in range(table * K, table * K + K):
                at = coordinates[k]
                x0, x1, x2, x3 = lanes[at[0]], lanes[at[1]], lanes[at[2]], lanes[at[3]]
                x4, x5, x6, x7 = lanes[at[4]], lanes[at[5]], lanes[at[6]], lanes[at[7]]
                for s in range(LANES):  # a tournament, which stays in vector registers
                    a, i = larger(x0[s], np.uint32(0), x1[s], np.uint32(1))
                    b, j = larger(x2[s], np.uint32(2), x3[s], np.uint32(3))
                    a, i = larger(a, i, b, j)
                    b, j = larger(x4[s], np.uint32(4), x5[s], np.uint32(5))
                    c, k_ = larger(x6[s], np.uint32(6), x7[s], np.uint32(7))
                    b, j = larger(b, j, c, k_)
                    a, i = larger(a, i, b, j)
                    numbers[s] = (numbers[s] << np.uint32(3)) | i
            for s in range(last - first):
                out[first + s, table] = numbers[s]
        for s in range(last - first):
            if n_zeros[s] >= min(BIN, X.shape[1]):
                dwta_row(X[first + s], coordinates, K, key, codes, is_filled, out[first + s])


@kernel
def dwta_sparse(
    indptr: Array, indices: Array, values: Array, slots: Array, width: int, K: int, key: int,
    out: Array,
) -> None:  # fmt: skip
    """Hash CSR rows as `dwta` hashes them when they are dense."""
    n_codes = out.shape[1] * K
    codes = np.empty(n_codes, dtype=np.uint32)
    is_filled = np.empty(n_codes, dtype=np.uint8)
    best = np.empty(n_codes, dtype=np.float32)
    present = np.empty(n_codes, dtype=np.int32)  # a bit for each position that is not zero
    for i in range(out.shape[0]):
        is_filled[:] = 0
        present[:] = 0
        for j in range(indptr[i], indptr[i + 1]):
            value = values[j]
            if value == 0:
                continue
            for r in range(slots.shape[0]):
                slot = slots[r, indices[j]]
                if slot < 0:
                    continue
                b, p = slot // BIN, slot % BIN
                is_better = value > best[b] or (value == best[b] and p < codes[b])
                if present[b] == 0 or is_better:
                    best[b] = value
                    codes[b] = p
                present[b] |= 1 << p
                is_filled[b] = 1
        for b in range(n_codes):
            if is_filled[b] and best[b] < 0 and present[b] != (1 << width) - 1:
                p = 0  # the first of the zeros is larger
                while (present[b] >> p) & 1:
                    p += 1
                codes[b] = p
        densify(codes, is_filled, key)
        join(codes, K, 3, out[i])


@kernel
def simhash(X: Array, starts: Array, members: Array, signs: Array, K: int, out: Array) -> None:
    """Hash dense vectors; a code is the sign of a sum of members, whose number four divides."""
    lanes = np.empty((X.shape[1], LANES), dtype=np.float32)
    sums = np.empty(LANES, dtype=np.float32)
    numbers = np.empty(LANES, dtype=np.uint32)
    for first in range(0, X.shape[0], LANES):
        last = min(first + LANES, X.shape[0])
        load_lanes(X, first, last, lanes)
        for table in range(out.shape[1]):
            numbers[:] = 0
            for k in range(table * K, table * K + K):
                sums[:] = 0
                for j in range(starts[k], starts[k + 1], 4):
                    x0, x1 = lanes[members[j]], lanes[members[j + 1]]
                    x2, x3 = lanes[members[j + 2]], lanes[members[j + 3]]
                    s0, s1, s2, s3 = signs[j], signs[j + 1], signs[j + 2], signs[j + 3]
                    for s in range(LANES):
                        sums[s] += (s0 * x0[s] + s1 * x1[s]) + (s2 * x2[s] + s3 * x3[s])
                for s in range(LANES):
                    bit = np.uint32(1) if sums[s] > 0 else np.uint32(0)
                    numbers[s] = (numbers[s] << np.uint32(1)) | bit
            for s in range(last - first):
                out[first + s, table] = numbers[s]


@kernel
def sign_bits(key: int, feature: Any, group: int) -> Any:
    """Give four random bits: in which projection of a group a feature is, and its sign."""
    h = mix(key, feature, group >> 4)
    return np.int64((h >> np.uint64(4 * (group & 15))) & np.uint64(15))


@kernel
def simhash_sparse(
    indptr: Array, indices: Array, values: Array, K: int, size: int, key: int, out: Array
) -> None:
    """Hash CSR rows as `simhash` does, but for rounding, without a table of members."""
    n_codes = out.shape[1] * K
    sums = np.empty(n_codes, dtype=np.float32)
    codes = np.empty(n_codes, dtype=np.uint32)
    for i in range(out.shape[0]):
        sums[:] = 0
        for j in range(indptr[i], indptr[i + 1]):
            for group in range((n_codes + size - 1) // size):
                bits = sign_bits(key, indices[j], group)
                k = group * size + (bits & (size - 1))
                if k < n_codes:
                    sums[k] += values[j] if bits & 8 else -values[j]
        for k in range(n_codes):
            codes[k] = sums[k] > 0
        join(codes, K, 1, out[i])


@kernel
def list_members(
    n_features: int, size: int, key: int, starts: Array, members: Array, signs: Array
) -> None:
    """List the features of each projection, filled up to a multiple of four with sign 0."""
    n_codes = starts.shape[0] - 1
    n = 0
    for k in range(n_codes):
        starts[k] = n
        for feature in range(n_features):
            bits = sign_bits(key, feature, k // size)
            if (bits & (size - 1)) == k % size:
                members[n] = feature
                signs[n] = 1 if bits & 8 else -1
                n += 1
        while n % 4:
            members[n] = 0
            signs[n] = 0
            n += 1
    starts[n_codes] = n


@kernel
def minhash(
    indptr: Array, indices: Array, values: Array, K: int, bits: int, key: int, out: Array
) -> None:
    """Hash the sets of CSR rows' features that are not zero; a code ends the bin's least hash."""
    n_codes = out.shape[1] * K
    least = np.empty(n_codes, dtype=np.uint32)
    codes = np.empty(n_codes, dtype=np.uint32)
    is_filled = np.empty(n_codes, dtype=np.uint8)
    for i in range(out.shape[0]):
        is_filled[:] = 0
        for j in range(indptr[i], indptr[i + 1]):
            if values[j] == 0:
                continue
            h = mix(key, indices[j], 0)
            b = scaled(h, n_codes)
            value = np.uint32(h & np.uint64(0xFFFFFFFF))
            if not is_filled[b] or value < least[b]:
                least[b] = value
                is_filled[b] = 1
        for b in range(n_codes):
            codes[b] = least[b] & np.uint32((1 << bits) - 1)
        densify(codes, is_filled, key)
        join(codes, K, bits, out[i])
