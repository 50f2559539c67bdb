"""udt and its peers with thousands of labels, behind the small interface of `benchmark.py`.

`predict` gives the numbers of the five best labels of each row, best first.
"""

from __future__ import annotations

import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import Contestant, Job, Model
from joblib import dump
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

TOP = 5
BEAM = 10


class Ranker:
    """What all have in common: how often each label was trained on, which PSP@1 needs."""

    frequencies: np.ndarray
    n_rows: int

    def __init__(self, job: Job) -> None:
        self.job = job

    def fit(self, X: list[str], Y: sparse.csr_matrix) -> None:
        self.frequencies, self.n_rows = np.asarray(Y.sum(axis=0), dtype=float).ravel(), len(X)
        self.train(X, Y)

    def train(self, X: list[str], Y: sparse.csr_matrix) -> None:
        raise NotImplementedError

    def predict(self, X: list[str]) -> np.ndarray:
        raise NotImplementedError

    def predict_one(self, row: str) -> object:
        return self.predict([row])


class UDT(Ranker):
    """udt with its defaults, but for `settings`."""

    def __init__(self, job: Job, **settings: Any) -> None:
        super().__init__(job)
        from udt import UDTClassifier

        self.model = UDTClassifier(n_jobs=job.threads, random_state=job.seed, **settings)

    def train(self, X: list[str], Y: sparse.csr_matrix) -> None:
        self.model.fit(X, Y)

    def predict(self, X: list[str]) -> np.ndarray:
        return self.model.predict_topk(X, TOP)[0]

    def save(self, path: Path) -> None:
        self.model.save(path)


class OnTfidf(Ranker):
    """A peer over TF-IDF of scikit-learn, whose making is timed by itself too."""

    def __init__(self, job: Job, n_words: int = 1) -> None:
        super().__init__(job)
        self.tfidf = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, n_words), min_df=n_words, dtype=np.float32
        )

    def train(self, X: list[str], Y: sparse.csr_matrix) -> None:
        start = time.perf_counter()
        features = self.tfidf.fit_transform(X)
        self.features_seconds = time.perf_counter() - start
        self.learn(features, Y.astype(np.float32))

    def learn(self, X: sparse.csr_matrix, Y: sparse.csr_matrix) -> None:
        raise NotImplementedError

    def save(self, path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            dump(self.tfidf, Path(folder, "tfidf.joblib"))
            self.model.save(str(Path(folder, "model")))
            with tarfile.open(path, "w") as archive:
                archive.add(folder, "model")


class PECOS(OnTfidf):
    """XR-Linear (Yu et al., 2022) over a tree of labels by their mean features, beam 10."""

    def learn(self, X: sparse.csr_matrix, Y: sparse.csr_matrix) -> None:
        try:
            from pecos.xmc import Indexer, LabelEmbeddingFactory
            from pecos.xmc.xlinear.model import XLinearModel
        except ImportError as error:
            raise _missing("libpecos", "PECOS", error) from error
        tree = Indexer.gen(
            LabelEmbeddingFactory.create(Y, X), threads=self.job.threads, seed=self.job.seed
        )
        self.model = XLinearModel.train(X, Y, C=tree, threads=self.job.threads)
        self.reader: Any = None

    def predict(self, X: list[str]) -> np.ndarray:
        if self.reader is None:  # a model that was loaded to predict only is many times faster
            with tempfile.TemporaryDirectory() as folder:
                self.model.save(folder)
                self.reader = type(self.model).load(folder, is_predict_only=True)
        threads = min(self.job.threads, len(X))
        features = self.tfidf.transform(X)
        found = self.reader.predict(features, beam_size=BEAM, only_topk=TOP, threads=threads)
        top = np.zeros((len(X), TOP), np.int64)
        rows = np.repeat(np.arange(len(X)), np.diff(found.indptr))
        order = np.lexsort((-found.data, rows))
        top[rows, np.arange(len(rows)) - found.indptr[rows]] = found.indices[order]
        return top


class Omikuji(OnTfidf):
    """Parabel (Prabhu et al., 2018), three trees, as Omikuji's defaults have it."""

    def learn(self, X: sparse.csr_matrix, Y: sparse.csr_matrix) -> None:
        try:
            import omikuji
        except ImportError as error:
            raise _missing("omikuji", "Omikuji", error) from error
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "train.txt"))
            _write_xmc(path, X, Y)
            parameters = omikuji.Model.default_hyper_param()
            self.model = omikuji.Model.train_on_data(path, parameters, self.job.threads)

    def predict(self, X: list[str]) -> np.ndarray:
        features = self.tfidf.transform(X)
        top = np.zeros((len(X), TOP), np.int64)
        for i, begin, end in zip(
            range(len(X)), features.indptr[:-1], features.indptr[1:], strict=True
        ):
            pairs = zip(
                features.indices[begin:end].tolist(),
                features.data[begin:end].tolist(),
                strict=True,
            )
            best = self.model.predict(list(pairs), beam_size=BEAM, top_k=TOP)
            top[i, : len(best)] = [label for label, _ in best]
        return top


def _write_xmc(path: str, X: sparse.csr_matrix, Y: sparse.csr_matrix) -> None:
    """Write the file that Omikuji trains on, part of its training time as it has no other way."""
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n")
        for i in range(X.shape[0]):
            labels = ",".join(map(str, Y.indices[Y.indptr[i] : Y.indptr[i + 1]]))
            row = slice(X.indptr[i], X.indptr[i + 1])
            pairs = zip(X.indices[row].tolist(), X.data[row].tolist(), strict=True)
            file.write(f"{labels} " + " ".join(f"{j}:{v:.6g}" for j, v in pairs) + "\n")


def _missing(package: str, name: str, error: ImportError) -> ImportError:
    return ImportError(
        f"{name} is not installed for this Python: pip install {package}, if need be in an "
        f"environment of its own, and give its interpreter as --peer-python ({error})"
    )


def peer(title: str, build: Any, **settings: Any) -> Contestant:
    """Return a contestant of another interpreter; nothing of it is compiled at first use."""

    def built(job: Job) -> Model:
        return build(job, **settings)

    return Contestant(title, built, seeded=True, warm_up=False, elsewhere=True)


MODELS = {
    "udt": Contestant("udt", UDT, seeded=True),
    "udt_lsh": Contestant("udt, LSH head", lambda job: UDT(job, head="lsh"), seeded=True),
    "pecos": peer("PECOS XR-Linear, words", PECOS),
    "pecos_12": peer("PECOS XR-Linear, words 1-2", PECOS, n_words=2),
    "omikuji": peer("Omikuji Parabel, words", Omikuji),
    "omikuji_12": peer("Omikuji Parabel, words 1-2", Omikuji, n_words=2),
}

DEFAULT_MODELS = ("udt", "pecos", "pecos_12", "omikuji")
