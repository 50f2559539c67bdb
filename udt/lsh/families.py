"""Hash families: vectors to codes that agree the more often, the more alike the vectors are.

A random family has ``K`` codes of ``bits`` bits for each of ``L`` tables, joined into one number a
table. It is plain numbers and arrays: its sizes and its key make all its functions, and `redraw`
gives fresh ones. `udt.lsh.trees` has one that is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from udt.lsh import family_kernels as kernels
from udt.lsh.family_kernels import BIN
from udt.threads import Pool, blocks

Array = NDArray[Any]
#: Neurons that a thread hashes at a time.
ROWS_PER_BLOCK = 1024


class HashFamily(Protocol):
    """What tables ask of a family."""

    #: Length of the vectors that it hashes.
    n_features: int
    #: How many numbers a neuron gets, one a table.
    L: int

    @property
    def n_buckets(self) -> int:
        """What all numbers are below."""

    def encode(self, neurons: Array, out: Array, pool: Pool) -> None:
        """Hash all neurons (n, n_features), float32, to numbers (L, n), uint32."""

    def hash(self, X: Array) -> Array:
        """Hash vectors to the buckets to look in, (n, a multiple of L), uint32.

        Number j is one of table ``j % L``, and those of a table come best first.
        """

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""


class RandomFamily:
    """What families that look at no data share."""

    n_features: int
    K: int
    L: int
    key: int
    bits: int

    def __post_init__(self) -> None:
        for name in ("n_features", "K", "L", "bits"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: give at least 1.")
        if self.K * self.bits > 30:
            raise ValueError(
                f"K={self.K} codes of {self.bits} bits make 2**{self.K * self.bits} buckets a "
                f"table: give K at most {30 // self.bits}."
            )
        if self.key < 0:
            raise ValueError(f"key={self.key}: give a number from 0 on.")

    @property
    def n_buckets(self) -> int:
        """What all numbers are below."""
        return 1 << self.K * self.bits

    def hash(self, X: Array) -> Array:
        """Hash dense vectors (n, n_features), float32, to numbers (n, L), uint32."""
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise ValueError(
                f"X of shape {X.shape}: give vectors of n_features={self.n_features} values."
            )
        out = np.empty((len(X), self.L), dtype=np.uint32)
        self._hash(np.ascontiguousarray(X, dtype=np.float32), out)
        return out

    def hash_sparse(self, indptr: Array, indices: Array, values: Array) -> Array:
        """Hash CSR rows, of features that are not repeated, as `hash` does, to (n, L), uint32."""
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.n_features:
            raise ValueError(
                f"Indices from {indices.min()} to {indices.max()}: give some from 0 to "
                f"{self.n_features - 1}, as n_features={self.n_features}."
            )
        out = np.empty((len(indptr) - 1, self.L), dtype=np.uint32)
        self._hash_sparse((indptr, indices, np.ascontiguousarray(values, dtype=np.float32)), out)
        return out

    def encode(self, neurons: Array, out: Array, pool: Pool) -> None:
        """Hash all neurons (n, n_features), float32, to numbers (L, n), uint32."""

        def hash_block(block: tuple[int, int]) -> None:
            rows = slice(*block)
            out[:, rows] = self.hash(neurons[rows]).T

        pool.map(hash_block, blocks(len(neurons), ROWS_PER_BLOCK))

    def redraw(self, key: int) -> Self:
        """Give fresh functions of the same sizes."""
        return replace(self, key=key)  # type: ignore[type-var]

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely it is that one code of two vectors agrees."""
        raise NotImplementedError

    def _hash(self, X: Array, out: Array) -> None:
        raise NotImplementedError

    def _hash_sparse(self, rows: tuple[Array, Array, Array], out: Array) -> None:
        raise NotImplementedError


@dataclass(eq=False)
class DWTA(RandomFamily):
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
    bits: int = field(default=3, init=False, repr=False)
    coordinates: Array = field(init=False, repr=False)
    slots: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def _hash(self, X: Array, out: Array) -> None:
        kernels.dwta(X, self.coordinates, self.K, self.key, out)

    def _hash_sparse(self, rows: tuple[Array, Array, Array], out: Array) -> None:
        width = min(BIN, self.n_features)
        kernels.dwta_sparse(*rows, self.slots, width, self.K, self.key, out)

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
        u = np.linspace(-6, 6, 601)  # and v, on the same grid
        step = u[1] - u[0]
        noise = np.sqrt(1 - similarity**2)
        # Phi_rho(u, v) is the integral of phi(t) Phi((v - rho t) / noise) over t up to u.
        inner = ndtr((u[np.newaxis, :] - similarity * u[:, np.newaxis]) / noise)
        normal = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        weighted = normal[:, np.newaxis] * inner
        joint = np.cumsum(weighted, axis=0) * step - weighted * (step / 2)
        # phi_rho(u, v) dv is phi(u) times the difference of `inner` between two v.
        middle = (joint[:, 1:] + joint[:, :-1]) / 2
        mass = normal[:, np.newaxis] * np.diff(inner, axis=1)
        return float(min(1.0, m * step * (mass * middle ** (m - 1)).sum()))


@dataclass(eq=False)
class SimHash(RandomFamily):
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
    bits: int = field(default=1, init=False, repr=False)
    size: int = field(init=False, repr=False)
    members: tuple[Array, Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.size = 1
        while self.size < 8 and 32 * self.size <= self.n_features:
            self.size *= 2
        n_codes = self.K * self.L
        starts = np.zeros(n_codes + 1, dtype=np.int64)
        room = -(-n_codes // self.size) * self.n_features + 4 * n_codes
        members, signs = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
        kernels.list_members(self.n_features, self.size, self.key, starts, members, signs)
        self.members = (starts, members[: starts[-1]].copy(), signs[: starts[-1]].copy())

    def _hash(self, X: Array, out: Array) -> None:
        kernels.simhash(X, *self.members, self.K, out)

    def _hash_sparse(self, rows: tuple[Array, Array, Array], out: Array) -> None:
        kernels.simhash_sparse(*rows, self.K, self.size, self.key, out)

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely one sign of two vectors agrees, from their cosine."""
        return float(1 - np.arccos(np.clip(similarity, -1, 1)) / np.pi)


@dataclass(eq=False)
class MinHash(RandomFamily):
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

    def _hash(self, X: Array, out: Array) -> None:
        rows, columns = np.nonzero(X)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(X)))])
        self._hash_sparse((indptr, columns, X[rows, columns]), out)

    def _hash_sparse(self, rows: tuple[Array, Array, Array], out: Array) -> None:
        kernels.minhash(*rows, self.K, self.bits, self.key, out)

    def collision_probability(self, similarity: float) -> float:
        """Tell how likely one code of two sets agrees, from their Jaccard similarity."""
        return float(similarity + (1 - similarity) / 2**self.bits)
