"""A small problem that a classifier learns at once, in text and in ready features."""

import numpy as np
import scipy.sparse as sp

from udt import UDTClassifier

TEXTS = [
    "my card is lost",
    "I lost the card",
    "top up failed",
    "my top up was declined",
    "where is the PIN?",
    "change my PIN please",
] * 6
LABELS = ["lost", "lost", "top-up", "top-up", "pin", "pin"] * 6
TWO = ["card" if "card" in text else "other" for text in TEXTS]


def make(**parameters):
    """Make a classifier that trains in milliseconds."""
    return UDTClassifier(**{"random_state": 0, "max_iter": 4, "batch_size": 8} | parameters)


def make_csr(seed=0, n=40, n_features=30):
    """Make sparse features and two classes that follow them."""
    X = sp.random(n, n_features, 0.3, format="csr", dtype=np.float32, random_state=seed)
    return X, np.where(np.asarray(X[:, :5].sum(axis=1)).ravel() > 0.7, "high", "low")
