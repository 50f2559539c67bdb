"""What may be typed after ``udt``."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
from collections.abc import Callable
from typing import Any

__all__ = ["UsageError", "column_roles", "make_parser", "parameters"]

_EXAMPLES = """\
examples:
  udt inspect reviews.csv
  udt train reviews.csv --model reviews.udt
  udt predict reviews.udt new.csv --proba
  udt evaluate reviews.udt test.csv
  udt quantize reviews.udt small.udt --test test.csv

`udt COMMAND --help` tells more, and gives examples of each command.
"""
_TRAIN_EXAMPLES = """\
examples:
  udt train reviews.csv --model reviews.udt
  udt train train.parquet --text question --label intent --test test.parquet --model intents.udt
  udt train shop.jsonl --columns title=text,tags=categories,price=number --model shop.udt
  udt train posts.tsv --ignore id --label topics --label-delimiter ' ' --model topics.udt
  udt train train.txt --format xmc --test test.txt --model products.udt

All columns but the label are learned from; what each one holds is found out (see `udt inspect`)
unless --columns tells. A table with one column besides the label holds text. --format xmc is for
sparse rows with very many labels, as in the Extreme Classification Repository: a header of three
numbers (rows, features, labels), then lines such as `3,17 5:0.25 9:1`, ids counted from 0.
"""
_PREDICT_EXAMPLES = """\
examples:
  echo "where is my card?" | udt predict intents.udt -
  udt predict intents.udt --sentence "where is my card?" --top 3 --proba
  udt predict shop.udt new.csv --json --output predictions.jsonl
  tail -f shop.log.jsonl | udt predict shop.udt - --format jsonl
  udt predict products.udt new.txt --top 5 --proba

A table must have the columns that the model was trained on; others are passed over. Standard input
and .txt files are plain text, one text a line, unless --text or --format says that they are a
table. Each row gives one line: the label, or with --top the likeliest labels, each followed by its
probability with --proba, separated by tabs. A model of many labels a row gives all that are likely,
separated by --label-delimiter.
"""
_EVALUATE_EXAMPLES = """\
examples:
  udt evaluate intents.udt test.parquet --label intent
  udt evaluate topics.udt test.tsv --label topics --label-delimiter ' ' --json
  udt evaluate products.udt test.txt --propensity 0.6 2.6

A model of sparse rows (--format xmc) is measured by the ranking of labels: precision, propensity-
scored precision (psp), nDCG and recall of the first 1, 3 and 5.
"""
_QUANTIZE_EXAMPLES = """\
examples:
  udt quantize intents.udt small.udt
  udt quantize intents.udt small.udt --bits 4 --test test.parquet --label intent
  udt quantize reviews.udt tiny.udt --prune 0.8 --test test.csv --json

The weights become whole numbers of 8 bits, about a quarter of the memory, or of 4 bits, about an
eighth. --prune first drops a share of the n-grams of texts, those that matter least. With --test,
both models are measured as `udt evaluate` does it, and it is told how many predictions stay the
same, and how long each model takes for them. A quantised model predicts as any other, but cannot be
trained further: keep the one that it is made from.
"""
_INSPECT_EXAMPLES = """\
examples:
  udt inspect shop.jsonl
  udt inspect people.csv --label income --columns zip=category --json
  udt inspect shop.udt

A data file gives a line for each column: what it would be in a training with the same options,
the share of missing values, the number of distinct values, and some of them.
"""
_EXIT_CODES = "\nexit codes: 0 done, 1 bad data or model file, 2 bad arguments, 130 interrupted\n"
_TABLES = ["csv", "tsv", "parquet", "jsonl"]


class UsageError(Exception):
    """Arguments that argparse alone could not check."""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    from udt import __version__

    parser = argparse.ArgumentParser(
        prog="udt",
        description="Train, use and measure a classifier of texts and tables.",
        epilog=_EXAMPLES + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"udt {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_quantize(commands)
    _add_inspect(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", "learn from labelled rows, write a model", _TRAIN_EXAMPLES)
    train.add_argument(
        "data", metavar="DATA", help="CSV, TSV, Parquet or JSON lines; - is stdin (CSV)"
    )
    _add_column_options(train)
    _add_table_options(train, sparse=True)
    _add_label_options(train)
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
    train.add_argument(
        "--sifting",
        type=_share(from_0=False),
        metavar="SHARE",
        help="train on about this share of rows in each pass, the hardest, e.g. 0.6",
    )
    train.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="how weights are stored (default: float32); bfloat16 takes half the memory",
    )
    train.add_argument("--n-jobs", type=int, metavar="N", help="threads (default: all cores)")
    train.add_argument(
        "--random-state", type=int, metavar="S", help="seed, for the same model again"
    )
    train.add_argument("--quiet", action="store_true", help="no progress, no messages but errors")
    train.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _add_predict(commands: Any) -> None:
    predict = _command(commands, "predict", "label rows with a model", _PREDICT_EXAMPLES)
    predict.add_argument("model", metavar="MODEL", help="a .udt file")
    predict.add_argument("data", metavar="DATA", nargs="?", help="file of rows; - is stdin")
    predict.add_argument(
        "--sentence", action="append", metavar="TEXT", help="a text to label (repeatable)"
    )
    _add_text_option(predict)
    _add_table_options(predict, lines=True, sparse=True)
    predict.add_argument("--top", type=_at_least(1), metavar="K", help="the K likeliest labels")
    predict.add_argument("--proba", action="store_true", help="add probabilities")
    predict.add_argument(
        "--label-delimiter",
        type=_label_delimiter,
        default=" ",
        metavar="C",
        help="what to put between many labels of a row (default: a space)",
    )
    predict.add_argument("--output", metavar="FILE", help="write there instead of to stdout")
    predict.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_evaluate(commands: Any) -> None:
    evaluate = _command(commands, "evaluate", "measure a model", _EVALUATE_EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL", help="a .udt file")
    evaluate.add_argument(
        "data", metavar="DATA", help="labelled CSV, TSV, Parquet or JSON lines; - is stdin"
    )
    _add_text_option(evaluate)
    _add_test_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")


def _add_quantize(commands: Any) -> None:
    quantize = _command(commands, "quantize", "make a model smaller", _QUANTIZE_EXAMPLES)
    quantize.add_argument("model", metavar="IN", help="a .udt file")
    quantize.add_argument("smaller", metavar="OUT", help="where to save the smaller model")
    quantize.add_argument(
        "--bits", type=int, choices=[8, 4], default=8, help="bits of a weight (default: 8)"
    )
    quantize.add_argument(
        "--block",
        type=_at_least(8),
        metavar="N",
        help="about how many weights share a scale (default: 128, or 64 with 4 bits)",
    )
    quantize.add_argument(
        "--prune",
        type=_share(from_0=True),
        default=0.0,
        metavar="SHARE",
        help="share of the n-grams to drop, e.g. 0.5 (default: 0)",
    )
    quantize.add_argument(
        "--test", dest="data", metavar="FILE", help="labelled rows to compare the models on"
    )
    _add_text_option(quantize)
    _add_test_options(quantize)
    quantize.add_argument("--quiet", action="store_true", help="no messages but errors")
    quantize.add_argument("--json", action="store_true", help="print one JSON object")


def _add_inspect(commands: Any) -> None:
    show = _command(commands, "inspect", "show what a file holds", _INSPECT_EXAMPLES)
    show.add_argument("file", metavar="FILE", help="a data file, - for stdin, or a .udt file")
    _add_column_options(show)
    _add_table_options(show)
    show.add_argument("--label", metavar="COL", help="name of the label column (default: label)")
    show.add_argument("--json", action="store_true", help="print one JSON object")


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


def _add_text_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text", metavar="COL", help="name of the text column, where it is not the model's"
    )


def _add_column_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text", metavar="COL", help="take this column as text, and no other (default: all)"
    )
    parser.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="COL=ROLE,...",
        help="what columns hold: text, category, categories, number, date, flag or ignored, with a "
        "? at the end if predict may do without; or a JSON object (repeatable)",
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="COL", help="leave it out (repeatable)"
    )


def _add_table_options(
    parser: argparse.ArgumentParser, *, lines: bool = False, sparse: bool = False
) -> None:
    parser.add_argument(
        "--format",
        choices=[*_TABLES, *(["lines"] if lines else []), *(["xmc"] if sparse else [])],
        help="format of the data (default: by the ending of its name)",
    )
    if sparse:
        parser.add_argument(
            "--on-bad-lines",
            choices=["error", "skip"],
            help="what to do with malformed lines of sparse rows (default: error)",
        )
    parser.add_argument("--delimiter", metavar="C", help="what separates columns, e.g. ';'")


def _add_test_options(parser: argparse.ArgumentParser) -> None:
    _add_table_options(parser, sparse=True)
    parser.add_argument(
        "--propensity",
        nargs=2,
        type=float,
        metavar=("A", "B"),
        help="parameters of label propensities (default: 0.55 1.5)",
    )
    _add_label_options(parser)


def _add_label_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--label", default="label", metavar="COL", help="name of the label column (default: label)"
    )
    parser.add_argument(
        "--label-delimiter",
        type=_label_delimiter,
        metavar="C",
        help="rows may have any number of labels, separated by this, e.g. ' ' or ';'",
    )


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is not {least} or more")
        return value

    return whole_number


def _share(*, from_0: bool) -> Callable[[str], float]:
    """Give a reader of shares: from 0 to below 1, or above 0 and up to 1."""

    def share(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if from_0 and not 0 <= value < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to below 1")
        if not from_0 and not 0 < value <= 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
        return value

    return share


def _label_delimiter(text: str) -> str:
    text = {"\\t": "\t"}.get(text, text)
    if not text or "\n" in text or "\r" in text:
        raise argparse.ArgumentTypeError(f"{text!r} cannot separate labels; take a space, ';', ...")
    return text


# ------------------------------------------------------------------------------ columns, parameters


def column_roles(args: argparse.Namespace) -> dict[str, str]:
    """Read --columns, and see that it agrees with --text, --ignore and --label.

    Raises
    ------
    UsageError
        If an item is no COL=ROLE, or a column has two roles or none to have.
    """
    if args.text is not None and (args.columns or args.ignore):
        raise UsageError(
            "--text takes one column and leaves out the others; with --columns or --ignore write "
            f"--columns {args.text}=text"
        )
    roles: dict[str, str] = {}
    for given in args.columns:
        for name, role in _column_items(given):
            if name in roles:
                raise UsageError(f"--columns {given}: column {name!r} is given twice")
            if name in args.ignore:
                raise UsageError(f"--columns {given}: column {name!r} is in --ignore too")
            if name == args.label:
                raise UsageError(f"--columns {given}: column {name!r} is the label")
            roles[name] = role
    return roles


def _column_items(given: str) -> list[tuple[str, str]]:
    from udt.columns import ROLES

    items: list[tuple[str, Any]] = []
    if given.lstrip().startswith("{"):  # for names with commas
        try:
            items = list(json.loads(given).items())
        except ValueError as error:
            raise UsageError(f"--columns {given}: not a JSON object ({error})") from error
    else:
        for item in given.split(","):
            name, equals, role = item.rpartition("=")
            if not equals:
                raise UsageError(f"--columns {given}: write it as COL=ROLE,COL=ROLE,...")
            items.append((name, role))
    for name, role in items:
        if not isinstance(role, str) or role.removesuffix("?") not in {*ROLES, ""} or not role:
            raise UsageError(
                f"--columns {given}: column {name!r} cannot be {role!r}; "
                f"take one of {', '.join(ROLES)}"
            )
    return items


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Turn --param, --columns, --sifting and the like into constructor arguments."""
    from udt import UDTClassifier

    known = inspect.signature(UDTClassifier).parameters
    found: dict[str, Any] = {}
    for item in args.param:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--param {item}: write it as NAME=VALUE")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"--param {item}: there is no parameter {name!r}; {hint}"
                f"There are: {', '.join(known)}"
            )
        if name in found:
            raise UsageError(f"--param {item}: {name} is given twice")
        found[name] = _parse_value(value)
    roles = column_roles(args) or (None if args.text is None else {args.text: "text"})
    options = {
        "columns": roles,
        "sifting": args.sifting,
        "dtype": args.dtype,
        "n_jobs": args.n_jobs,
        "random_state": args.random_state,
    }
    for name, value in options.items():
        if value is not None:
            if name in found:
                raise UsageError(f"--{name.replace('_', '-')} and --param {name} are both given")
            found[name] = value
    return found


def _parse_value(text: str) -> Any:
    """JSON where it is JSON, a str otherwise; a JSON list becomes the tuple that Python has."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(text, text)
    return tuple(value) if isinstance(value, list) else value
