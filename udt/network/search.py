"""The largest logits of rows among classes that hash tables propose, for prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from udt.lsh.hashing import Hashing, make_tables
from udt.network import active
from udt.network.bfloat16 import as_float32
from udt.network.integers import floats
from udt.network.model import CSR, N_RANKED, ROWS_PER_BLOCK, SparseNetwork, largest
from udt.threads import Pool, blocks, single_threaded_blas

Array = NDArray[Any]


class Search:
    """Finds the (about) largest logits of rows without computing all of them.

    Parameters
    ----------
    network : SparseNetwork
        Whose weights must not change any more.
    probes : ndarray of shape (n, n_hidden), float32
        Hidden activations of some rows: they tell tables where to expect others.
    hashing : Hashing
    pool : Pool
        Threads that build the tables.
    """

    def __init__(self, network: SparseNetwork, probes: Array, hashing: Hashing, pool: Pool) -> None:
        self.network = network
        self.tables, self.n_active = make_tables(
            hashing, network.n_classes, network.n_hidden, key=0
        )
        output = floats(network.output) if network.is_quantized else as_float32(network.output)
        self.tables.rebuild(output, network.bias, pool, hidden=probes)

    def top_k(self, rows: CSR, k: int, pool: Pool) -> tuple[Array, Array]:
        """Give the ``k`` largest logits of each row, in falling order, and their classes.

        A row for which tables propose fewer than ``k`` classes is compared with all.

        Parameters
        ----------
        rows : tuple (indptr, indices, values)
        k : int
            At most ``n_active``.
        pool : Pool

        Returns
        -------
        classes : ndarray of shape (n, k), int64
        logits : ndarray of shape (n, k), float32
        """
        n = len(rows[0]) - 1
        classes = np.empty((n, k), dtype=np.int64)
        logits = np.empty((n, k), dtype=np.float32)
        network, crosses = self.network, self.network.running()["crosses"]

        def find(block: tuple[int, int]) -> None:
            first, last = block
            hidden = network.hidden(rows, first, last)
            found = self.tables.rank(self.tables.hash(hidden), self.n_active)
            here = slice(first, last)
            active.rank_classes(
                hidden, 0, last - first, found.ids, found.sizes, network.output, network.bias,
                rows[0][first : last + 1], rows[1], rows[2], network.cross_starts, crosses,
                N_RANKED, classes[here], logits[here],
            )  # fmt: skip
            for i in (first + np.flatnonzero(classes[here, -1] < 0)).tolist():
                with single_threaded_blas():
                    exact = network.logits(rows, i, i + 1)
                classes[i : i + 1], logits[i : i + 1] = largest(exact, k)

        pool.map(find, blocks(n, ROWS_PER_BLOCK))
        return classes, logits
