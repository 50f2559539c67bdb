"""One page about a search: what was tried, and what mattered."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from udt.tuning.run import is_confirmed
from udt.tuning.trials import STEPS

if TYPE_CHECKING:
    from udt.tuning.result import Tuning

#: Complete trials from which on importances of parameters tell something.
_ENOUGH = 10
#: Lines of a table, and characters of a message.
_MOST, _LONGEST = 10, 200


@dataclass(frozen=True)
class Table:
    """Cells in rows, the first of which is the head. Columns of numbers are told by ``right``."""

    rows: list[list[str]]
    right: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A title, and paragraphs and tables below it."""

    title: str
    parts: list[str | Table]


def make_report(tuning: Tuning) -> list[Section]:
    """Tell of a search, in sections of which some may be missing."""
    trials = [t for t in tuning.study.get_trials(deepcopy=False) if t.state != TrialState.WAITING]
    sections = [
        _result(tuning, trials),
        _best_trials(tuning, trials),
        _single_changes(trials),
        _importances(tuning.study),
        _failures(tuning),
    ]
    return [section for section in sections if section.parts]


def shown_score(score: float | None) -> str:
    """Text of a score."""
    return "not measured" if score is None else f"{score:.4f}"


def shown_changes(changes: dict[str, Any]) -> str:
    """Text of parameters."""
    texts = (
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in changes.items()
    )
    return ", ".join(texts) or "nothing"


def to_markdown(sections: Iterable[Section]) -> str:
    """Give sections as Markdown that is read without a viewer, too."""
    blocks: list[str] = []
    for number, section in enumerate(sections):
        blocks.append(f"{'##' if number else '#'} {section.title}")
        blocks += [_table(part) if isinstance(part, Table) else part for part in section.parts]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.rows]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * (w - 1) + (":" if i in table.right else "-") for i, w in enumerate(widths)]
    lines = [
        " | ".join(
            cell.rjust(width) if number in table.right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (rows[0], rule, *rows[1:])
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _result(tuning: Tuning, trials: list[FrozenTrial]) -> Section:
    states = Counter(trial.state.name.lower() for trial in trials)
    number = ", ".join(f"{n} {state}" for state, n in states.most_common())
    how = f"{len(trials)} trials ({number})" if trials else "No search"
    how += f", {tuning.seconds:.1f} s with the last training on all rows."
    how += _plan(tuning.study, trials)
    scores = Table(
        [
            [tuning.metric, "default", "found"],
            ["on sealed rows", shown_score(tuning.default_score), shown_score(tuning.score)],
            ["mean over folds", *_values(tuning, trials)],
        ],
        right=(1, 2),
    )
    return Section(f"Tuning: {tuning.metric}", [scores, _verdict(tuning, trials), how])


def _plan(study: optuna.Study, trials: list[FrozenTrial]) -> str:
    """Say what complete trials went through."""
    n_folds = max((len(t.user_attrs.get("scores", [])) for t in trials), default=0)
    if not n_folds:
        return ""
    _, share, is_preliminary = study.user_attrs["plan"]
    folds = "1 fold" if n_folds == 1 else f"{n_folds} folds"
    first = "a quarter of the rows to train on, then " if is_preliminary else ""
    rows = f", of {share:.0%} of the rows" if share < 1 else ""
    return f" Parts of a trial: {first}{folds}{rows}."


def _values(tuning: Tuning, trials: list[FrozenTrial]) -> tuple[str, str]:
    values = {t.number: t.value for t in trials if t.state == TrialState.COMPLETE}
    best = None if tuning.best_trial is None else values.get(tuning.best_trial)
    return shown_score(values.get(0)), shown_score(best)


def _verdict(tuning: Tuning, trials: list[FrozenTrial]) -> str:
    """Say what was changed, and why the trial of the best score was not taken, if it was not."""
    changes = tuning.best_params
    verdict = f"Changed: {shown_changes(changes)}." if changes else "Nothing was changed."
    complete = _by_score(trials)
    taken = next((trial for trial in complete if trial.number == tuning.best_trial), None)
    if taken is None:
        return verdict
    top = complete[0]
    if top.value == taken.value:
        return verdict if changes else f"{verdict} No trial was better than the default."
    reason = "a training on all rows takes too long, or makes too large a model"
    if max(top.user_attrs.get("excess", []), default=0) > 0:
        reason = "it does not keep the limits"
    elif not changes and not is_confirmed(top, taken):
        reason = "it is not better than the default with the sealed rows"
    return f"{verdict} Trial {top.number} has a better score, but {reason}."


def _by_score(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Give complete trials, the best first."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: -_number(trial.value))


def _number(value: float | None) -> float:
    assert value is not None  # complete trials have one
    return value


def _best_trials(tuning: Tuning, trials: list[FrozenTrial]) -> Section:
    complete = _by_score(trials)[:_MOST]
    needs = {"bytes": "file, kB", "micros": "one row, us"}
    needs = {k: v for k, v in needs.items() if any(k in _needs(t) for t in complete)}
    rows = [["trial", "score", "sealed score", "seconds", *needs.values(), "changes"]]
    for trial in complete:
        seconds = trial.duration.total_seconds() if trial.duration else 0.0
        scales = {"bytes": 1e-3, "micros": 1.0}
        limited = [f"{_needs(trial)[k] * scales[k]:,.0f}" if _needs(trial) else "" for k in needs]
        name = f"{trial.number} (taken)" if trial.number == tuning.best_trial else str(trial.number)
        sealed = shown_score(trial.user_attrs.get("sealed"))
        rows.append(
            [name, shown_score(trial.value), sealed, f"{seconds:.1f}", *limited, _changes(trial)]
        )
    right = tuple(range(1, len(rows[0]) - 1))
    parts: list[str | Table] = [
        "Chosen by the score, the mean over folds. No trial is trained on sealed rows.",
        Table(rows, right),
    ]
    return Section("The best trials", parts if complete else [])


def _needs(trial: FrozenTrial) -> dict[str, float]:
    found: dict[str, float] = trial.user_attrs.get("needs", {})
    return found


def _changes(trial: FrozenTrial) -> str:
    changes = trial.user_attrs.get("changes", {})
    return shown_changes(changes) if changes else "the default"


def _single_changes(trials: list[FrozenTrial]) -> Section:
    """Tell what each change that was tried alone does to the score."""
    found: list[tuple[float, int, str]] = []
    for trial in trials[1:]:
        common = trial.intermediate_values.keys() & trials[0].intermediate_values.keys()
        if len(trial.user_attrs.get("changes", {})) == 1 and common:
            last = max(common)
            gain = trial.intermediate_values[last] - trials[0].intermediate_values[last]
            found.append((gain, last, _changes(trial)))
    found.sort(reverse=True)
    rows = [["change", "gain", "parts"]]
    rows += [[what, f"{gain:+.4f}", f"{last / STEPS:.1f}"] for gain, last, what in found[:_MOST]]
    parts: list[str | Table] = [
        "Against the default, on the same rows, after as many parts as the trial went through:",
        Table(rows, right=(1, 2)),
    ]
    return Section("Single changes", parts if found else [])


def importances(study: optuna.Study) -> dict[str, float]:
    """Give the share of each parameter in what scores differ by, by fANOVA [1]_.

    References
    ----------
    .. [1] F. Hutter, H. Hoos and K. Leyton-Brown, "An efficient approach for assessing
       hyperparameter importance", ICML 2014.

    Returns
    -------
    dict of str to float
        The largest first. Empty where there are too few complete trials, or none differs.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < _ENOUGH or len({trial.value for trial in complete}) == 1:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some part of it is experimental in some version
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _importances(study: optuna.Study) -> Section:
    shares = importances(study)
    rows = [["parameter", "share"]]
    largest = [(name, share) for name, share in shares.items() if share >= 0.005][:_MOST]
    rows += [[name, f"{share:.0%}"] for name, share in largest]
    parts: list[str | Table] = [
        "Shares of the variance of scores (fANOVA); the fewer complete trials, the rougher:",
        Table(rows, right=(1,)),
    ]
    return Section("Importance of parameters", parts if shares else [])


def _failures(tuning: Tuning) -> Section:
    reasons = Counter(tuning.failures.values()).most_common()
    lines = [
        f"- {n} {'trial' if n == 1 else 'trials'}: {' '.join(reason.split())[:_LONGEST]}"
        for reason, n in reasons[:_MOST]
    ]
    return Section("Failures", ["\n".join(lines)] if lines else [])
