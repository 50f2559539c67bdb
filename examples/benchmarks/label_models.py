"""udt and its peers with many labels a row: one binary linear model a label, usual settings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import Contestant, Job, Model
from datasets import take
from joblib import dump, parallel_config
from models import udt
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

VALIDATION = 0.1
MOST_WEIGHTS = 2**28  # 2 GB; beyond, n-grams that occur once are left out


class OneVsRest:
    """A binary estimator for each label, over TF-IDF of words 1-2 if the rows are texts.

    A label is said where its decision is above 0, or above the one `threshold` with the best
    micro-F1 on a held-out tenth of train, by a model that has not seen it; all rows train the model
    that is judged.
    """

    def __init__(self, job: Job, estimator: Any, *, tuned: bool = False) -> None:
        self.job, self.estimator, self.tuned = job, estimator, tuned

    def fit(self, X: Any, Y: sparse.csr_matrix) -> None:
        self.threshold = 0.0
        if self.tuned:
            rows = np.arange(Y.shape[0])
            learn, judge = train_test_split(rows, test_size=VALIDATION, random_state=self.job.seed)
            self._learn(take(X, learn), Y[learn])
            self.threshold = best_threshold(self.scores(take(X, judge)), Y[judge])
        self._learn(X, Y)

    def _learn(self, X: Any, Y: sparse.csr_matrix) -> None:
        self.words = None
        if isinstance(X, list):
            self.words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            features = self.words.fit_transform(X)
            if features.shape[1] * Y.shape[1] > MOST_WEIGHTS:
                self.words.set_params(min_df=2)
                features = self.words.fit_transform(X)
            X = features
        # A label that no row has would be scored 0, above many a tuned threshold: it is never said.
        self.absent = np.asarray(Y.sum(axis=0)).ravel() == 0
        # liblinear releases the GIL.
        with parallel_config("threading"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Label .* is present in all training examples")
            one_vs_rest = OneVsRestClassifier(self.estimator, n_jobs=self.job.threads)
            self.model = one_vs_rest.fit(X, Y)

    def scores(self, X: Any) -> np.ndarray:
        """Return decisions of shape (n, L)."""
        scores = self.model.decision_function(self.words.transform(X) if self.words else X)
        scores[:, self.absent] = -np.inf
        return scores

    def predict(self, X: Any) -> sparse.csr_matrix:
        """Return an indicator matrix of shape (n, L)."""
        return sparse.csr_matrix(self.scores(X) > self.threshold)

    def predict_one(self, row: Any) -> object:
        return self.predict([row] if isinstance(row, str) else row)

    def save(self, path: Path) -> None:
        dump((self.words, self.model), path)


def best_threshold(scores: np.ndarray, Y: sparse.csr_matrix) -> float:
    """Return the threshold with the best micro-F1, between two scores."""
    order = np.argsort(-scores, axis=None)
    ranked = scores.ravel()[order]
    hits = np.cumsum(Y.toarray().ravel()[order].astype(bool))
    said = np.arange(1, len(order) + 1)
    best = int(np.argmax(2 * hits / (said + hits[-1])))
    return float(ranked[best : best + 2].mean())


def svc(job: Job, *, tuned: bool = False) -> Model:
    """LinearSVC at its defaults."""
    return OneVsRest(job, LinearSVC(random_state=0), tuned=tuned)


def logistic(job: Job, *, tuned: bool = False) -> Model:
    """Logistic regression at its defaults, solved as liblinear does."""
    return OneVsRest(job, LogisticRegression(solver="liblinear"), tuned=tuned)


MODELS = {
    "udt": Contestant("udt", udt, seeded=True),
    "udt_tuned": Contestant(
        "udt, tuned threshold", lambda job: udt(job, threshold="tuned"), seeded=True
    ),
    "svc": Contestant("LinearSVC", svc),
    "svc_tuned": Contestant(
        "LinearSVC, tuned threshold", lambda job: svc(job, tuned=True), seeded=True
    ),
    "logistic": Contestant("LogisticRegression", logistic),
    "logistic_tuned": Contestant(
        "LogisticRegression, tuned threshold", lambda job: logistic(job, tuned=True), seeded=True
    ),
}

DEFAULT_MODELS = tuple(MODELS)
