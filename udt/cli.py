"""The command line: ``udt train``, ``udt predict`` and ``udt evaluate``.

Results go to standard output, everything else to standard error. Nothing heavy is imported before
the arguments are known to be right.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import inspect
import io
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from udt.classifier import UDTClassifier
    from udt.io import TextTable

__all__ = ["main"]

_OK, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130
_BATCH = 65_536  # rows predicted at a time
_CELLS = 1 << 24  # at most so many rows x classes of probabilities at a time

_TRAIN_EXAMPLES = """\
examples:
  udt train reviews.csv --model reviews.udt
  udt train train.parquet --text question --label intent --test test.parquet --model intents.udt
  udt train titles.tsv --model titles.udt --param max_iter=5 --param 'word_ngrams=[1, 3]'
"""
_PREDICT_EXAMPLES = """\
examples:
  echo "where is my card?" | udt predict intents.udt -
  udt predict intents.udt --sentence "where is my card?" --top 3 --proba
  udt predict intents.udt test.parquet --text question --json --output predictions.jsonl

Standard input and .txt files are plain text, one text a line, unless --text or --format says that
they are a table. Each text gives one line: the label, or with --top the likeliest labels, each
followed by its probability with --proba, separated by tabs.
"""
_EVALUATE_EXAMPLES = """\
examples:
  udt evaluate intents.udt test.parquet --text question --label intent
  udt evaluate reviews.udt test.csv --json
"""
_EXIT_CODES = "\nexit codes: 0 done, 1 bad data or model file, 2 bad arguments, 130 interrupted\n"


class _UsageError(Exception):
    """Arguments that argparse alone could not check."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        The arguments; None takes those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 1 the work failed (bad data or model file), 2 bad arguments,
        130 interrupted.

    Examples
    --------
    >>> main(["predict", "none.udt", "--sentence", "hello"])
    1
    """
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong, or has printed the help
        return stop.code if isinstance(stop.code, int) else _USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # labels may hold lone surrogates
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            args.run(args)
            sys.stdout.flush()
        return _OK
    except BrokenPipeError:  # `| head` has read enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except _UsageError as error:
        _say(f"udt {args.command}: error: {error}")
        return _USAGE
    except MemoryError as error:
        _say(f"udt {args.command}: error: not enough memory. {error}")
    except OSError as error:
        known = error.filename is not None and error.strerror is not None
        problem = f"{error.filename}: {error.strerror}" if known else str(error)
        _say(f"udt {args.command}: error: {problem}")
    except (ValueError, TypeError) as error:
        _say(f"udt {args.command}: error: {error}")
    return _FAILED


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    _say(f"udt: warning: {message}")


# ------------------------------------------------------------------------------------- arguments


def _parser() -> argparse.ArgumentParser:
    from udt import __version__

    parser = argparse.ArgumentParser(
        prog="udt",
        description="Train, use and measure a text classifier: text in, label out.",
        epilog=_TRAIN_EXAMPLES + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"udt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = _command(commands, "train", "learn from labelled text, write a model", _TRAIN_EXAMPLES)
    train.set_defaults(run=_train)
    train.add_argument("data", metavar="DATA", help="CSV, TSV or Parquet file; - is stdin (CSV)")
    _add_table_options(train)
    _add_label_option(train)
    train.add_argument("--model", required=True, metavar="FILE", help="where to save, e.g. my.udt")
    train.add_argument(
        "--valid",
        metavar="FILE",
        help="rows to watch while training, which stops when they no longer improve",
    )
    train.add_argument("--test", metavar="FILE", help="rows to measure the model on at the end")
    train.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of udt.UDTClassifier; VALUE is JSON or plain text (repeatable)",
    )
    train.add_argument("--n-jobs", type=int, metavar="N", help="threads (default: all cores)")
    train.add_argument(
        "--random-state", type=int, metavar="S", help="seed, for the same model again"
    )
    train.add_argument("--quiet", action="store_true", help="no progress, no messages but errors")
    train.add_argument("--json", action="store_true", help="print the result as one JSON object")

    predict = _command(commands, "predict", "label texts with a model", _PREDICT_EXAMPLES)
    predict.set_defaults(run=_predict)
    predict.add_argument("model", metavar="MODEL", help="a .udt file")
    predict.add_argument("data", metavar="DATA", nargs="?", help="file of texts; - is stdin")
    predict.add_argument(
        "--sentence", action="append", metavar="TEXT", help="a text to label (repeatable)"
    )
    _add_table_options(predict, lines=True)
    predict.add_argument("--top", type=_positive, metavar="K", help="the K likeliest labels")
    predict.add_argument("--proba", action="store_true", help="add probabilities")
    predict.add_argument("--output", metavar="FILE", help="write there instead of to stdout")
    predict.add_argument("--json", action="store_true", help="print one JSON object a line")

    evaluate = _command(commands, "evaluate", "measure a model", _EVALUATE_EXAMPLES)
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="a .udt file")
    evaluate.add_argument("data", metavar="DATA", help="labelled CSV, TSV or Parquet; - is stdin")
    _add_table_options(evaluate)
    _add_label_option(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _command(commands: Any, name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=examples + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def _add_table_options(parser: argparse.ArgumentParser, *, lines: bool = False) -> None:
    formats = ["csv", "tsv", "parquet", *(["lines"] if lines else [])]
    parser.add_argument("--text", metavar="COL", help="name of the text column (default: text)")
    parser.add_argument(
        "--format", choices=formats, help="format of the data (default: by the ending of its name)"
    )
    parser.add_argument("--delimiter", metavar="C", help="what separates columns, e.g. ';'")


def _add_label_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label", default="label", metavar="COL", help="name of the label column (default: label)"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not 1 or more")
    return value


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Turn --param, --n-jobs and --random-state into constructor arguments."""
    from udt import UDTClassifier

    known = inspect.signature(UDTClassifier).parameters
    parameters: dict[str, Any] = {}
    for item in args.param:
        name, equals, value = item.partition("=")
        if not equals:
            raise _UsageError(f"--param {item}: write it as NAME=VALUE")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise _UsageError(
                f"--param {item}: there is no parameter {name!r}; {hint}"
                f"There are: {', '.join(known)}"
            )
        if name in parameters:
            raise _UsageError(f"--param {item}: {name} is given twice")
        parameters[name] = _parse_value(value)
    for name in ("n_jobs", "random_state"):
        if (value := getattr(args, name)) is not None:
            if name in parameters:
                raise _UsageError(f"--{name.replace('_', '-')} and --param {name} are both given")
            parameters[name] = value
    return parameters


def _parse_value(text: str) -> Any:
    """JSON where it is JSON, a str otherwise; a JSON list becomes the tuple that Python has."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(text, text)
    return tuple(value) if isinstance(value, list) else value


# ----------------------------------------------------------------------------------------- train


def _train(args: argparse.Namespace) -> None:
    from udt import UDTClassifier

    parameters = _parameters(args)
    folder = os.path.dirname(os.path.realpath(args.model))
    if not os.path.isdir(folder) or os.path.isdir(args.model):  # found out before the long part
        raise _UsageError(f"--model {args.model}: that is a folder, or lies in none that exists")
    if [args.data, args.valid, args.test].count("-") > 1:
        raise _UsageError("only one of DATA, --valid and --test can be standard input")
    say = _no_message if args.quiet else _say

    start = time.perf_counter()
    rows = _read_labelled(args.data, args)
    assert rows.labels is not None
    held_out = {
        name: _read_labelled(path, args, like=rows.labels)
        for name, path in [("valid", args.valid), ("test", args.test)]
        if path is not None
    }
    read_seconds = time.perf_counter() - start
    say(f"read {len(rows):,} rows from {args.data} in {read_seconds:.1f} s")

    parameters.setdefault("verbose", int(sys.stderr.isatty() and not args.quiet))
    if isinstance(parameters.get("class_weight"), dict) and rows.labels.dtype.kind in "iu":
        weights = parameters["class_weight"].items()  # JSON has no integers as keys
        parameters["class_weight"] = {int(label): weight for label, weight in weights}
    validation: dict[str, Any] = {}
    if valid := held_out.get("valid"):
        parameters.setdefault("early_stopping", True)
        validation = {"X_val": valid.text, "y_val": valid.labels}
    start = time.perf_counter()
    model = UDTClassifier(**parameters).fit(rows.text, rows.labels, **validation)
    fit_seconds = time.perf_counter() - start
    say(f"trained {len(model.classes_):,} classes in {fit_seconds:.1f} s")

    model.save(args.model)
    size = os.path.getsize(args.model)
    say(f"saved {args.model} ({size / 1e6:.1f} MB)")
    result = {
        "model": args.model,
        "bytes": size,
        "rows": len(rows),
        "classes": len(model.classes_),
        "passes": model.n_iter_,
        "read_seconds": round(read_seconds, 3),
        "fit_seconds": round(fit_seconds, 3),
    }
    measures = {name: _measure(model, table) for name, table in held_out.items()}
    if args.json:
        _write_json(sys.stdout, {**result, **measures})
        return
    for name, measured in measures.items():
        sys.stdout.write(f"{name}\n")
        _write_measures(measured)


def _no_message(message: str) -> None:
    """Stand in for `_say` under --quiet."""


def _read_labelled(
    path: str, args: argparse.Namespace, like: np.ndarray | None = None
) -> TextTable:
    from udt.io import read_table

    return read_table(
        path,
        text=args.text or "text",
        label=args.label,
        # What --format says is about DATA; the other files of a training go by their own names.
        format=args.format if path == args.data else None,
        delimiter=args.delimiter,
        labels_like=like,
    )


# --------------------------------------------------------------------------------------- predict


def _predict(args: argparse.Namespace) -> None:
    if (args.data is None) == (args.sentence is None):
        raise _UsageError("give either DATA (- is standard input) or --sentence")
    if args.output and os.path.exists(args.output):
        sources = [path for path in (args.data, args.model) if path and os.path.exists(path)]
        if any(os.path.samefile(path, args.output) for path in sources):
            raise _UsageError(f"--output {args.output} would overwrite what is read")
    from udt import load

    model = load(args.model)
    with _output(args.output) as out:
        for texts in _batches(args):
            _write_predictions(out, model, texts, args)
            out.flush()  # who feeds line by line sees each answer at once


@contextlib.contextmanager
def _output(path: str | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        yield file


def _batches(args: argparse.Namespace) -> Iterator[list[str] | pa.ChunkedArray]:
    if args.sentence is not None:
        yield args.sentence
        return
    from udt.io import guess_format, read_lines, read_table

    is_table = args.text is not None or args.delimiter is not None
    default = "lines" if args.data == "-" and not is_table else None
    format = args.format or default or guess_format(args.data)
    if format == "lines":
        if is_table:
            raise _UsageError(f"{args.data} is plain text; --format says what table it is")
        yield from read_lines(args.data)
        return
    table = read_table(args.data, text=args.text or "text", format=format, delimiter=args.delimiter)
    for begin in range(0, len(table), _BATCH):
        yield table.text.slice(begin, _BATCH)


def _write_predictions(
    out: TextIO, model: UDTClassifier, texts: list[str] | pa.ChunkedArray, args: argparse.Namespace
) -> None:
    if not (args.json or args.proba or args.top):
        out.writelines(f"{_one_line(label)}\n" for label in model.predict(texts).tolist())
        return
    labels, probabilities = model.predict_topk(texts, k=args.top or 1)
    for row, scores in zip(labels.tolist(), probabilities.tolist(), strict=True):
        scores = [round(score, 6) for score in scores]
        if args.json and args.top:
            _write_json(out, {"labels": row, "probabilities": scores})
        elif args.json:
            _write_json(out, {"label": row[0], "probability": scores[0]})
        else:
            cells = [_one_line(label) for label in row]
            if args.proba:
                pairs = zip(cells, scores, strict=True)
                cells = [cell for label, score in pairs for cell in (label, f"{score:.6f}")]
            out.write("\t".join(cells) + "\n")


def _one_line(label: object) -> str:
    """Text of a label that keeps to its line and its column."""
    text = label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)
    if text.isprintable():
        return text
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _write_json(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value, default=_one_line) + "\n")


# -------------------------------------------------------------------------------------- evaluate


def _evaluate(args: argparse.Namespace) -> None:
    from udt import load

    model = load(args.model)
    measured = _measure(model, _read_labelled(args.data, args, like=model.classes_))
    if args.json:
        _write_json(sys.stdout, measured)
    else:
        _write_measures(measured)


def _write_measures(measured: dict[str, Any]) -> None:
    for name, value in measured.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        sys.stdout.write(f"{name.replace('_', ' '):<20}{shown:>12}\n")


def _measure(model: UDTClassifier, table: TextTable) -> dict[str, Any]:
    """Accuracy, macro-averaged F1 and log loss, in batches that bound the memory.

    A label that the model has never seen counts as an error, and has no part in the log loss.
    """
    import numpy as np
    from sklearn.metrics import f1_score

    assert table.labels is not None
    n_classes = len(model.classes_)
    codes = {label: code for code, label in enumerate(model.classes_.tolist())}
    # setdefault evaluates len(codes) before it adds: labels never seen get the codes after.
    actual = np.array([codes.setdefault(label, len(codes)) for label in table.labels.tolist()])
    predicted = np.empty_like(actual)
    loss = 0.0
    start = time.perf_counter()
    step = max(1, min(_BATCH, _CELLS // n_classes))
    for begin in range(0, len(table), step):
        batch = slice(begin, begin + step)
        proba = model.predict_proba(table.text.slice(begin, step))
        predicted[batch] = proba.argmax(axis=1)
        seen = np.flatnonzero(actual[batch] < n_classes)
        right = proba[seen, actual[batch][seen]]
        loss -= float(np.log(np.maximum(right, np.finfo(np.float32).eps)).sum(dtype=np.float64))
    seconds = time.perf_counter() - start
    n_seen = int((actual < n_classes).sum())
    macro_f1 = f1_score(actual, predicted, average="macro", zero_division=0)
    return {
        "accuracy": round(float((actual == predicted).mean()), 6),
        "macro_f1": round(float(macro_f1), 6),
        "log_loss": round(loss / n_seen, 6) if n_seen else None,
        "rows": len(table),
        "rows_of_unknown_label": len(table) - n_seen,
        "seconds": round(seconds, 3),
    }
