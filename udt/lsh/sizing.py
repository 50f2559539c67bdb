"""How many neurons to activate, and tables to find them: closed forms, where tuning starts."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

#: Entries that random tables look at for each candidate that they give.
VISITS = 3
#: Neurons a leaf of a tree, in the mean.
LEAF_SIZE = 8
#: Time to rebuild a neuron's part of a tree, over the time to train one active neuron of a row.
REBUILD_COST = 20


class TableSizes(NamedTuple):
    """What tables of a random family are made with; ``memory_bytes`` is what they take."""

    K: int
    L: int
    bucket_cap: int
    n_active: int
    memory_bytes: int


class TreeSizes(NamedTuple):
    """What a `CentreTree` is made with; ``memory_bytes`` is what it and its table take."""

    n_features: int
    leaf_size: int
    n_probes: int
    bucket_cap: int
    n_active: int
    memory_bytes: int


def count_active(n_neurons: int) -> int:
    r"""Tell how many neurons to activate for one row: :math:`4 \sqrt n`, at least 64.

    A tree of :math:`n / 8` leaves below :math:`\sqrt{n / 8}` branches costs a row that many
    products for the branches and sixteen times as many for the leaves below the best of them:
    :math:`17 \sqrt{n / 8} = 6 \sqrt n`. So with :math:`4 \sqrt n` active neurons, finding them
    costs about as many (shorter) products as using them, at any width. 31,419 labels get 709,
    670,091 get half a per cent of all.

    Examples
    --------
    >>> [count_active(n) for n in (50, 1_000, 31_419, 670_091)]
    [50, 126, 709, 3274]
    """
    _check(n_neurons=n_neurons)
    return min(n_neurons, max(64, round(4 * math.sqrt(n_neurons))))


def size_tables(
    n_neurons: int, n_active: int | None = None, bits: int = 3, max_tables: int = 50
) -> TableSizes:
    r"""Size tables of a random family.

    Let a code of ``bits`` bits agree with probability :math:`p` for two vectors as near as those
    to be found and :math:`p_0 = 2^{-bits}` for vectors that have nothing in common. Then

    * a query sees about :math:`v = L n p_0^K` entries (others are few),
    * it sees one that is near with probability :math:`1 - (1 - p^K)^L \approx 1 - e^{-L p^K}`,
    * ranking by agreement needs :math:`v` a few times the candidates that are asked for.

    With :math:`v` given, :math:`L p^K = v / n \cdot (p / p_0)^K` rises with :math:`K`: the more
    codes the better, as long as there may be :math:`L = v p_0^{-K} / n` tables. Each table costs
    ``K`` codes and two lines of memory at random, so that ``max_tables`` is what decides:
    :math:`K = \log(L_{max} n / v) / \log(1 / p_0)`, rounded, and then :math:`L` from
    :math:`K`. A bucket may add four times the mean :math:`v / L`.

    Parameters
    ----------
    n_neurons : int
    n_active : int, default=None
        Candidates that are asked for; None for `count_active`.
    bits : int, default=3
        Bits of a code: 3 for `DWTA`, 1 for `SimHash`.
    max_tables : int, default=50
        About how many tables a query may cost; rounding ``K`` may ask for more or fewer.

    Examples
    --------
    >>> size_tables(670_091)
    TableSizes(K=4, L=60, bucket_cap=655, n_active=3274, memory_bytes=161805120)
    """
    _check(n_neurons=n_neurons, bits=bits, max_tables=max_tables)
    n_active = count_active(n_neurons) if n_active is None else n_active
    _check(n_active=n_active)
    visits = min(VISITS * n_active, n_neurons)
    K = max(1, min(30 // bits, round(math.log2(max_tables * n_neurons / visits) / bits)))
    n_buckets = 1 << bits * K
    L = max(1, min(255, round(visits * n_buckets / n_neurons)))
    cap = max(8, math.ceil(4 * visits / L))
    memory = memory_bytes(n_neurons, n_buckets, L)
    return TableSizes(K, L, cap, min(n_active, n_neurons), memory)


def size_tree(
    n_neurons: int, n_weights: int, n_active: int | None = None, leaf_size: int = LEAF_SIZE
) -> TreeSizes:
    r"""Size a tree of k-means.

    Leaves of 8 neurons below sixteen branches, in 64 coordinates: fewer coordinates or larger
    leaves cost less time but find less. On 10,000 labels of synthetic data 400 candidates hold 0.45
    of the five largest products with leaves of 16 in 16 coordinates, 0.63 in 64, and 0.72 with
    leaves of 4; more than 64 coordinates find no more. A vector looks in enough leaves for twice as
    many neurons as are asked for, because leaves differ in size.

    Parameters
    ----------
    n_neurons : int
    n_weights : int
        Weights of a neuron, without its bias.
    n_active : int, default=None
        Candidates that are asked for; None for `count_active`.
    leaf_size : int, default=8
        Neurons a leaf, in the mean.

    Examples
    --------
    >>> size_tree(670_091, 128)
    TreeSizes(n_features=64, leaf_size=8, n_probes=819, bucket_cap=64, n_active=3274, ...)
    """
    _check(n_neurons=n_neurons, n_weights=n_weights, leaf_size=leaf_size)
    n_active = count_active(n_neurons) if n_active is None else n_active
    _check(n_active=n_active)
    n_features = min(64, n_weights + 1)
    n_branches = max(1, round(math.sqrt(n_neurons / leaf_size)))
    n_buckets = n_neurons // leaf_size + n_branches + 1
    n_probes = min(n_buckets, math.ceil(2 * n_active / leaf_size))
    memory = memory_bytes(n_neurons, n_buckets, 1) + 4 * n_features * (n_buckets + n_branches)
    return TreeSizes(
        n_features, leaf_size, n_probes, 8 * leaf_size, min(n_active, n_neurons), memory
    )


def memory_bytes(n_neurons: int, n_buckets: int, L: int) -> int:
    """Tell how much memory tables take: four bytes for each neuron and bucket of each.

    Examples
    --------
    >>> memory_bytes(670_091, 2**15, 50) // 2**20
    134
    """
    return 4 * L * (n_neurons + n_buckets + 1)


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


def rows_between_rebuilds(n_neurons: int, n_active: int, share: float = 0.1) -> int:
    r"""Tell how many rows to train on before the next rebuild, for rebuilds to take that share.

    A rebuild costs :math:`b n`, a row :math:`a n_{active}`, so :math:`r` rows and a rebuild have
    the share :math:`s` for :math:`r = b n / (s a n_{active})`; :math:`b / a` is about 20.

    Examples
    --------
    >>> rows_between_rebuilds(670_091, 3274)
    40934
    """
    _check(n_neurons=n_neurons, n_active=n_active)
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: give more than 0 and at most 1.")
    return max(1, round(REBUILD_COST * n_neurons / (share * n_active)))


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}={value}: give at least 1.")
