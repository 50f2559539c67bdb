"""The slow obvious twins of the kernels: plain Python, to be read rather than run."""

from collections import Counter

from sklearn.utils import murmurhash3_32


def word_ngrams(text: str, n_min: int, n_max: int) -> list[str]:
    """List the runs of words of a text whose words are separated by single spaces.

    >>> word_ngrams("my card expired", 1, 2)
    ['my', 'card', 'expired', 'my card', 'card expired']
    """
    words = text.split(" ") if text else []
    return [
        " ".join(words[i : i + n])
        for n in range(n_min, n_max + 1)
        for i in range(len(words) - n + 1)
    ]


def char_ngrams(text: str, n_min: int, n_max: int) -> list[str]:
    """List the runs of characters within words, as scikit-learn's "char_wb" analyzer does.

    >>> char_ngrams("card", 3, 5)
    [' ca', 'car', 'ard', 'rd ', ' car', 'card', 'ard ', ' card', 'card ']

    A word that is shorter than an n-gram counts once, whole:

    >>> char_ngrams("a my", 3, 5)
    [' a ', ' my', 'my ', ' my ']
    >>> char_ngrams("a", 5, 6)
    [' a ']
    """
    ngrams = []
    for word in text.split(" ") if text else []:
        padded = f" {word} "
        for n in range(n_min, n_max + 1):
            ngrams += [padded[i : i + n] for i in range(max(1, len(padded) - n + 1))]
            if n >= len(padded):
                break
    return ngrams


def naive_hash_features(
    text: str,
    *,
    seed: int,
    words: tuple[int, int] | None = (1, 2),
    chars: tuple[int, int] | None = (3, 5),
) -> dict[int, int]:
    """Count the hashes of the n-grams of a normalised text; characters have the seed's complement.

    >>> sorted(naive_hash_features("a a", seed=0, chars=None).values())
    [1, 2]
    """
    counts: Counter[int] = Counter()
    for ngrams, limits, ngram_seed in [
        (word_ngrams, words, seed),
        (char_ngrams, chars, seed ^ 0xFFFFFFFF),
    ]:
        for ngram in ngrams(text, *limits) if limits else []:
            counts[murmurhash3_32(ngram.encode(), ngram_seed, positive=True)] += 1
    return dict(counts)
