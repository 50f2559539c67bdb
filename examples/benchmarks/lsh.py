"""Which neurons hashing finds, and at what cost, on one thread.

    python examples/benchmarks/lsh.py --neurons 6000 67000 670000

For each problem and number of neurons: the share of a vector's 5 and 50 largest inner products
among as many candidates as `udt.lsh.sizing.count_active` says, how many entries of tables were
looked at for them, the time of a query (hashing and ranking), the time to build, and the memory of
the tables. BOLT's rule is the one of its published source, on raw vectors; its candidates are
ranked by agreement here, where it cuts them arbitrarily. The scan computes all products.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import NamedTuple

import numpy as np

from udt.lsh.families import DWTA, SimHash
from udt.lsh.sizing import count_active, size_tables, size_tree
from udt.lsh.tables import HashTables
from udt.lsh.trees import CentreTree
from udt.threads import Pool, single_threaded_blas

WIDTH = 128
HEADER = "  K    L   visited  found   @top1  @top5 @top50  query us  build s     MiB"
N_QUERIES = 256


class Problem(NamedTuple):
    weights: np.ndarray
    bias: np.ndarray
    hidden: np.ndarray  # what tables are built with
    queries: np.ndarray


def planted(n: int, seed: int) -> Problem:
    """Gaussian neurons in groups of ten near neighbours, and vectors near those of one group."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(math.ceil(n / 10), WIDTH))
    weights = centres[np.arange(n) // 10] + 0.5 * random.normal(size=(n, WIDTH))
    chosen = centres[random.integers(0, len(centres), 5 * N_QUERIES)]
    vectors = (chosen + 0.5 * random.normal(size=chosen.shape)).astype(np.float32)
    bias = np.zeros(n, dtype=np.float32)
    return Problem(weights.astype(np.float32), bias, vectors[N_QUERIES:], vectors[:N_QUERIES])


def clusters(n: int, seed: int) -> Problem:
    """Clusters of neurons with power-law norms and biases; vectors share one direction."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(math.ceil(n / 50), WIDTH))
    weights = centres[random.integers(0, len(centres), n)]
    weights = weights + 0.8 * random.normal(size=(n, WIDTH))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    ranks = np.arange(1, n + 1)
    wanted = weights[random.integers(0, n, 5 * N_QUERIES)]
    noise = 0.6 * random.normal(size=wanted.shape)
    common = random.choice([-1.0, 1.0], WIDTH)
    vectors = np.tanh(common + 7 * wanted + noise).astype(np.float32)
    weights *= 8 * ranks[:, np.newaxis] ** -0.15
    bias = (-0.5 * np.log(ranks)).astype(np.float32)
    return Problem(weights.astype(np.float32), bias, vectors[N_QUERIES:], vectors[:N_QUERIES])


PROBLEMS = {"planted": planted, "clusters": clusters}


class Method(NamedTuple):
    """Tables, and whether they are built in a `BalancedSpace`."""

    tables: HashTables
    is_balanced: bool = True


def bolt(n: int, n_active: int) -> Method:
    """K, L and the size of reservoirs from the width alone."""
    del n_active
    steps = [(450, 1), (900, 0.2), (1800, 0.1), (4000, 0.05), (10_000, 0.02), (20_000, 0.01)]
    sparsity = next((share for limit, share in steps if n < limit), 0.005)
    K = min(max(round(math.log2(128 / sparsity) / 3), 2), 8)
    L = max(1, round(sparsity * 2 ** (3 * K)))
    cap = round(4 * max(n / 2 ** (3 * K), 1))
    return Method(HashTables(DWTA(WIDTH, K, L), n, bucket_cap=cap), is_balanced=False)


def raw_dwta(n: int, n_active: int) -> Method:
    K, L, cap, _, _ = size_tables(n, n_active)
    return Method(HashTables(DWTA(WIDTH, K, L), n, bucket_cap=cap), is_balanced=False)


def dwta(n: int, n_active: int) -> Method:
    K, L, cap, _, _ = size_tables(n, n_active)
    return Method(HashTables(DWTA(32, K, L), n, bucket_cap=cap))


def simhash(n: int, n_active: int) -> Method:
    K, L, cap, _, _ = size_tables(n, n_active, bits=1)
    return Method(HashTables(SimHash(16, K, L), n, bucket_cap=cap))


def tree(n: int, n_active: int) -> Method:
    rank, leaf_size, n_probes, cap, _, _ = size_tree(n, WIDTH, n_active)
    return Method(HashTables(CentreTree(rank, n, n_probes, leaf_size), n, bucket_cap=cap))


METHODS = {
    "BOLT's rule, DWTA, raw": bolt,
    "sized, DWTA, raw": raw_dwta,
    "sized, DWTA, balanced": dwta,
    "sized, SimHash, balanced": simhash,
    "sized, tree, balanced": tree,
}


def scan(problem: Problem, k: int) -> tuple[np.ndarray, float]:
    """Give the ``k`` largest inner products of each query, and seconds a query, one at a time."""
    top = np.empty((N_QUERIES, k), dtype=np.int64)
    started = time.perf_counter()
    for i, query in enumerate(problem.queries):
        scores = problem.weights @ query
        scores += problem.bias
        best = np.argpartition(scores, -k)[-k:]
        top[i] = best[np.argsort(-scores[best])]
    return top, (time.perf_counter() - started) / N_QUERIES


def count_visits(tables: HashTables, codes: np.ndarray, n_found: float) -> float:
    """Count the entries that a query looks at: in one table, only as many as it returns."""
    if len(tables.offsets) == 1:
        return n_found
    number = np.arange(codes.shape[1])
    sizes = tables.offsets[number, codes + 1] - tables.offsets[number, codes]
    return float(np.minimum(sizes, tables.bucket_cap).sum(axis=1).mean())


def run(problem: Problem, method: Method, n_active: int, top: np.ndarray) -> str:
    weights, bias, hidden, queries = problem
    tables = method.tables

    def build(pool: Pool) -> None:
        if method.is_balanced:
            tables.rebuild(weights, bias, pool, hidden=hidden)
        else:
            tables.fill(weights, pool)

    hashing = tables.hash if method.is_balanced else tables.family.hash
    with Pool(1) as pool:
        build(pool)
        tables.rank(hashing(queries[:9]), n_active)  # all is compiled
        started = time.perf_counter()
        build(pool)
        built = time.perf_counter()
        codes = hashing(queries)
        found = tables.rank(codes, n_active)
        done = time.perf_counter()
    recall = [
        np.mean([np.isin(top[i, :k], found.ids[i, :n]).mean() for i, n in enumerate(found.sizes)])
        for k in (1, 5, 50)
    ]
    memory = tables.offsets.nbytes + tables.entries.nbytes
    n_found = found.sizes.mean()
    visited = count_visits(tables, codes, n_found)
    K = getattr(tables.family, "K", 1)
    return (
        f"{K:3d} {len(tables.offsets):4d} {visited:9.0f} {n_found:6.0f}"
        + "".join(f" {share:6.3f}" for share in recall)
        + f" {(done - built) / len(queries) * 1e6:9.1f}"
        + f" {built - started:8.2f} {memory / 2**20:7.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--neurons", type=int, nargs="+", default=[6_000, 67_000])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--active", type=int, help="candidates a query, for all methods")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.problems:
        for n in options.neurons:
            problem = PROBLEMS[name](n, options.seed)
            n_active = options.active or count_active(n)
            with single_threaded_blas():
                top, seconds = scan(problem, 50)
            print(f"\n{name}, {n:,} neurons, {n_active:,} candidates; ", end="")
            print(f"a scan takes {seconds * 1e6:,.0f} us")
            print(f"{'':26s}{HEADER}")
            for title, make in METHODS.items():
                print(f"{title:26s}{run(problem, make(n, n_active), n_active, top)}", flush=True)


if __name__ == "__main__":
    main()
