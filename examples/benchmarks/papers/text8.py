"""Text8 as SLIDE trained on it: word2vec, the words within 2 places from the word between them.

    python examples/benchmarks/papers/text8.py --data DIR

A row is a place in the text: its word is the one feature, the words around it are the labels. The
first 80 % of the text train, the rest tests. udt.datasets.fetch_text8 tells what DIR/text8/ may
hold; without --data it is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from protocol import (
    SLIDE_2021,
    SLIDE_NETWORK,
    SLIDE_NOTE,
    SLIDE_RATE,
    Line,
    Protocol,
    arguments,
    report,
    run_labels,
)
from scipy import sparse

from udt.datasets import fetch_text8

TRAIN_SHARE = 0.8
PROTOCOL = Protocol(
    "Text8 (word2vec), SLIDE's protocol",
    (
        Line("SLIDE 2021", "server CPU", "2 to 7 times faster than SLIDE 2020", "-"),
        Line("SLIDE 2021, bfloat16", "server CPU", "no faster than float32", "-"),
        Line("SLIDE 2021", "server CPU", "4 to 15 times faster than a GPU", "-"),
    ),
    SLIDE_2021,
    {**SLIDE_NETWORK, "hidden_size": 200, "max_iter": 1, "learning_rate_init": SLIDE_RATE},
    SLIDE_NOTE + " P@k is over the words around each test word.",
)


def word_numbers(text: list[str]) -> np.ndarray:
    """Number the words of a text by frequency, the most frequent first: int32 of shape (n,)."""
    number: dict[str, int] = {}
    words = np.array([number.setdefault(word, len(number)) for word in text], np.int32)
    order = np.argsort(-np.bincount(words), kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    return rank[words]


def word2vec_rows(
    words: np.ndarray, n_words: int, window: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return each place's word, and the different words up to `window` places from it.

    Both are indicator matrices of shape (n places, n_words).
    """
    n = len(words)
    X = sparse.csr_matrix((np.ones(n, np.float32), words, np.arange(n + 1)), (n, n_words))
    steps = [step for step in range(-window, window + 1) if step]
    around = np.arange(n)[:, None] + steps
    inside = (around >= 0) & (around < n)
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    labels = words[around[inside]]
    Y = sparse.csr_matrix((np.ones(len(labels), np.float32), labels, indptr), (n, n_words))
    Y.sum_duplicates()
    Y.data.fill(1)
    return X, Y


def main(argv: Sequence[str] | None = None) -> None:
    """Run the protocol and print the table."""
    parser = arguments(__doc__ or "", PROTOCOL)
    parser.add_argument("--hidden-size", type=int, default=PROTOCOL.settings["hidden_size"])
    parser.add_argument("--window", type=int, default=2)
    parser.add_argument("--words", type=int, help="only so many words from the start of the text")
    args = parser.parse_args(argv)
    words = word_numbers(fetch_text8(data_home=args.data).split()[: args.words])
    n_words = int(words.max()) + 1
    n_train = int(TRAIN_SHARE * len(words))
    X, Y = word2vec_rows(words[:n_train], n_words, args.window)
    X_test, Y_test = word2vec_rows(words[n_train:], n_words, args.window)
    line = run_labels(PROTOCOL, args, X, Y, X_test, Y_test)
    report(PROTOCOL, line, f"text8 ({len(words):,} words, {n_words:,} different)")


if __name__ == "__main__":
    main()
