"""The slow obvious twins of the kernels: plain Python, to be read rather than run."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from sklearn.utils import murmurhash3_32

_WORD = re.compile(r"[a-zA-Z0-9_\x80-\U0010ffff]+|[!?$%&@#*+/:;()<>=]")


def split_words(text: str) -> list[str]:
    """List the words of a normalised text, and the punctuation marks that count as words.

    >>> split_words("Don't pay 5%... ok?")
    ['don', 't', 'pay', '5', '%', 'ok', '?']
    """
    lower = {ord(c): c.lower() for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
    return [word.translate(lower) for word in _WORD.findall(text)]


def word_ngrams(words: Sequence[str], n_min: int, n_max: int) -> list[str]:
    """List the runs of words.

    >>> word_ngrams(["my", "card", "expired"], 1, 2)
    ['my', 'card', 'expired', 'my card', 'card expired']
    """
    return [
        " ".join(words[i : i + n])
        for n in range(n_min, n_max + 1)
        for i in range(len(words) - n + 1)
    ]


def char_ngrams(words: Sequence[str], n_min: int, n_max: int) -> list[str]:
    """List the runs of characters within words, as scikit-learn's "char_wb" analyzer does.

    >>> char_ngrams(["card"], 3, 5)
    [' ca', 'car', 'ard', 'rd ', ' car', 'card', 'ard ', ' card', 'card ']

    A word that is shorter than an n-gram counts once, whole; punctuation marks do not count:

    >>> char_ngrams(["a", "my", "?"], 3, 5)
    [' a ', ' my', 'my ', ' my ']
    >>> char_ngrams(["a"], 5, 6)
    [' a ']
    """
    ngrams = []
    for word in words:
        if word in "!?$%&@#*+/:;()<>=":
            continue
        padded = f" {word} "
        for n in range(n_min, n_max + 1):
            ngrams += [padded[i : i + n] for i in range(max(1, len(padded) - n + 1))]
            if n >= len(padded):
                break
    return ngrams


def hash_ngrams(ngrams: Sequence[str], seed: int) -> list[int]:
    """Hash each n-gram's UTF-8."""
    return [murmurhash3_32(ngram.encode(), seed, positive=True) for ngram in ngrams]


def buckets(
    text: str,
    *,
    words: tuple[int, int] | None,
    chars: tuple[int, int] | None,
    seed: int,
    n_buckets: int,
) -> tuple[list[int], list[int]]:
    """List the buckets of a normalised text: of word n-grams, and of character n-grams.

    The latter have the seed's complement.

    >>> buckets("a a", words=(1, 1), chars=None, seed=0, n_buckets=256)
    ([178, 178], [])
    """
    found = split_words(text)
    of_words = hash_ngrams(word_ngrams(found, *words), seed) if words else []
    of_chars = hash_ngrams(char_ngrams(found, *chars), seed ^ 0xFFFFFFFF) if chars else []
    return [h % n_buckets for h in of_words], [h % n_buckets for h in of_chars]


def document_frequencies(rows: Sequence[Sequence[int]]) -> Counter[int]:
    """Count in how many rows each bucket occurs.

    >>> document_frequencies([[1, 1, 2], [2]])
    Counter({2: 2, 1: 1})
    """
    return Counter(bucket for row in rows for bucket in set(row))


def known_counts(
    buckets: Sequence[int], ids: dict[int, int], sublinear: bool
) -> list[tuple[int, float]]:
    """Count the known buckets of a part of a row, in order of appearance.

    >>> known_counts([7, 7, 8, 9], {7: 0, 8: 1}, sublinear=False)
    [(0, 2.0), (1, 1.0)]
    """
    return [
        (ids[bucket], 1 + math.log(count) if sublinear else float(count))
        for bucket, count in Counter(buckets).items()
        if bucket in ids
    ]


def scale(
    part: Sequence[tuple[int, float]], weights: Sequence[float], norm: float
) -> list[tuple[int, float]]:
    """Multiply a part of a row by its columns' weights, and scale it to a length.

    >>> scale([(0, 1.0), (1, 2.0)], weights=[3.0, 2.0], norm=10.0)
    [(0, 6.0), (1, 8.0)]
    """
    weighed = [(column, value * weights[column]) for column, value in part]
    length = math.sqrt(sum(value * value for _, value in weighed)) or 1.0
    return [(column, value * norm / length) for column, value in weighed]


def information(
    rows: Sequence[Sequence[int]],
    classes: Sequence[Sequence[int]],
    n_features: int,
    smoothing: float,
    weights: Sequence[float] | None = None,
) -> list[float]:
    """Give the square root of each feature's Kullback-Leibler divergence from the prior.

    >>> information([[0], [0], [1]], [[0], [0], [1]], n_features=2, smoothing=0.0)
    [0.636..., 1.048...]
    """
    weights = weights or [1.0] * len(rows)
    pairs = [
        (row, c, w) for row, of_row, w in zip(rows, classes, weights, strict=True) for c in of_row
    ]
    n_classes = max(c for _, c, _ in pairs) + 1

    def share(held: Sequence[tuple[Sequence[int], int, float]], c: int, prior: float) -> float:
        of_class = math.fsum(w for _, held_class, w in held if held_class == c)
        total = math.fsum(w for _, _, w in held) + smoothing
        return (of_class + smoothing * prior) / total

    total = math.fsum(w for _, _, w in pairs)
    prior = [math.fsum(w for _, of, w in pairs if of == c) / total for c in range(n_classes)]
    roots = []
    for feature in range(n_features):
        held = [pair for pair in pairs if feature in pair[0]]
        shares = [(share(held, c, prior[c]), prior[c]) for c in range(n_classes)]
        divergence = sum(p * math.log(p / q) for p, q in shares if p > 0)
        roots.append(math.sqrt(max(divergence, 0.0)))
    return roots
