"""The report of a search in a file: as Markdown, or as a web page with plots."""

from __future__ import annotations

import base64
import html
import io
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from udt.tuning.report import Section, Table, importances, make_report, to_markdown
from udt.tuning.trials import STEPS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from udt.tuning.result import Tuning

_PAGES, _TEXTS = (".html", ".htm"), (".md", ".txt")
#: Parameters that are plotted.
_N_SLICES = 4
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; \
padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd; }}
.number {{ text-align: right; white-space: nowrap; }}
pre {{ white-space: pre-wrap; }}
img {{ max-width: 100%; display: block; margin: 1rem 0; }}
</style>
<body>
{body}
</body>
</html>
"""


def check_format(path: str | os.PathLike[str]) -> None:
    """See that a report can be written, which is better found out before a search.

    Raises
    ------
    ValueError
        If the name of the file does not end as that of a report does.
    ModuleNotFoundError
        If it is a page, and there is no matplotlib.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in (*_PAGES, *_TEXTS):
        raise ValueError(f"{os.fspath(path)}: the name of a report ends in .html, .md or .txt.")
    if ending in _PAGES:
        try:
            import matplotlib  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{os.fspath(path)}: the plots of a page need the package matplotlib, which is not "
                "installed: `pip install matplotlib`. A report as .md has none."
            ) from error


def write(tuning: Tuning, path: str | os.PathLike[str]) -> None:
    """Write the report of a search to a file.

    Parameters
    ----------
    tuning : Tuning
    path : str or path-like
        ``*.html`` for one page with plots, which needs nothing besides; ``*.md`` or ``*.txt``.

    Raises
    ------
    ValueError, ModuleNotFoundError
        As `check_format` does.
    OSError
        If the file cannot be written.
    """
    check_format(path)
    sections = make_report(tuning)
    is_page = os.path.splitext(path)[1].lower() in _PAGES
    text = _page(sections, tuning) if is_page else to_markdown(sections)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _page(sections: list[Section], tuning: Tuning) -> str:
    parts: list[str] = []
    for number, section in enumerate(sections):
        size = 2 if number else 1
        parts.append(f"<h{size}>{html.escape(section.title)}</h{size}>")
        parts += [_html(part) for part in section.parts]
    plots = [
        f'<img alt="{html.escape(title)}" src="data:image/png;base64,{_png(figure)}">'
        for title, figure in _plots(tuning)
    ]
    if plots:
        parts += ["<h2>Plots</h2>", *plots]
    return _PAGE.format(title=html.escape(sections[0].title), body="\n".join(parts))


def _html(part: str | Table) -> str:
    if not isinstance(part, Table):
        return f"<{'pre' if part.startswith('- ') else 'p'}>{html.escape(part)}"
    lines = []
    for number, row in enumerate(part.rows):
        tag = "td" if number else "th"
        kinds = (" class=number" if i in part.right else "" for i in range(len(row)))
        cells = (
            f"<{tag}{kind}>{html.escape(cell)}</{tag}>"
            for cell, kind in zip(row, kinds, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _png(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _plots(tuning: Tuning) -> Iterator[tuple[str, Figure]]:
    """Yield Optuna's plots with their titles; each is closed when the next is asked for."""
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as plots

    study, name = tuning.study, tuning.metric
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return
    shares = importances(study)
    makers: dict[str, Any] = {
        "Scores of complete trials": lambda: plots.plot_optimization_history(
            study, target_name=name
        ),
        f"Scores in the course of trials ({STEPS} steps a part)": lambda: (
            plots.plot_intermediate_values(study)
        ),
    }
    if shares:
        chosen = list(shares)[:_N_SLICES]
        makers["Importance of parameters"] = lambda: plots.plot_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
        )
        makers["Scores by the most important parameters"] = lambda: plots.plot_slice(
            study, params=chosen, target_name=name
        )
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("ignore")  # they are experimental, and few trials make odd axes
        for title, make in makers.items():
            several = list(getattr(axes := make(), "flat", [axes]))
            for each in several:
                _tidy(each, name)
            figure = several[0].figure
            figure.set_layout_engine("constrained")
            figure.set_size_inches(9, 3.5)
            figure.suptitle(title)
            yield title, figure
            plt.close(figure)


def _tidy(axes: Axes, metric: str) -> None:
    """Take away what repeats: titles, legends of each trial, ticks that run into each other."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_title("", loc="left")
    axes.set_title("")
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
    if axes.get_ylabel() in ("Intermediate Value", "Hyperparameter"):
        axes.set_ylabel(metric if axes.get_ylabel() == "Intermediate Value" else "")
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
