"""The slow, obvious twins of the kernels of `udt.lsh`."""

from collections import Counter

import numpy as np

MASK = (1 << 64) - 1


def mix(key, a, b):
    h = (key + a * 0x9E3779B97F4A7C15 + b * 0xD1B54A32D192ED03) & MASK
    for _ in range(2):
        h = ((h ^ (h >> 32)) * 0xD6E8FEB86659FD93) & MASK
    return h ^ (h >> 32)


def scaled(bits, n):
    return ((bits >> 32) * n) >> 32


def densify(codes, key):
    """Replace each None by the code of the first full bin that its number hashes to."""
    n = len(codes)
    if all(code is None for code in codes):
        return [0] * n
    filled = list(codes)
    for b in range(n):
        if codes[b] is None:
            tried = [scaled(mix(key, b, attempt), n) for attempt in range(n)]
            tried += [(tried[-1] + i) % n for i in range(n)]
            filled[b] = next(codes[other] for other in tried if codes[other] is not None)
    return filled


def join(codes, K, bits):
    joined = []
    for table in range(len(codes) // K):
        number = 0
        for code in codes[table * K : table * K + K]:
            number = number * 2**bits + int(code)
        joined.append(number)
    return joined


def dwta(X, coordinates, K, key):
    out = []
    for x in X:
        bins = x[coordinates]
        codes = [int(np.argmax(values)) if values.any() else None for values in bins]
        out.append(join(densify(codes, key), K, 3))
    return np.array(out, dtype=np.uint32)


def simhash(X, K, L, size, key):
    n_features = X.shape[1]
    projections = np.zeros((K * L, n_features))
    for group in range(-(-K * L // size)):
        for j in range(n_features):
            bits = mix(key, j, group // 16) >> 4 * (group % 16)
            k = group * size + bits % size
            if k < K * L:
                projections[k, j] = 1 if bits & 8 else -1
    codes = X.astype(np.float64) @ projections.T > 0
    return np.array([join(row, K, 1) for row in codes], dtype=np.uint32)


def minhash(X, K, L, bits, key):
    out = []
    for x in X:
        least = [None] * (K * L)
        for j in np.flatnonzero(x):
            h = mix(key, int(j), 0)
            b, value = scaled(h, K * L), h & 0xFFFFFFFF
            least[b] = value if least[b] is None else min(least[b], value)
        codes = [None if value is None else value % 2**bits for value in least]
        out.append(join(densify(codes, key), K, bits))
    return np.array(out, dtype=np.uint32)


def buckets(codes, n_buckets):
    """Give each bucket's neurons of one table."""
    return [np.flatnonzero(codes == b).tolist() for b in range(n_buckets)]


def rank(codes, tables, cap, key, max_candidates):
    """Give neurons by falling agreement, of equals the first found first."""
    counts = Counter()
    for j, code in enumerate(codes):
        t = j % len(tables)
        bucket = tables[t][code]
        if len(bucket) > cap:
            first = scaled(mix(key, t, int(code)), len(bucket))
            bucket = (bucket[first:] + bucket[:first])[:cap]
        counts.update(bucket)
    return counts.most_common(max_candidates)  # equals in the order in which they came
