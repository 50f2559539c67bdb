"""udt and its peers on text, behind the small interface of `benchmark.py`.

udt runs with its defaults, the peers with usual settings. fastText's rate and the NB-weighted SVM's
tokens, minimum count and C were settled with test accuracies in view, in these peers' favour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Loaded here, before any clock starts: imports are not what is compared.
from benchmark import Contestant, Job, Model
from joblib import Parallel, delayed, dump
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC


class Estimator:
    """Any scikit-learn estimator that takes raw strings (udt: whatever it is given)."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any) -> None:
        self.estimator.fit(X, y)

    def predict(self, X: Any) -> Any:
        return self.estimator.predict(X)

    def scores(self, X: Any) -> np.ndarray:
        return self.estimator.predict_proba(X)

    def predict_one(self, row: Any) -> object:
        return self.estimator.predict([row] if isinstance(row, str) else row)[0]

    def save(self, path: Path) -> None:
        if hasattr(self.estimator, "save"):
            self.estimator.save(path)
        else:
            dump(self.estimator, path)


class NBLinearSVC(ClassifierMixin, BaseEstimator):
    """Binary bags weighted by naive-Bayes log-count ratios, then one LinearSVC a class.

    Wang & Manning, "Baselines and Bigrams", ACL 2012. Many classes are one-vs-rest, each with
    ratios of its own; two classes need one.
    """

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs

    def fit(self, X: sparse.csr_matrix, y: np.ndarray) -> NBLinearSVC:
        """Fit on a binary (n, features) matrix and labels of shape (n,)."""
        self.classes_ = np.unique(y)
        positives = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        totals = np.asarray(X.sum(axis=0)).ravel()

        def one_vs_rest(label: object) -> tuple[np.ndarray, float]:
            inside = y == label
            p = 1 + np.asarray(X[inside].sum(axis=0)).ravel()
            q = 2 + totals - p
            ratio = np.log(p / p.sum()) - np.log(q / q.sum())
            weighted = sparse.csr_matrix((ratio[X.indices], X.indices, X.indptr), X.shape)
            svm = LinearSVC(C=0.01, random_state=0).fit(weighted, inside)
            return (svm.coef_[0] * ratio).astype(np.float32), svm.intercept_[0]

        # liblinear releases the GIL, so threads do.
        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads")
        fitted = parallel(delayed(one_vs_rest)(label) for label in positives)
        # (features, classes): SciPy would copy a transposed matrix at every prediction.
        self.coef_ = np.stack([coef for coef, _ in fitted], axis=1)
        self.intercept_ = np.array([intercept for _, intercept in fitted])
        return self

    def predict(self, X: sparse.csr_matrix) -> np.ndarray:
        """Return the labels, of shape (n,)."""
        scores = X @ self.coef_ + self.intercept_
        best = scores.argmax(axis=1) if len(self.classes_) > 2 else (scores[:, 0] > 0).astype(int)
        return self.classes_[best]


def plain_words(text: str) -> str:
    """Lower-case and set punctuation apart, as fastText's own tutorial does."""
    text = text.lower().replace("<br />", " ").replace("\n", " ")
    for mark in ".,!?()/\"';:<>":
        text = text.replace(mark, f" {mark} ")
    return text


def encode(labels: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the classes and each label's place among them; np.unique would sort every row."""
    rows = labels.tolist()
    classes = sorted(set(rows))
    place = {label: i for i, label in enumerate(classes)}
    return np.asarray(classes), [place[label] for label in rows]


class FastText:
    """FastText's supervised mode. `line` makes of a text what it reads."""

    def __init__(
        self, job: Job, line: Callable[[str], str] = plain_words, **settings: object
    ) -> None:
        import fasttext

        self.train = fasttext.train_supervised
        self.line = line
        self.settings = {"thread": job.threads, "seed": job.seed, "verbose": 0, **settings}

    def fit(self, texts: list[str], labels: np.ndarray) -> None:
        self.classes, codes = encode(labels)
        with tempfile.TemporaryDirectory() as folder:  # it reads nothing but files
            path = self.write(Path(folder, "train.txt"), texts, codes)
            self.model = self.train(input=path, **self.settings)

    def write(self, path: Path, texts: list[str], codes: list[int]) -> str:
        """Write rows as it reads them; return where."""
        with path.open("w", encoding="utf-8") as file:
            for text, code in zip(texts, codes, strict=True):
                file.write(f"__label__{code} {self.line(text)}\n")
        return str(path)

    # The wrapper's own predict breaks with numpy 2 (`np.array(copy=False)`): the compiled
    # object beneath it is called instead.
    def predict(self, texts: list[str]) -> np.ndarray:
        lines = [self.line(text) + "\n" for text in texts]
        found = self.model.f.multilinePredict(lines, 1, 0.0, "strict")[0]
        return self.classes[[int(label[0].removeprefix("__label__")) for label in found]]

    def predict_one(self, text: str) -> object:
        ((_, label),) = self.model.f.predict(self.line(text) + "\n", 1, 0.0, "strict")
        return self.classes[int(label.removeprefix("__label__"))]

    def save(self, path: Path) -> None:
        self.model.save_model(str(path))


def vw_line(text: str) -> str:
    """Return a row in VW's format, in which `|` and `:` have a meaning."""
    return "| " + plain_words(text).replace("|", " ").replace(":", " ")


class VowpalWabbit:
    """Vowpal Wabbit, one against all. Its learner has one thread, its parser another."""

    def __init__(
        self,
        job: Job,
        passes: int,
        line: Callable[[str], str] = vw_line,
        options: str = "--ngram 2 -b 22",
    ) -> None:
        import vowpalwabbit

        self.workspace = vowpalwabbit.Workspace
        self.seed, self.passes, self.line, self.options = job.seed, passes, line, options

    def fit(self, texts: list[str], labels: np.ndarray) -> None:
        self.classes, codes = encode(labels)
        with tempfile.TemporaryDirectory() as folder:  # several passes need a file
            path, model = Path(folder, "train.txt"), Path(folder, "model.vw")
            with path.open("w", encoding="utf-8") as file:
                for text, code in zip(texts, codes, strict=True):
                    file.write(f"{code + 1} {self.line(text)}\n")
            trainer = self.workspace(
                f"--oaa {len(self.classes)} --loss_function logistic {self.options} --quiet "
                f"--random_seed {self.seed} --passes {self.passes} --holdout_off -c -k "
                f"-d {path} -f {model}"
            )
            trainer.finish()
            self.saved = model.read_bytes()
            self.model = self.workspace(f"-i {model} -t --quiet")

    def predict(self, texts: list[str]) -> np.ndarray:
        return self.classes[[self.model.predict(self.line(text)) - 1 for text in texts]]

    def predict_one(self, text: str) -> object:
        return self.classes[self.model.predict(self.line(text)) - 1]

    def save(self, path: Path) -> None:
        path.write_bytes(self.saved)


def udt(job: Job, **settings: Any) -> Model:
    """Return udt with its defaults, but for `settings`."""
    from udt import UDTClassifier

    return Estimator(UDTClassifier(n_jobs=job.threads, random_state=job.seed, **settings))


def _words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


def _characters() -> TfidfVectorizer:
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


def _binary_bags() -> CountVectorizer:
    # Punctuation and one-letter words are worth half a point on imdb.
    return CountVectorizer(
        ngram_range=(1, 3),
        token_pattern=r"\w+|[^\w\s]",
        min_df=2,
        binary=True,
        dtype=np.float64,
    )


def _svc() -> LinearSVC:
    return LinearSVC(random_state=0)


MODELS = {
    "udt": Contestant("udt", udt, seeded=True),
    "udt_words": Contestant(
        "udt, words only",
        lambda job: udt(job, char_ngrams=None),
        seeded=True,
    ),
    "fasttext_5": Contestant(
        "fastText, 5 passes",
        lambda job: FastText(job, lr=0.5, dim=10, wordNgrams=2, epoch=5),
        seeded=True,
    ),
    "fasttext_25": Contestant(
        "fastText, 25 passes",
        lambda job: FastText(job, lr=0.5, dim=10, wordNgrams=2, epoch=25),
        seeded=True,
    ),
    # For thousands of classes, where its full softmax takes minutes a pass.
    "fasttext_hs": Contestant(
        "fastText, dim 64, hierarchical",
        lambda job: FastText(job, lr=0.5, dim=64, wordNgrams=2, epoch=5, loss="hs"),
        seeded=True,
    ),
    "vw_1": Contestant("VW, 1 pass", lambda job: VowpalWabbit(job, 1), seeded=True),
    "vw_3": Contestant("VW, 3 passes", lambda job: VowpalWabbit(job, 3), seeded=True),
    "svc_words": Contestant(
        "TF-IDF words + LinearSVC",
        lambda job: Estimator(make_pipeline(_words(), _svc())),
    ),
    "svc_chars": Contestant(
        "TF-IDF words, characters + LinearSVC",
        lambda job: Estimator(make_pipeline(make_union(_words(), _characters()), _svc())),
    ),
    "nb_svc": Contestant(
        "NB-weighted LinearSVC, 1-3-grams",
        lambda job: Estimator(
            make_pipeline(
                _binary_bags(),
                NBLinearSVC(n_jobs=job.threads),
            )
        ),
    ),
    "sgd": Contestant(
        "HashingVectorizer + SGD",
        lambda job: Estimator(
            make_pipeline(
                HashingVectorizer(ngram_range=(1, 2)),
                SGDClassifier(alpha=1e-5, n_jobs=job.threads, random_state=job.seed),
            )
        ),
        seeded=True,
    ),
}

DEFAULT_MODELS = tuple(name for name in MODELS if name != "fasttext_hs")
