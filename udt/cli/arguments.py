"""What may be typed after ``udt``."""

from __future__ import annotations

import argparse
from typing import Any

from udt.cli.kinds import above_0, at_least, budget, label_delimiter, seconds, share

__all__ = ["UsageError", "make_parser"]

_EXAMPLES = """\
examples:
  udt inspect reviews.csv
  udt train reviews.csv --model reviews.udt
  udt predict reviews.udt new.csv --proba
  udt evaluate reviews.udt test.csv
  udt tune reviews.csv --timeout 60s --model tuned.udt
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
  udt train reviews.csv --tune 60s --model reviews.udt

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
_TUNE_EXAMPLES = """\
examples:
  udt tune reviews.csv --timeout 60s --model reviews.udt
  udt tune people.csv --target income --timeout 5m --storage study.db --report people.html
  udt tune people.csv --target income --scoring roc_auc --cv 5 --n-trials 50
  udt tune intents.parquet --text question --timeout 5m --max-model-bytes 2e6 --model small.udt

The first trial is the default; what is set with --param is not searched. Both scores that are
printed are on rows that no trial was trained on, and the time is that of the search and of the last
training, on all rows. With --storage, the same command goes on where the last one ended, and
several can run at a time. Ctrl-C ends the search, and what was best until then is trained. Needs
optuna: pip install 'udt[tune]'.
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
    _add_tune(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_quantize(commands)
    _add_inspect(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", "learn from labelled rows, write a model", _TRAIN_EXAMPLES)
    _add_training_data(train)
    train.add_argument("--model", required=True, metavar="FILE", help="where to save, e.g. my.udt")
    train.add_argument(
        "--valid",
        metavar="FILE",
        help="rows to watch while training, which stops when they no longer improve",
    )
    train.add_argument("--test", metavar="FILE", help="rows to measure the model on at the end")
    train.add_argument(
        "--tune",
        type=budget,
        metavar="BUDGET",
        help='search for better parameters before: a time such as "60s" or "5m", or a number of '
        "trials (`udt tune` tells more of what it finds)",
    )
    _add_parameters(train)
    train.add_argument("--quiet", action="store_true", help="no progress, no messages but errors")
    train.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _add_tune(commands: Any) -> None:
    tune = _command(commands, "tune", "search for better parameters", _TUNE_EXAMPLES)
    _add_training_data(tune)
    tune.add_argument(
        "--timeout", type=seconds, metavar="TIME", help='the most time, e.g. "60s", "5m" or "1h"'
    )
    tune.add_argument(
        "--n-trials",
        type=at_least(1),
        metavar="N",
        help="the most trials, with those that --storage has",
    )
    tune.add_argument(
        "--scoring",
        metavar="NAME",
        help="a scorer of scikit-learn, e.g. f1_macro (default: accuracy; with many labels a row "
        "micro-averaged F1)",
    )
    tune.add_argument(
        "--cv", type=at_least(2), metavar="K", help="folds (default: as rows and time allow)"
    )
    tune.add_argument(
        "--max-model-bytes", type=above_0, metavar="N", help="the most that a model's file takes"
    )
    tune.add_argument(
        "--max-predict-us",
        type=above_0,
        metavar="US",
        help="the most microseconds that it takes to label one row alone",
    )
    tune.add_argument(
        "--storage",
        metavar="FILE",
        help="where to keep the trials: a database (*.db), a journal (other names) or a URL",
    )
    tune.add_argument(
        "--workers",
        type=at_least(1),
        metavar="N",
        help="trials at a time, which share the threads (default: 1)",
    )
    tune.add_argument("--model", metavar="FILE", help="where to save what was found")
    tune.add_argument("--test", metavar="FILE", help="rows to measure what was found on")
    tune.add_argument(
        "--report",
        metavar="FILE",
        help="a page of what was tried: *.html with plots (needs matplotlib), *.md or *.txt",
    )
    _add_parameters(tune)
    tune.add_argument("--quiet", action="store_true", help="no progress, no messages but errors")
    tune.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _add_training_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="CSV, TSV, Parquet or JSON lines; - is stdin (CSV)"
    )
    _add_column_options(parser)
    _add_table_options(parser, sparse=True)
    _add_label_options(parser)


def _add_parameters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of udt.UDTClassifier; VALUE is JSON or plain text (repeatable)",
    )
    parser.add_argument(
        "--sifting",
        type=share(from_0=False),
        metavar="SHARE",
        help="train on about this share of rows in each pass, the hardest, e.g. 0.6",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="how weights are stored (default: float32); bfloat16 takes half the memory",
    )
    parser.add_argument("--n-jobs", type=int, metavar="N", help="threads (default: all cores)")
    parser.add_argument(
        "--random-state", type=int, metavar="S", help="seed, for the same model again"
    )


def _add_predict(commands: Any) -> None:
    predict = _command(commands, "predict", "label rows with a model", _PREDICT_EXAMPLES)
    predict.add_argument("model", metavar="MODEL", help="a .udt file")
    predict.add_argument("data", metavar="DATA", nargs="?", help="file of rows; - is stdin")
    predict.add_argument(
        "--sentence", action="append", metavar="TEXT", help="a text to label (repeatable)"
    )
    _add_text_option(predict)
    _add_table_options(predict, lines=True, sparse=True)
    predict.add_argument("--top", type=at_least(1), metavar="K", help="the K likeliest labels")
    predict.add_argument("--proba", action="store_true", help="add probabilities")
    predict.add_argument(
        "--label-delimiter",
        type=label_delimiter,
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
        type=at_least(8),
        metavar="N",
        help="about how many weights share a scale (default: 128, or 64 with 4 bits)",
    )
    quantize.add_argument(
        "--prune",
        type=share(from_0=True),
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
    show.add_argument(
        "--label", "--target", metavar="COL", help="name of the label column (default: label)"
    )
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
        "--label",
        "--target",
        default="label",
        metavar="COL",
        help="name of the label column (default: label)",
    )
    parser.add_argument(
        "--label-delimiter",
        type=label_delimiter,
        metavar="C",
        help="rows may have any number of labels, separated by this, e.g. ' ' or ';'",
    )
