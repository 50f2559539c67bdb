"""Which tables to make: what was asked for, and what sizing says of the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from udt.lsh.sizing import LEAF_SIZE, count_active, size_tables, size_tree

if TYPE_CHECKING:
    from udt.lsh.tables import HashTables

#: Coordinates of the space that random functions hash, if there are as many.
RANDOM_FEATURES = 32


@dataclass(frozen=True)
class Hashing:
    """Sizes of hash tables, where they shall not follow the number of neurons.

    Parameters
    ----------
    n_active : int or None
        Neurons that tables propose. None takes `count_active`.
    n_hashes, n_tables : int or None
        Codes a table, and tables, of a random family. None takes `size_tables`.
    family : {"tree", "dwta", "simhash"} or None
        What hashes: one table has the leaves of a `CentreTree`, or several have the buckets of
        `DWTA` or `SimHash`. None takes "dwta" with ``n_hashes`` or ``n_tables``, else "tree".
    bucket_size : int or None
        Neurons a leaf of the tree, in the mean; what one bucket of a random family may add to the
        candidates. None takes `size_tree` or `size_tables`.
    """

    n_active: int | None = None
    n_hashes: int | None = None
    n_tables: int | None = None
    family: str | None = None
    bucket_size: int | None = None

    @property
    def is_random(self) -> bool:
        """Whether the family looks at no data."""
        if self.family is None:
            return self.n_hashes is not None or self.n_tables is not None
        return self.family != "tree"


def make_tables(
    hashing: Hashing, n_neurons: int, n_weights: int, key: int
) -> tuple[HashTables, int]:
    """Give empty tables for neurons of so many weights, and how many of these to ask them for.

    Raises
    ------
    ValueError
        If there is not enough memory; the message has the estimate.
    """
    from udt.lsh.families import DWTA, SimHash
    from udt.lsh.tables import HashTables
    from udt.lsh.trees import CentreTree

    n_active = min(hashing.n_active or count_active(n_neurons), n_neurons)
    if not hashing.is_random:
        size = size_tree(n_neurons, n_weights, n_active, hashing.bucket_size or LEAF_SIZE)
        tree = CentreTree(
            size.n_features, n_neurons, size.n_probes, leaf_size=size.leaf_size, key=key
        )
        # Twice the branches that have as many leaves: all of them where all neurons are asked for.
        enough = math.ceil(2 * size.n_probes / tree.n_branches)
        tree = replace(tree, beam=max(tree.beam, min(tree.n_branches, enough)))
        return HashTables(tree, n_neurons, size.bucket_cap), n_active
    make, bits = (SimHash, 1) if hashing.family == "simhash" else (DWTA, 3)
    sizes = size_tables(n_neurons, n_active, bits)
    family = make(
        min(RANDOM_FEATURES, n_weights + 1),
        hashing.n_hashes or sizes.K,
        hashing.n_tables or sizes.L,
        key,
    )
    try:
        return HashTables(family, n_neurons, hashing.bucket_size or sizes.bucket_cap), n_active
    except ValueError as error:
        raise ValueError(f"n_hashes={family.K}, n_tables={family.L}: {error}") from None
