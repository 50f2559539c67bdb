"""The page about a search: what it says, of searches of all sorts, and how it is written."""

import base64
import re
import sys
from datetime import timedelta
from html.parser import HTMLParser

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

import udt
from udt.tuning.page import check_format, write
from udt.tuning.report import (
    Section,
    Table,
    importances,
    make_report,
    shown_changes,
    shown_score,
    to_markdown,
)
from udt.tuning.result import Tuning
from udt.tuning.trials import STEPS

DEFAULT = {"min_df": 2, "hidden_rate": 0.25}
SPACE = {
    "min_df": CategoricalDistribution([2, 1, 3]),
    "hidden_rate": FloatDistribution(0.05, 1.0, log=True),
}


def make_trial(score, *, sealed=None, state=TrialState.COMPLETE, steps=None, **changes):
    """Make a trial as a search leaves it, and of `attrs` where there is more to it."""
    attrs = {"changes": changes, **changes.pop("attrs", {})}
    if state == TrialState.COMPLETE:
        seconds = {"seconds": 2.0, "excess": [], "needs": {}}
        scores = {"scores": [score, score], "sealed": sealed or score, "rows": [100, 50]}
        attrs = {**scores, **seconds, **attrs}
    trial = create_trial(
        state=state,
        value=score if state == TrialState.COMPLETE else None,
        params={**DEFAULT, **changes},
        distributions=SPACE,
        user_attrs=attrs,
        intermediate_values={STEPS: score, 2 * STEPS: score} if steps is None else steps,
    )
    trial.datetime_complete = trial.datetime_start + timedelta(seconds=1.5)
    return trial


def make_tuning(*trials, best=0, plan=(2, 1.0, False), **attributes):
    study = optuna.create_study(direction="maximize")
    study.set_user_attr("plan", plan)
    study.add_trials(trials)
    found = trials[best].user_attrs if trials else {}
    default = trials[0].user_attrs.get("sealed") if trials else None
    attributes = {
        "estimator": None, "best_params": found.get("changes", {}), "score": found.get("sealed"),
        "default_score": default, "metric": "accuracy", "study": study,
        "best_trial": best if trials else None, "seconds": 12.34, **attributes,
    }  # fmt: skip
    return Tuning(**attributes)


def cells(text, title):
    """Give the cells of the first table below a title."""
    lines = text[text.index(title) :].splitlines()
    table = [line for line in lines if line.startswith("|")]
    first = lines.index(table[0])
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


SEVERAL = (
    make_trial(0.80, sealed=0.79),
    make_trial(0.83, sealed=0.81, min_df=1),
    make_trial(0.82, sealed=0.80, hidden_rate=0.5),
    make_trial(0.70, state=TrialState.PRUNED, steps={STEPS: 0.70}, min_df=3),
    make_trial(0.0, state=TrialState.FAIL, steps={}, attrs={"error": "ValueError: a\nb"}),
    make_trial(0.0, state=TrialState.FAIL, steps={}, attrs={"error": "ValueError: a\nb"}),
    make_trial(0.0, state=TrialState.FAIL, steps={}),
)


def test_a_report():
    text = make_tuning(*SEVERAL, best=1).report()
    assert text.startswith("# Tuning: accuracy\n\n| accuracy")
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert cells(text, "# Tuning") == [
        ["accuracy", "default", "found"],
        ["on sealed rows", "0.7900", "0.8100"],
        ["mean over folds", "0.8000", "0.8300"],
    ]
    assert "\nChanged: min_df=1.\n" in text
    assert "\n7 trials (3 complete, 3 fail, 1 pruned), 12.3 s with the last training" in text
    assert "Parts of a trial: 2 folds.\n" in text
    assert cells(text, "## The best trials") == [
        ["trial", "score", "sealed score", "seconds", "changes"],
        ["1 (taken)", "0.8300", "0.8100", "1.5", "min_df=1"],
        ["2", "0.8200", "0.8000", "1.5", "hidden_rate=0.5"],
        ["0", "0.8000", "0.7900", "1.5", "the default"],
    ]
    assert cells(text, "## Single changes") == [
        ["change", "gain", "parts"],
        ["min_df=1", "+0.0300", "2.0"],
        ["hidden_rate=0.5", "+0.0200", "2.0"],
        ["min_df=3", "-0.1000", "1.0"],
    ]
    assert "## Importance" not in text
    assert text.endswith(
        "## Failures\n\n- 2 trials: ValueError: a b\n- 1 trial: it was interrupted\n"
    )


def test_it_fits_a_page():
    random = np.random.default_rng(0)
    trials = [
        make_trial(float(random.random()), hidden_rate=float(rate))
        for rate in random.uniform(0.05, 1, 300)
    ]
    errors = [{"error": f"ValueError: {n} {'x' * 999}"} for n in range(30)]
    trials += [make_trial(0, state=TrialState.FAIL, attrs=attrs) for attrs in errors]
    text = make_tuning(make_trial(0.8), *trials).report()
    assert len(text.splitlines()) < 70
    assert max(map(len, text.splitlines())) < 250
    assert len(cells(text, "## The best trials")) == len(cells(text, "## Single changes")) == 11


@pytest.mark.parametrize(
    ("top", "best", "reason"),
    [
        (make_trial(0.80, min_df=1), 0, "Nothing was changed. No trial was better than the def"),
        (make_trial(0.83, sealed=0.7, min_df=1), 0, "changed. Trial 1 has a better score, but it "
         "is not better than the default with the sealed rows."),
        (make_trial(0.83, min_df=1, attrs={"excess": [-0.1, 0.2]}), 2, "Changed: min_df=3. Trial 1 "
         "has a better score, but it does not keep the limits."),
        (make_trial(0.83, min_df=1), 2, "but a training on all rows takes too long, or makes too "),
    ],
)  # fmt: skip
def test_why_the_best_was_not_taken(top, best, reason):
    trials = (make_trial(0.80, sealed=0.79), top, make_trial(0.805, min_df=3))
    assert reason in make_tuning(*trials[: max(2, best + 1)], best=best).report()


def test_parts_of_trials():
    tuning = make_tuning(*SEVERAL, plan=(1, 0.3, True))
    assert "Parts of a trial: a quarter of the rows to train on, then" in tuning.report()
    assert "2 folds, of 30% of the rows." in tuning.report()
    one = make_trial(0.8, attrs={"scores": [0.8]})
    assert "Parts of a trial: 1 fold.\n" in make_tuning(one).report()


def test_limits_are_columns():
    needs = {"bytes": 1_234_567, "micros": 45.6}
    trial = make_trial(0.8, attrs={"needs": needs, "excess": [0.0, 0.0]})
    text = make_tuning(trial, make_trial(0.7, min_df=1)).report()
    head, first, second = cells(text, "## The best trials")
    assert head[4:6] == ["file, kB", "one row, us"]
    assert first[4:6] == ["1,235", "46"]
    assert second[4:6] == ["", ""]


def test_no_search():
    text = make_tuning().report()
    assert cells(text, "#")[1:] == [
        ["on sealed rows", "not measured", "not measured"],
        ["mean over folds", "not measured", "not measured"],
    ]
    assert "Nothing was changed.\n\nNo search, 12.3 s" in text
    assert "##" not in text


def test_trials_that_still_run_or_wait():
    trials = (
        make_trial(0.8),
        create_trial(state=TrialState.RUNNING, params={}, distributions={}),
        create_trial(state=TrialState.WAITING, params={}, distributions={}),
    )
    text = make_tuning(*trials).report()
    assert "2 trials (1 complete, 1 running)" in text


def test_a_default_that_failed():
    failed = make_trial(0, state=TrialState.FAIL, steps={}, attrs={"error": "ValueError: no"})
    text = make_tuning(failed, make_trial(0.8, min_df=1), best=1).report()
    assert cells(text, "#")[1] == ["on sealed rows", "not measured", "0.8000"]
    assert "Single changes" not in text


def test_importances():
    random = np.random.default_rng(0)
    trials = [
        make_trial(float(0.8 - 0.05 * (n % 3 == 0)), min_df=[3, 1, 2][n % 3], hidden_rate=rate)
        for n, rate in enumerate(random.uniform(0.05, 1, 12).tolist())
    ]
    study = make_tuning(*trials).study
    shares = importances(study)
    assert list(shares) == ["min_df", "hidden_rate"]
    assert shares["min_df"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == importances(study)
    assert importances(make_tuning(*trials[:9]).study) == {}
    assert importances(make_tuning(*[make_trial(0.8)] * 12).study) == {}
    text = make_tuning(*trials).report()
    assert cells(text, "## Importance")[1][0] == "min_df"


def test_texts_of_values():
    assert shown_score(None) == "not measured"
    assert shown_score(0.5) == "0.5000"
    assert shown_changes({}) == "nothing"
    changes = {"a": 0.123456, "b": "1-2", "c": None, "d": 1024}
    assert shown_changes(changes) == "a=0.1235, b=1-2, c=None, d=1024"


def test_markdown():
    section = Section("A|b", ["p", Table([["a|b", "c"], ["", "1"]], right=(1,))])
    assert to_markdown([section, Section("two", [])]) == (
        "# A|b\n\np\n\n| a\\|b |   c |\n| ---- | --: |\n|      |   1 |\n\n## two\n"
    )


# ------------------------------------------------------------------------------------------ files


class Page(HTMLParser):
    """Reads what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_is_self_contained(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = dict(pyplot.rcParams), pyplot.get_fignums()
    random = np.random.default_rng(0)
    trials = [
        make_trial(float(value), min_df=1, hidden_rate=float(0.1 + value / 2))
        for value in random.random(12)
    ]
    write(make_tuning(*trials, metric="<f1>"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "Tuning: <f1>" in page.words
    assert "Importance of parameters" in page.words
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4
    for image in images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
        assert image["alt"]
    assert not re.search(r"(src|href)=.http", text)
    assert (dict(pyplot.rcParams), pyplot.get_fignums()) == before


@pytest.mark.parametrize(("trials", "n_images"), [((), 0), (SEVERAL, 2), (SEVERAL[3:], 0)])
def test_pages_of_few_trials(tmp_path, trials, n_images):
    pytest.importorskip("matplotlib")
    write(make_tuning(*trials), str(tmp_path / "page.HTM"))
    text = (tmp_path / "page.HTM").read_text(encoding="utf-8")
    assert text.count("<img ") == n_images
    assert ("Failures" in text) == bool(trials)


@pytest.mark.parametrize("name", ["r.md", "r.txt", "r.MD"])
def test_a_report_as_text_needs_no_matplotlib(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tuning = make_tuning(*SEVERAL)
    write(tuning, tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8") == tuning.report()


def test_a_page_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"r.html: the plots .* `pip install matplotlib`"):
        check_format("r.html")


@pytest.mark.parametrize("name", ["r.pdf", "report", "r.html.gz", ".md"])
def test_names_that_no_report_has(name):
    with pytest.raises(ValueError, match=r"the name of a report ends in .html, .md or .txt"):
        write(make_tuning(), name)


def test_the_report_of_a_search():
    texts = [f"{word} film {n}" for n in range(20) for word in ("good", "bad")]
    model = udt.UDTClassifier(max_iter=2, random_state=0, n_jobs=1)
    tuning = udt.tune(model, texts, ["pos", "neg"] * 20, n_trials=3)
    assert [section.title for section in make_report(tuning)][:2] == [
        "Tuning: accuracy", "The best trials",
    ]  # fmt: skip
    assert f"{len(tuning.trials)} trials (" in tuning.report()
