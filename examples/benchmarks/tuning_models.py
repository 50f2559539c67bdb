"""udt and its peers when each may search for settings, all given the same seconds.

Every fit here has `Job.budget` seconds for all of it: preparation, search, and the last fit.
`found` says what a search settled on.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmark import Contestant, Job, Model
from datasets import TableSet, take
from models import Estimator, FastText, encode, plain_words, udt
from sklearn.base import clone
from table_models import Tokens, Trees

HELD_OUT = 0.2  # of the rows, for scores of random search
FASTTEXT_SHARE = 2 / 3  # of the budget, for its search alone
FASTTEXT_HELD_OUT = 0.1
FASTTEXT_SETTINGS = ("lr", "dim", "epoch", "wordNgrams", "minn", "maxn", "bucket")


class Tuned(Estimator):
    """udt's own search."""

    def __init__(self, job: Job) -> None:
        super().__init__(udt(job).estimator)
        self.budget = job.budget

    def fit(self, X: Any, y: Any) -> None:
        from udt import tune

        tuning = tune(self.estimator, X, y, timeout=self.budget)
        self.estimator = tuning.estimator
        self.found = {
            "params": tuning.best_params,
            "trials": len(tuning.trials),
            "failures": len(tuning.failures),
        }


class RandomSearch(Estimator):
    """Random search over udt's own space; the first draw is the default.

    Each draw is fitted on 80 % of the rows and judged by its accuracy on the others. Drawing stops
    when what is left may not be enough for the longest draw yet, with half of it to spare, and the
    last fit, of the best draw on all rows.
    """

    def __init__(self, job: Job, estimator: Any = None) -> None:
        super().__init__(udt(job).estimator if estimator is None else estimator)
        self.budget, self.seed = job.budget, job.seed

    def fit(self, X: Any, y: Any) -> None:
        start = time.perf_counter()
        import optuna

        n_train = round(len(y) * (1 - HELD_OUT))  # the rows come in random order
        kept, held_out = slice(n_train), slice(n_train, None)
        X_train, X_held_out = take(X, kept), take(X, held_out)
        default, space = self.estimator, self.estimator.search_space(X, y)
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=self.seed)
        )
        best, best_params, best_score, best_seconds, longest = default, {}, -1.0, 0.0, 0.0
        n_draws = failures = 0
        while not n_draws or self.budget - (time.perf_counter() - start) > (
            1.5 * longest + best_seconds / (1 - HELD_OUT)
        ):
            params = study.ask(space).params if n_draws else {}
            n_draws += 1
            began = time.perf_counter()
            model = clone(default).set_params(**params)
            try:
                model.fit(X_train, y[kept])
                score = float(np.mean(model.predict(X_held_out) == y[held_out]))
            except Exception:  # settings that do not go together are a bad draw
                failures += 1
                continue
            finally:
                longest = max(longest, seconds := time.perf_counter() - began)
            if score > best_score:
                best, best_params, best_score, best_seconds = model, params, score, seconds
        self.estimator = clone(best).fit(X, y)
        self.found = {"params": best_params, "trials": n_draws, "failures": failures}


class AutotunedFastText(FastText):
    """FastText's autotune on nine tenths of the rows, then a fit of what it found on all of them.

    Its search has two thirds of the budget: after these it trains the best once more, which
    no setting can keep it from. If there is not as much time left again, that model is taken.
    """

    def __init__(self, job: Job, **settings: Any) -> None:
        super().__init__(job, **settings)
        self.budget = job.budget

    def fit(self, texts: list[str], labels: np.ndarray) -> None:
        start = time.perf_counter()
        self.classes, codes = encode(labels)
        n_train = round(len(codes) * (1 - FASTTEXT_HELD_OUT))  # the rows come in random order
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train = self.write(folder / "train.txt", texts[:n_train], codes[:n_train])
            held_out = self.write(folder / "held_out.txt", texts[n_train:], codes[n_train:])
            everything = self.write(folder / "all.txt", texts, codes)
            left = self.budget - (time.perf_counter() - start)
            duration = max(1, int(FASTTEXT_SHARE * left))
            began = time.perf_counter()
            self.model = self.train(
                input=train,
                autotuneValidationFile=held_out,
                autotuneDuration=duration,
                **self.settings,
            )
            last_fit = time.perf_counter() - began - duration
            arguments = self.model.f.getArgs()
            params = {name: getattr(arguments, name) for name in FASTTEXT_SETTINGS}
            on_all = time.perf_counter() - start + last_fit < self.budget
            if on_all:
                self.model = self.train(input=everything, **self.settings, **params)
        self.found = {"params": params, "on all rows": on_all}


class AutotunedTokens(Tokens):
    """The same with `column=value` tokens beside the texts of a table."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, lambda classes, texts: AutotunedFastText(self.left(), line=str))
        self.job = job

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> None:
        self.start = time.perf_counter()
        super().fit(X, y)
        self.found = self.model.found

    def left(self) -> Job:
        """Return the job with what preparation has left of the budget."""
        spent = time.perf_counter() - self.start
        return self.job._replace(budget=self.job.budget - spent)


class Flaml(Trees):
    """FLAML's search for LightGBM's settings, on the columns without the text, its categories too.

    FLAML fits what it found on all rows after its time.
    """

    def __init__(self, job: Job) -> None:
        from flaml import AutoML

        super().__init__(job, None)
        self.make = AutoML

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> None:
        self.start = time.perf_counter()
        super().fit(X, y)
        self.found = {"params": dict(self.estimator.best_config)}

    def learn(self, X: pd.DataFrame, codes: np.ndarray) -> None:
        self.estimator = self.make(
            task="classification",
            metric="accuracy",
            estimator_list=["lgbm"],
            time_budget=self.job.budget - (time.perf_counter() - self.start),
            n_jobs=self.job.threads,
            seed=self.job.seed,
            verbose=0,
        )
        super().learn(X, codes)


def has_text(source: Any) -> bool:
    """Say whether a set is of texts, or a table with one."""
    return bool(source.text)


def is_table(source: Any) -> bool:
    """Say whether a set has columns."""
    return isinstance(source, TableSet)


def fasttext(job: Job) -> Model:
    """Return fastText for texts or for a table."""
    if is_table(job.source):
        return AutotunedTokens(job)
    return AutotunedFastText(job, line=plain_words)


MODELS = {
    "udt": Contestant("udt, default", udt, seeded=True),
    "udt_tuned": Contestant("udt, tuned", Tuned, seeded=True, budgets=1),
    "udt_random": Contestant("udt, random search, 3 x", RandomSearch, seeded=True, budgets=3),
    "fasttext_autotune": Contestant(
        "fastText, autotune", fasttext, seeded=True, warm_up=False, budgets=1, takes=has_text
    ),
    "flaml": Contestant(
        "FLAML, LightGBM", Flaml, seeded=True, warm_up=False, budgets=1, takes=is_table
    ),
}
