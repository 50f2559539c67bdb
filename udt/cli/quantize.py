"""``udt quantize``: a model -> a smaller one, and what the two have in common."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from udt.cli.arguments import UsageError
from udt.cli.evaluate import measure, read_for
from udt.cli.output import check_place, say, size, would_overwrite, write_json, write_rows
from udt.cli.xmc import SparseRows

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier
    from udt.io import LabelledTable

__all__ = ["run"]

_OF_TEST = "text", "format", "on_bad_lines", "delimiter", "propensity", "label_delimiter"


def run(args: argparse.Namespace) -> None:
    """Quantise, save and perhaps measure a model."""
    _check(args)
    from udt import load
    from udt.quantization import weights_bytes

    model = load(args.model)
    smaller = model.quantize(args.bits, block=args.block, prune=args.prune)
    rows = None if args.data is None else read_for(model, args)  # bad ones before anything is saved
    smaller.save(args.smaller)
    if not args.quiet:
        say(f"saved {args.smaller}")
    sides: list[dict[str, Any]] = [
        {"weights_bytes": weights_bytes(each), "file_bytes": os.path.getsize(path)}
        for each, path in ((model, args.model), (smaller, args.smaller))
    ]
    both = {} if rows is None else _compare(model, smaller, rows, sides)
    if args.json:
        before, after = sides
        about = {"model": args.smaller, **(smaller.quantization_ or {})}
        write_json(sys.stdout, {**about, "before": before, "after": after, **both})
    else:
        _write(sides, both)


def _check(args: argparse.Namespace) -> None:
    check_place("OUT", args.smaller)
    if would_overwrite(args.smaller, args.model, args.data):
        raise UsageError(f"OUT {args.smaller} would overwrite what is read")
    if args.data is None:
        given = [name for name in _OF_TEST if getattr(args, name) is not None]
        if args.label != "label":
            given.append("label")
        if given:
            option = given[0].replace("_", "-")
            raise UsageError(f"--{option} is about the rows of --test, which is not given")


def _compare(
    before: UDTClassifier,
    after: UDTClassifier,
    rows: LabelledTable | SparseRows,
    sides: list[dict[str, Any]],
) -> dict[str, Any]:
    """Measure both models into ``sides``, and give what they have in common."""
    from udt.quantization import compare

    found = compare(before, after, rows.features)
    for side, model, seconds in zip(sides, (before, after), found.seconds, strict=True):
        side |= {**measure(model, rows), "seconds": round(seconds, 6)}
    shared = {name: sides[0][name] for name in sides[0] if name.startswith(("rows", "skipped"))}
    for side in sides:
        for name in shared:
            del side[name]
    return {**shared, "same_predictions": round(found.agreement, 6)}


def _write(sides: list[dict[str, Any]], both: dict[str, Any]) -> None:
    table = [["", "before", "after"]]
    for name in sides[0]:
        values = [side[name] for side in sides]
        shown = [size(value) if name.endswith("_bytes") else str(value) for value in values]
        table.append([name.removesuffix("_bytes").replace("_", " "), *shown])
    for name, value in both.items():
        table.append([name.replace("_", " "), "", f"{value:,}"])
    write_rows(sys.stdout, table, right=(1, 2))
