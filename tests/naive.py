"""The slow obvious twins of the kernels: plain Python, to be read rather than run."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date

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


def date_parts(seconds: float) -> list[float]:
    """Write a date, in seconds since 1970, as the numbers that it stands for.

    >>> date_parts(-1.0)  # the last second of 1969, a Wednesday
    [-1.0, 12.0, 31.0, 2.0, 86399.0]
    """
    if math.isnan(seconds):
        return [math.nan] * 5
    days = math.floor(seconds / 86400)
    day = date.fromordinal(date(1970, 1, 1).toordinal() + days)
    second = math.floor(seconds - 86400 * days)
    return [float(n) for n in (seconds, day.month, day.day, day.weekday(), second)]


def encode_number(
    x: float, ladders: Sequence[Sequence[float]], firsts: Sequence[int]
) -> list[tuple[int, float]]:
    """List the entries of a number: ladders, rank, exact value; or that it is missing.

    ``ladders`` are the three ladders and the exact values; ``firsts`` the first id of each of
    these, of the missing number and of the rank.

    >>> encode_number(2.5, [[1.0, 2.0, 3.0], [], [], []], [7, -1, -1, -1, 1, 0])
    [(8, 0.5), (9, 0.5), (0, 2.598...)]
    >>> encode_number(math.nan, [[1.0], [], [], []], [7, -1, -1, -1, 1, 0])
    [(1, 1.0)]
    """
    if math.isnan(x):
        return [(firsts[4], 1.0)] if firsts[4] >= 0 else []
    entries = []
    position = 0.5
    for ladder, first in zip(ladders[:3], firsts[:3], strict=True):
        if not ladder:
            continue
        below = max([i for i, knot in enumerate(ladder) if knot <= x], default=0)
        share = 0.0
        if ladder[0] < x < ladder[-1]:
            share = (x - ladder[below]) / (ladder[below + 1] - ladder[below])
        entries.append((first + below, 1 - share))
        if share > 0:
            entries.append((first + below + 1, share))
        if len(ladder) > 1:
            position = (below + share) / (len(ladder) - 1)
    if firsts[5] >= 0:
        entries.append((firsts[5], 3 * math.sqrt(3) * (2 * position - 1)))
    if x in ladders[3]:
        entries.append((firsts[3] + ladders[3].index(x), 1.0))
    return entries


def crossed_number(x: float, ladders: Sequence[Sequence[float]], seed: int, level: int) -> int:
    """Hash the knot below a number, on the ladder of a level or, if there is none, the first.

    >>> crossed_number(2.5, [[1.0, 2.0], []], 7, 0) == crossed_number(2.0, [[1.0, 2.0], []], 7, 1)
    True
    """
    if not ladders[level]:
        level = 0
    knots = [i for i, knot in enumerate(ladders[level]) if knot <= x]
    place = 0 if math.isnan(x) else 1 + max(knots, default=0)
    return int(murmurhash3_32((2 * place + level).to_bytes(4, "little"), seed, positive=True))


def encode_row(
    numbers: Sequence[float],
    codes: Sequence[int],
    lists: Sequence[Sequence[int]],
    no_items: Sequence[int],
    ladders: Sequence[Sequence[Sequence[float]]],
    firsts: Sequence[Sequence[int]],
    ids: dict[int, int],
    seeds: Sequence[int] = (),
    crosses: Sequence[tuple[int, int, int]] = (),
) -> list[tuple[int, float]]:
    """List the entries of one row of numbers, categories, lists of them and crosses.

    >>> encode_row([], [5], [[5, 6], []], [7, 8], [], [], {5: 0, 8: 1})
    [(0, 1.5), (0, 1.06...), (1, 1.5)]
    """
    entries = []
    for x, steps, of_number in zip(numbers, ladders, firsts, strict=True):
        entries += encode_number(x, steps, of_number)
    entries += [(ids[code], 1.5) for code in codes if code in ids]
    for items, empty in zip(lists, no_items, strict=True):
        found = items or [empty]
        entries += [(ids[code], 1.5 / math.sqrt(len(found))) for code in found if code in ids]
    for a, b, level in crosses:
        parts = [
            codes[part - len(numbers)]
            if part >= len(numbers)
            else crossed_number(numbers[part], ladders[part], seeds[part], level)
            for part in (a, b)
        ]
        code = murmurhash3_32(parts[0].to_bytes(4, "little"), parts[1], positive=True)
        entries += [(ids[code], 2.25 / math.sqrt(len(crosses)))] if code in ids else []
    return entries
