"""Hash families: vectors to codes that agree the more often, the more alike the vectors are.

A family has ``K`` codes of ``bits`` bits for each of ``L`` tables, joined into one number a table.
It is plain numbers: its key and the sizes make all its functions, and `redraw` gives fresh ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from udt.compilation import kernel

Array = NDArray[Any]
#: Vectors that are hashed side by side, a lane of a vector register each.
LANES = 16
#: Coordinates of a bin of `DWTA`.
BIN = 8


class HashFamily(Protocol):
    """What tables ask of a family: sizes, and vectors to numbers of ``K * bits`` bits."""

    n_features: int
    K: int
    L: int
    key: int
    bits: int

    def hash(self, X: Array) -> Array:
        """Hash dense vectors (n, n_features), float32, to numbers (n, L), uint32."""

    def hash_sparse(self, indptr: Array, indices: Array, values: Array) -> Array:
        """Hash the rows of a CSR matrix to numbers (n, L), uint32."""

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely it is that one code of two vectors agrees."""


@kernel
def mix(key: Any, a: Any, b: Any) -> Any:
    """Hash a key and two numbers to 64 random bits."""
    h = np.uint64(key) + np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)
    h += np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


@kernel
def scaled(bits: Any, n: Any) -> Any:
    """Scale the upper half of 64 random bits to a number below ``n``."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


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
def dwta(X: Array, coordinates: Array, K: int, key: int, out: Array) -> None:
    """Hash dense vectors; the code of a bin tells which of its coordinates is largest."""
    lanes = np.empty((X.shape[1], LANES), dtype=np.float32)
    numbers = np.empty(LANES, dtype=np.uint32)
    n_zeros = np.empty(LANES, dtype=np.int32)
    codes = np.empty(coordinates.shape[0], dtype=np.uint32)
    is_filled = np.empty(coordinates.shape[0], dtype=np.uint8)
    for first in range(0, X.shape[0], LANES):
        last = min(first + LANES, X.shape[0])
        load_lanes(X, first, last, lanes)
        n_zeros[:] = 0
        for d in range(lanes.shape[0]):
            for s in range(LANES):
                n_zeros[s] += lanes[d, s] == 0
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


def _check(family: HashFamily) -> None:
    for name in ("n_features", "K", "L"):
        if getattr(family, name) < 1:
            raise ValueError(f"{name}={getattr(family, name)}: give at least 1.")
    if family.K * family.bits > 30:
        raise ValueError(
            f"K={family.K} codes of {family.bits} bits make 2**{family.K * family.bits} buckets a "
            f"table: give K at most {30 // family.bits}."
        )
    if family.key < 0:
        raise ValueError(f"key={family.key}: give a number from 0 on.")


def _dense(family: HashFamily, X: Array) -> Array:
    if X.ndim != 2 or X.shape[1] != family.n_features:
        raise ValueError(
            f"X of shape {X.shape}: give vectors of n_features={family.n_features} values."
        )
    return np.ascontiguousarray(X, dtype=np.float32)


def _sparse(family: HashFamily, indptr: Array, indices: Array, values: Array) -> Any:
    if len(indices) and not 0 <= indices.min() <= indices.max() < family.n_features:
        raise ValueError(
            f"Indices from {indices.min()} to {indices.max()}: give some from 0 to "
            f"{family.n_features - 1}, as n_features={family.n_features}."
        )
    return indptr, indices, np.ascontiguousarray(values, dtype=np.float32)


def _to_csr(X: Array) -> tuple[Array, Array, Array]:
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
    return indptr, columns, X[rows, columns]


@dataclass(eq=False)
class DWTA:
    """Densified winner-take-all: which of eight coordinates, picked at random, is largest.

    Depends on the order of coordinates only [1]_. Bins without a value other than zero borrow the
    code of another one [2]_, so that sparse vectors are hashed as well as dense ones.

    Parameters
    ----------
    n_features : int
        Length of the vectors, which must be finite.
    K : int
        Codes of three bits that are joined to one number, at most 10.
    L : int
        Numbers, one a table.
    key : int, default=0
        Picks the coordinates.

    References
    ----------
    .. [1] J. Yagnik, D. Strelow, D. Ross, R. Lin, "The power of comparative reasoning", ICCV 2011.
    .. [2] B. Chen, A. Shrivastava, "Densified winner take all (WTA) hashing for sparse datasets",
       UAI 2018.

    Examples
    --------
    >>> import numpy as np
    >>> family = DWTA(n_features=16, K=2, L=3)
    >>> family.hash(np.eye(16, dtype=np.float32)[:2]).shape
    (2, 3)
    """

    n_features: int
    K: int
    L: int
    key: int = 0
    bits: int = field(default=3, init=False)
    coordinates: Array = field(init=False, repr=False)
    slots: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self)
        n_codes = self.K * self.L
        width = min(BIN, self.n_features)
        bins = self.n_features // width  # that one permutation makes; the rest of it is left out
        random = np.random.default_rng([self.key, 1])
        n_permutations = -(-n_codes // bins)
        self.slots = np.full((n_permutations, self.n_features), -1, dtype=np.int32)
        chosen = np.empty((n_permutations * bins, BIN), dtype=np.int32)
        for r in range(n_permutations):
            order = random.permutation(self.n_features)[: bins * width].reshape(bins, width)
            part = slice(r * bins, (r + 1) * bins)
            chosen[part, :width] = order
            chosen[part, width:] = order[:, :1]  # never larger than itself
            places = np.arange(r * bins, (r + 1) * bins)[:, np.newaxis] * BIN + np.arange(width)
            self.slots[r, order] = np.where(places < n_codes * BIN, places, -1)
        self.coordinates = chosen[:n_codes].copy()

    def hash(self, X: Array) -> Array:
        """Hash dense vectors (n, n_features), float32, to numbers (n, L), uint32."""
        X = _dense(self, X)
        out = np.empty((len(X), self.L), dtype=np.uint32)
        dwta(X, self.coordinates, self.K, self.key, out)
        return out

    def hash_sparse(self, indptr: Array, indices: Array, values: Array) -> Array:
        """Hash CSR rows without repeated features; equal to `hash` of the same rows."""
        rows = _sparse(self, indptr, indices, values)
        out = np.empty((len(indptr) - 1, self.L), dtype=np.uint32)
        dwta_sparse(*rows, self.slots, min(BIN, self.n_features), self.K, self.key, out)
        return out

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""
        return replace(self, key=key)

    def collision_probability(self, similarity: float) -> float:
        r"""Tell how likely one code of two vectors agrees, from their cosine.

        For coordinates that are normal with correlation :math:`\rho`, each of the :math:`m`
        coordinates of a bin is as likely to be the largest of both:
        :math:`p = m \iint \varphi_\rho(u, v) \Phi_\rho(u, v)^{m - 1}\,du\,dv`.
        """
        m = min(BIN, self.n_features)
        if similarity >= 1:
            return 1.0
        if similarity <= -1:
            return 0.0 if m > 1 else 1.0
        # Along the axes of the ellipse, u = a + b and v = a - b, the integrand is smooth; the
        # distribution is that of a sum over coordinates in u and v, whence a grid in these.
        u = np.linspace(-6, 6, 601)
        step = u[1] - u[0]
        noise = np.sqrt(1 - similarity**2)
        # Phi_rho(u, v) = int_{-inf}^u phi(t) Phi((v - rho t) / noise) dt
        inner = _normal_cdf((u[np.newaxis, :] - similarity * u[:, np.newaxis]) / noise)
        normal = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        weighted = normal[:, np.newaxis] * inner
        joint = np.cumsum(weighted, axis=0) * step - weighted * (step / 2)
        # int phi_rho(u, v) Phi^(m-1) dv, by differences of `inner` over v
        middle = (joint[:, 1:] + joint[:, :-1]) / 2
        mass = normal[:, np.newaxis] * np.diff(inner, axis=1)
        return float(min(1.0, m * step * (mass * middle ** (m - 1)).sum()))


def _normal_cdf(x: Array) -> Array:
    from scipy.special import ndtr

    return ndtr(x)


@dataclass(eq=False)
class SimHash:
    """Signs of random projections, each of which adds and subtracts a random part of a vector.

    Parameters
    ----------
    n_features : int
        Length of the vectors, which must be finite.
    K : int
        Signs that are joined to one number, at most 30.
    L : int
        Numbers, one a table.
    key : int, default=0
        Picks the projections.

    Notes
    -----
    A projection takes about one of ``2**j <= 8`` features, at least 16 if there are as many, with
    random signs [2]_: as good as normal projections [1]_ for vectors that are not very sparse.

    References
    ----------
    .. [1] M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002.
    .. [2] P. Li, T. Hastie, K. Church, "Very sparse random projections", KDD 2006.

    Examples
    --------
    >>> SimHash(n_features=16, K=2, L=3).collision_probability(0.0)
    0.5
    """

    n_features: int
    K: int
    L: int
    key: int = 0
    bits: int = field(default=1, init=False)
    size: int = field(init=False, repr=False)
    members: tuple[Array, Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check(self)
        self.size = 1
        while self.size < 8 and 32 * self.size <= self.n_features:
            self.size *= 2
        n_codes = self.K * self.L
        starts = np.zeros(n_codes + 1, dtype=np.int64)
        room = -(-n_codes // self.size) * self.n_features + 4 * n_codes
        members, signs = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
        list_members(self.n_features, self.size, self.key, starts, members, signs)
        self.members = (starts, members[: starts[-1]].copy(), signs[: starts[-1]].copy())

    def hash(self, X: Array) -> Array:
        """Hash dense vectors (n, n_features), float32, to numbers (n, L), uint32."""
        X = _dense(self, X)
        out = np.empty((len(X), self.L), dtype=np.uint32)
        simhash(X, *self.members, self.K, out)
        return out

    def hash_sparse(self, indptr: Array, indices: Array, values: Array) -> Array:
        """Hash CSR rows; equal to `hash` of the same rows but for rounding."""
        rows = _sparse(self, indptr, indices, values)
        out = np.empty((len(indptr) - 1, self.L), dtype=np.uint32)
        simhash_sparse(*rows, self.K, self.size, self.key, out)
        return out

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""
        return replace(self, key=key)

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely one sign of two vectors agrees, from their cosine."""
        return float(1 - np.arccos(np.clip(similarity, -1, 1)) / np.pi)


@dataclass(eq=False)
class MinHash:
    """Densified one-permutation minwise hashing of the set of features that are not zero.

    Parameters
    ----------
    n_features : int
        Features from 0 on that sets may have.
    K : int
        Codes that are joined to one number, ``K * bits`` at most 30.
    L : int
        Numbers, one a table.
    key : int, default=0
        Picks the permutation.
    bits : int, default=4
        How many bits of each least hash are kept [2]_.

    References
    ----------
    .. [1] A. Shrivastava, "Optimal densification for fast and accurate minwise hashing", ICML 2017.
    .. [2] P. Li, A. C. König, "b-bit minwise hashing", WWW 2010.

    Examples
    --------
    >>> MinHash(n_features=16, K=2, L=3, bits=1).collision_probability(0.5)
    0.75
    """

    n_features: int
    K: int
    L: int
    key: int = 0
    bits: int = 4

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise ValueError(f"bits={self.bits}: give at least 1.")
        _check(self)

    def hash(self, X: Array) -> Array:
        """Hash the sets of coordinates of (n, n_features) that are not zero, to (n, L), uint32."""
        return self.hash_sparse(*_to_csr(_dense(self, X)))

    def hash_sparse(self, indptr: Array, indices: Array, values: Array) -> Array:
        """Hash the sets of features of CSR rows to numbers (n, L), uint32."""
        rows = _sparse(self, indptr, indices, values)
        out = np.empty((len(indptr) - 1, self.L), dtype=np.uint32)
        minhash(*rows, self.K, self.bits, self.key, out)
        return out

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""
        return replace(self, key=key)

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely one code of two sets agrees, from their Jaccard similarity."""
        return float(similarity + (1 - similarity) / 2**self.bits)
