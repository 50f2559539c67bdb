"""Studies that are kept: where, under which name, and how they are gone on with."""

import subprocess
import sys
import textwrap

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.trial import TrialState
from problems import LABELS, TEXTS, make, make_csr
from sklearn.metrics import make_scorer

import udt
from tasks import ROOT
from udt.tuning import search
from udt.tuning.storage import open_storage, study_name
from udt.tuning.trials import Limits

#: Optuna calls its journals experimental; a database that SQLAlchemy leaves open is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
STORAGES = ["sqlite:///{}/study.sqlite", "{}/study.db", "{}/journal.log"]


def tune(storage, X=TEXTS, y=LABELS, model=None, **arguments):
    return udt.tune(
        make(n_jobs=1) if model is None else model, X, y, storage=storage,
        **{"n_trials": 2} | arguments,
    )  # fmt: skip


def begun(tuning):
    return [trial for trial in tuning.study.trials if trial.state != TrialState.WAITING]


@pytest.mark.parametrize("storage", STORAGES)
def test_a_study_is_gone_on_with(storage, tmp_path):
    place = storage.format(tmp_path)
    first = tune(place)
    again = tune(place, n_trials=4)
    assert len(begun(first)) == 2 or len(begun(first)) == 4  # the same study, looked at later
    assert len(begun(again)) == 4
    assert again.study.study_name == first.study.study_name
    assert [trial.number for trial in again.study.trials] == list(range(len(again.study.trials)))
    assert begun(again)[0].user_attrs["changes"] == {}
    done = tune(place, n_trials=4)  # which adds no trial, but trains
    assert len(begun(done)) == 4
    assert done.estimator.predict(["my card is lost"]).tolist() == ["lost"]
    assert done.default_score == again.default_score
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"]


def test_a_path_may_be_a_path(tmp_path):
    tune(tmp_path / "study.db")
    assert (tmp_path / "study.db").read_bytes().startswith(b"SQLite format 3")
    tune(tmp_path / "study.log")
    assert (tmp_path / "study.log").read_text().startswith("{")


def test_the_plan_of_a_study_is_kept(tmp_path, monkeypatch):
    first = tune(tmp_path / "study.db")
    plan = first.study.user_attrs["plan"]
    monkeypatch.setattr(search, "make_plan", lambda *_: search.Plan(1, 0.5, False))
    again = tune(tmp_path / "study.db", n_trials=3)
    assert again.study.user_attrs["plan"] == plan
    assert len(begun(again)[2].user_attrs["scores"]) == len(begun(first)[0].user_attrs["scores"])


def test_failures_are_kept(tmp_path):
    def scoring(model, X, y):
        if model.min_df == 1:
            raise ValueError("no way")
        return 0.5

    assert tune(tmp_path / "study.db", scoring=scoring).failures == {1: "ValueError: no way"}
    again = tune(tmp_path / "study.db", scoring=scoring, n_trials=3)
    assert again.failures == {1: "ValueError: no way"}
    assert len(begun(again)) == 3


SHARE = """
    import sys
    sys.path.insert(0, {tests!r})
    from problems import LABELS, TEXTS, make
    import udt
    tuning = udt.tune(make(n_jobs=1), TEXTS, LABELS, n_trials=6, storage={storage!r})
    print(tuning.study.study_name, len([t for t in tuning.study.trials if t.state.is_finished()]))
"""


@pytest.mark.parametrize("storage", STORAGES[1:])
def test_processes_share_a_study(storage, tmp_path):
    place = storage.format(tmp_path)
    tune(place, n_trials=1)
    code = textwrap.dedent(SHARE.format(tests=str(ROOT / "tests"), storage=place))
    others = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [other.communicate(timeout=300) for other in others]
    assert [other.returncode for other in others] == [0, 0], told
    names = {out.split()[0] for out, _ in told}
    tuning = tune(place, n_trials=1)
    assert names == {tuning.study.study_name}
    assert len(begun(tuning)) in (6, 7)  # both may take the last one
    assert all(trial.state.is_finished() for trial in begun(tuning))
    assert tuning.failures == {}
    changes = [str(trial.params) for trial in begun(tuning)]
    assert len(set(changes)) >= len(changes) - 1  # they did not do the same


# ------------------------------------------------------------------------------------------- names


def name_of(X=TEXTS, y=LABELS, sample_weight=None, how=(), **parameters):
    rows = search._read_rows(X, y, sample_weight)
    return study_name(make(**parameters), rows, *how)


def test_the_same_data_and_settings_have_the_same_name():
    assert name_of() == name_of() == name_of(np.array(TEXTS), np.array(LABELS))
    assert name_of(n_jobs=2, verbose=1, tune=3) == name_of()
    assert name_of().startswith("udt-")


def test_other_data_and_settings_have_other_names():
    X, y = make_csr()
    other = X.copy()
    other.data[0] += 1
    frame = pd.DataFrame({"text": TEXTS, "size": range(36)})
    names = [
        name_of(),
        name_of(TEXTS[::-1]),
        name_of([*TEXTS[:-1], "another"]),
        name_of(TEXTS[:30], LABELS[:30]),
        name_of(y=LABELS[::-1]),
        name_of(y=["x" if label == "pin" else label for label in LABELS]),
        name_of(y=[[label] for label in LABELS]),
        name_of(y=[[label, "pin"] for label in LABELS]),
        name_of(sample_weight=np.arange(36)),
        name_of(sample_weight=np.ones(36)),
        name_of(min_df=1),
        name_of(random_state=1),
        name_of(how=("f1_macro",)),
        name_of(how=(None, 3)),
        name_of(how=(None, 3, Limits(1000, None))),
        name_of(frame),
        name_of(frame.rename(columns={"size": "length"})),
        name_of(frame.assign(size=np.arange(36) + 1)),
        name_of(frame.assign(size=pd.date_range("2020", periods=36))),
        name_of(X, y),
        name_of(other, y),
        name_of(X, ["low", "high"] * 20),
    ]
    assert len(set(names)) == len(names)


def test_what_lies_elsewhere_in_memory_has_the_same_name():
    def make_function():
        def scoring(model, X, y):
            return 0.0

        return scoring

    one, two = make_function(), make_function()
    assert one is not two
    assert name_of(how=(one,)) == name_of(how=(two,))
    assert name_of(how=(make_scorer(one),)) == name_of(how=(make_scorer(two),))
    assert name_of(sifting=one) == name_of(sifting=two) != name_of()


def test_half_surrogates_and_strange_values_have_names_too():
    assert name_of(["\ud800", "b"] * 18) == name_of(["\ud800", "b"] * 18)
    assert name_of([{"a": None, "b": ["x", "y"]}, {"a": 1.5}] * 18)


def test_limits_and_scorers_make_other_studies(tmp_path):
    limits = ({}, {"max_model_bytes": 1e9}, {"max_predict_us": 1e9})
    studies = [
        tune(tmp_path / "study.db", n_trials=1, **arguments).study.study_name
        for arguments in (*limits, {"scoring": "f1_macro"}, {"cv": 3})
    ]
    assert len(set(studies)) == len(studies)


# ----------------------------------------------------------------------------------------- opening


def test_storages(tmp_path):
    assert open_storage(None) is None
    own = InMemoryStorage()
    assert open_storage(own) is own
    assert open_storage("sqlite:///some.db") == "sqlite:///some.db"
    for name in ("a.db", "a.sqlite", "a.sqlite3"):
        assert open_storage(tmp_path / name) == f"sqlite:///{tmp_path / name}"
    assert isinstance(open_storage(tmp_path / "journal.log"), JournalStorage)


def test_a_storage_of_optuna():
    own = InMemoryStorage()
    first = tune(own)
    assert tune(own, n_trials=3).study.study_name == first.study.study_name
    assert len(optuna.get_all_study_summaries(own)) == 1


@pytest.mark.parametrize("storage", [3, ["study.db"], True])
def test_no_storages(storage):
    with pytest.raises(TypeError, match=r"^storage is of type .*: give a URL such as \"sqlite"):
        open_storage(storage)


def test_without_a_random_state_all_who_work_on_a_study_score_alike(tmp_path):
    scores = [
        tune(tmp_path / "study.db", model=make(random_state=None, max_iter=1), n_trials=n)
        for n in (1, 2)
    ]
    assert scores[0].study.study_name == scores[1].study.study_name
