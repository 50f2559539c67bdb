"""The peers on tables, at their defaults, each given its columns as its manual asks for.

They are told more than udt: which columns are text, and which strings hold numbers or dates, which
they get parsed. All of that is part of their times, from the same data frame to a fitted model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmark import Contestant, Job, Model
from datasets import TableSet
from joblib import dump, parallel_config
from models import FastText, VowpalWabbit, encode, plain_words, udt
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

CATBOOST_SECONDS = 600
UNITS = {"k": 1e3, "M": 1e6}
NAMESPACES = "abcdefgh"  # for texts in VW


def parsed(value: object) -> float:
    """Read a number that is written for people; NaN if there is none."""
    if not isinstance(value, str):
        return np.nan
    digits = value.translate({ord(mark): None for mark in "$,+ "})
    unit = UNITS.get(digits[-1:], 1.0)
    try:
        return float(digits.rstrip("kM")) * unit
    except ValueError:
        return np.nan


class Columns:
    """The columns of a table by kind, read as the peers are told to; kinds are those of `fit`."""

    def __init__(self, source: TableSet) -> None:
        self.source = source

    def read(self, X: pd.DataFrame) -> pd.DataFrame:
        """Parse numbers and dates; missing text is empty; flags are 0 and 1."""
        X = X.copy(deep=False)
        for name in self.source.numbers:
            X[name] = X[name].map(parsed).astype(float)
        for name in self.source.dates:
            days = pd.to_datetime(X[name], utc=True, errors="coerce")
            X[name] = (days - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
        for name in self.source.text:
            X[name] = X[name].fillna("")
        return X.astype({name: int for name in X if X[name].dtype == bool})

    def fit(self, X: pd.DataFrame) -> pd.DataFrame:
        """Learn which columns are what, and read them."""
        X = self.read(X)
        self.text = list(self.source.text)
        others = [name for name in X if name not in self.text]
        self.numbers = [name for name in others if pd.api.types.is_numeric_dtype(X[name])]
        self.categories = [name for name in others if name not in self.numbers]
        return X


class TablePeer:
    """An estimator behind `Columns`, with classes as whole numbers."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.columns = Columns(job.source)

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> None:
        self.classes, codes = encode(y)
        self.learn(self.columns.fit(X), np.asarray(codes))

    def learn(self, X: pd.DataFrame, codes: np.ndarray) -> None:
        """Fit `self.estimator` on columns that have been read."""
        raise NotImplementedError

    def prepared(self, X: pd.DataFrame) -> Any:
        """Return columns that have been read as the estimator takes them."""
        return X

    def scores(self, X: pd.DataFrame) -> np.ndarray:
        return self.estimator.predict_proba(self.prepared(self.columns.read(X)))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.classes[self.scores(X).argmax(axis=1)]

    def predict_one(self, row: pd.DataFrame) -> object:
        return self.predict(row)[0]

    def save(self, path: Path) -> None:
        dump(self.estimator, path)


class Trees(TablePeer):
    """LightGBM, XGBoost or HistGradientBoosting without the text, categories as pandas dtypes.

    Categories unseen in fit are missing. With `most`, columns of more categories than that are
    ordinal numbers: what scikit-learn's manual advises, for HistGradientBoosting takes 255.
    """

    def __init__(self, job: Job, estimator: Any, most: int | None = None) -> None:
        super().__init__(job)
        self.estimator, self.most = estimator, most

    def learn(self, X: pd.DataFrame, codes: np.ndarray) -> None:
        names = self.columns.categories
        self.dtypes = {n: pd.CategoricalDtype(sorted(X[n].dropna().unique())) for n in names}
        self.estimator.fit(self.prepared(X), codes)

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        X = X.drop(columns=self.columns.text).astype(self.dtypes)
        for name, dtype in self.dtypes.items():
            if self.most and len(dtype.categories) > self.most:
                X[name] = X[name].cat.codes.astype(float).where(X[name].notna())
        return X


def lightgbm(job: Job) -> Model:
    """LightGBM at its defaults."""
    from lightgbm import LGBMClassifier

    return Trees(job, LGBMClassifier(n_jobs=job.threads, random_state=job.seed, verbose=-1))


def xgboost(job: Job) -> Model:
    """XGBoost at its defaults, with its support of categories switched on."""
    from xgboost import XGBClassifier

    settings = {"n_jobs": job.threads, "random_state": job.seed}
    return Trees(job, XGBClassifier(enable_categorical=True, **settings))


def hist_gradient_boosting(job: Job) -> Model:
    """scikit-learn's, at its defaults; it reads its threads from OMP_NUM_THREADS."""
    return Trees(job, HistGradientBoostingClassifier(random_state=job.seed), most=255)


class CatBoost(TablePeer):
    """CatBoost at its defaults, its own handling of categories and texts among them.

    With many classes and texts its 1,000 iterations take hours. Where `CATBOOST_SECONDS` are not
    enough it stops, is judged as it is by then, and says so.
    """

    def learn(self, X: pd.DataFrame, codes: np.ndarray) -> None:
        from catboost import CatBoostClassifier

        self.estimator = CatBoostClassifier(
            thread_count=self.job.threads,
            random_seed=self.job.seed,
            verbose=False,
            allow_writing_files=False,
        )
        self.deadline = time.perf_counter() + CATBOOST_SECONDS
        self.iterations, self.note = 0, ""
        self.estimator.fit(
            self.prepared(X),
            codes,
            cat_features=self.columns.categories,
            text_features=self.columns.text or None,
            callbacks=[self],
        )
        if time.perf_counter() > self.deadline:
            self.note = f"stopped at {CATBOOST_SECONDS} s, {self.iterations} of 1,000 iterations"

    def after_iteration(self, info: Any) -> bool:
        """Say whether to go on: CatBoost asks after every iteration."""
        self.iterations = info.iteration
        return time.perf_counter() < self.deadline

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        names = self.columns.categories + self.columns.text
        return X.assign(**{name: X[name].fillna("").astype(object) for name in names})


class Linear(TablePeer):
    """Logistic regression on TF-IDF (words 1-2, each text), one-hot categories and numbers.

    Numbers are scaled, or one-hot too, in twenty quantile `bins`. Missing ones are the median and a
    flag of their own. Many classes over many features are one-vs-rest: the usual softmax would keep
    twenty copies of its weights.
    """

    def __init__(self, job: Job, *, bins: bool = False) -> None:
        super().__init__(job)
        self.bins = bins

    def learn(self, X: pd.DataFrame, codes: np.ndarray) -> None:
        words = {"ngram_range": (1, 2), "sublinear_tf": True}
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True),
            KBinsDiscretizer(20, strategy="quantile") if self.bins else StandardScaler(),
        )
        parts = [(name, TfidfVectorizer(**words), name) for name in self.columns.text]
        parts += [
            ("categories", OneHotEncoder(handle_unknown="ignore"), self.columns.categories),
            ("numbers", numbers, self.columns.numbers),
        ]
        self.estimator = make_pipeline(
            ColumnTransformer(parts, sparse_threshold=1.0), self.classifier()
        )
        self.estimator.fit(self.prepared(X), codes)

    def classifier(self) -> Any:
        """Return what stands on the features."""
        return SizedLogistic(self.job.threads)

    def prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(**{name: X[name].fillna("missing") for name in self.columns.categories})


class LinearSvm(Linear):
    """LinearSVC on the same features; its decisions rank like probabilities."""

    def classifier(self) -> Any:
        return LinearSVC(random_state=0)

    def scores(self, X: pd.DataFrame) -> np.ndarray:
        decisions = self.estimator.decision_function(self.prepared(self.columns.read(X)))
        return decisions if decisions.ndim == 2 else np.stack([-decisions, decisions], axis=1)


class SizedLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression by the solver that the size allows."""

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs

    def fit(self, X: sparse.csr_matrix, y: np.ndarray) -> SizedLogistic:
        """Fit on (n, features) and whole numbers of shape (n,)."""
        self.classes_ = np.unique(y)
        if len(self.classes_) * X.shape[1] < 2**25:
            self.model_ = LogisticRegression(max_iter=1000).fit(X, y)
            return self
        one_vs_rest = OneVsRestClassifier(
            LogisticRegression(solver="liblinear"), n_jobs=self.n_jobs
        )
        with parallel_config("threading"):  # liblinear releases the GIL
            self.model_ = one_vs_rest.fit(X, y)
        return self

    def predict_proba(self, X: sparse.csr_matrix) -> np.ndarray:
        """Return probabilities of shape (n, classes)."""
        return self.model_.predict_proba(X)


class Tokens:
    """A learner of texts that gets the words of the texts, and `column=value` for all else.

    Numbers are the twentieth of the training rows that they fall into: `score=q7`. `build` makes
    the learner for a number of classes and of texts.
    """

    def __init__(self, job: Job, build: Callable[[int, int], Model]) -> None:
        self.columns, self.build = Columns(job.source), build

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> None:
        X = self.columns.fit(X)
        shares = np.linspace(0, 1, 21)[1:-1]
        self.edges = {
            name: np.unique(np.nanquantile(X[name].to_numpy(float), shares))
            for name in self.columns.numbers
        }
        self.model = self.build(len(np.unique(y)), len(self.columns.text))
        self.model.fit(self.lines(X), y)

    def lines(self, X: pd.DataFrame) -> list[str]:
        """Return one line a row: the texts and then the tokens, with tabs between."""
        parts = [[plain_words(text).replace("\t", " ") for text in X[n]] for n in self.columns.text]
        tokens = []
        for name, edges in self.edges.items():
            values = X[name].to_numpy(float)
            bins = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
            tokens.append([f"{name}=q{place}" for place in bins.tolist()])
        for name in self.columns.categories:
            values = X[name].fillna("").astype(str).str.replace(r"[\s|:]+", "_", regex=True)
            tokens.append([f"{name}={value}" for value in values])
        parts.append([" ".join(row) for row in zip(*tokens, strict=True)])
        return ["\t".join(row) for row in zip(*parts, strict=True)]

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(self.lines(self.columns.read(X)))

    def predict_one(self, row: pd.DataFrame) -> object:
        return self.model.predict_one(self.lines(self.columns.read(row))[0])

    def save(self, path: Path) -> None:
        self.model.save(path)


def fasttext(job: Job, **settings: Any) -> Model:
    """FastText with bigrams over the line."""
    settings = {"lr": 0.5, "dim": 10, "wordNgrams": 2} | settings
    return Tokens(job, lambda classes, texts: FastText(job, line=str, **settings))


def vowpal_wabbit(job: Job, passes: int) -> Model:
    """VW with a namespace for each text, bigrams within, and one for the tokens.

    Classes share the 2**b weights, so b grows with their number, to 28 (4 GB).
    """

    def namespaces(line: str) -> str:
        *texts, tokens = line.replace("|", " ").replace(":", " ").split("\t")
        named = [f"|{NAMESPACES[i]} {text}" for i, text in enumerate(texts)]
        return " ".join([*named, f"|z {tokens}"])

    def build(classes: int, texts: int) -> Model:
        bits = min(28, 18 + int(np.ceil(np.log2(classes))))
        bigrams = [f"--ngram {NAMESPACES[i]}2" for i in range(texts)]
        return VowpalWabbit(
            job, passes, line=namespaces, options=" ".join([*bigrams, f"-b {bits}"])
        )

    return Tokens(job, build)


class TextOnly:
    """udt without the other columns: the texts of a row are joined by a space."""

    def __init__(self, job: Job) -> None:
        self.text, self.model = list(job.source.text), udt(job)

    def joined(self, X: pd.DataFrame) -> list[str]:
        """Return one text a row."""
        texts = [X[name].fillna("").tolist() for name in self.text]
        return [" ".join(row) for row in zip(*texts, strict=True)]

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> None:
        self.model.fit(self.joined(X), y)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict(self.joined(X))

    def scores(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.scores(self.joined(X))

    def predict_one(self, row: pd.DataFrame) -> object:
        return self.model.predict_one(self.joined(row)[0])

    def save(self, path: Path) -> None:
        self.model.save(path)


def as_dicts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as udt takes them from a web request."""
    return frame.to_dict("records")


MODELS = {
    "udt": Contestant("udt", udt, seeded=True),
    "udt_dicts": Contestant("udt, one row as a dict", udt, seeded=True, one_row=as_dicts),
    "udt_text": Contestant("udt, text only", TextOnly, seeded=True),
    "catboost": Contestant("CatBoost", CatBoost, seeded=True, warm_up=False),
    "lightgbm": Contestant("LightGBM", lightgbm),
    "xgboost": Contestant("XGBoost", xgboost),
    # It holds out rows at random where there are more than 10,000.
    "hist_gradient_boosting": Contestant(
        "HistGradientBoosting", hist_gradient_boosting, seeded=True
    ),
    "linear": Contestant("LogisticRegression on TF-IDF and one-hot", Linear),
    "linear_bins": Contestant("the same, numbers in bins too", lambda job: Linear(job, bins=True)),
    "linear_svc": Contestant("LinearSVC on TF-IDF and one-hot", LinearSvm),
    "vw_3": Contestant("VW, 3 passes", lambda job: vowpal_wabbit(job, passes=3), seeded=True),
    "fasttext_25": Contestant(
        "fastText, 25 passes", lambda job: fasttext(job, epoch=25), seeded=True
    ),
    # For thousands of classes, as in the benchmark of texts.
    "vw_1": Contestant("VW, 1 pass", lambda job: vowpal_wabbit(job, passes=1), seeded=True),
    "fasttext_hs": Contestant(
        "fastText, dim 64, hierarchical",
        lambda job: fasttext(job, dim=64, epoch=5, loss="hs"),
        seeded=True,
    ),
}
