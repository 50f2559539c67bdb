"""``udt predict``: rows -> their labels, a line each."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from udt.cli.arguments import UsageError
from udt.cli.output import one_line, would_overwrite, write_json
from udt.cli.reading import read_batches
from udt.cli.xmc import is_sparse, read_features

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier

__all__ = ["run"]


def run(args: argparse.Namespace) -> None:
    """Write the labels of each row."""
    if (args.data is None) == (args.sentence is None):
        raise UsageError("give either DATA (- is standard input) or --sentence")
    if args.output and would_overwrite(args.output, args.data, args.model):
        raise UsageError(f"--output {args.output} would overwrite what is read")
    from udt import load

    model = load(args.model)
    batches: Iterator[Any] = (read_features if is_sparse(model, args) else read_batches)(
        args, model
    )
    with _output(args.output) as out:
        for rows in batches:
            _write_predictions(out, model, rows, args)
            out.flush()  # who feeds line by line sees each answer at once


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        yield file


def _write_predictions(
    out: TextIO, model: UDTClassifier, rows: Any, args: argparse.Namespace
) -> None:
    from udt.cli.answers import is_multilabel, likely_labels

    if is_multilabel(model) and not args.top:
        for labels, scores in likely_labels(model, rows, scores=args.json or args.proba):
            if args.json:
                write_json(out, {"labels": labels, "probabilities": _round(scores)})
            elif args.proba:
                out.write(_pairs(labels, scores) + "\n")
            else:
                out.write(args.label_delimiter.join(map(one_line, labels)) + "\n")
        return
    if not (args.json or args.proba or args.top):
        out.writelines(f"{one_line(label)}\n" for label in model.predict(rows).tolist())
        return
    top, probabilities = model.predict_topk(rows, k=args.top or 1)
    for labels, scores in zip(top.tolist(), probabilities.tolist(), strict=True):
        if args.json and args.top:
            write_json(out, {"labels": labels, "probabilities": _round(scores)})
        elif args.json:
            write_json(out, {"label": labels[0], "probability": _round(scores)[0]})
        elif args.proba:
            out.write(_pairs(labels, scores) + "\n")
        else:
            out.write("\t".join(map(one_line, labels)) + "\n")


def _round(scores: list[float]) -> list[float]:
    return [round(score, 6) for score in scores]


def _pairs(labels: list[Any], scores: list[float]) -> str:
    pairs = zip(map(one_line, labels), scores, strict=True)
    return "\t".join(cell for label, score in pairs for cell in (label, f"{score:.6f}"))
