"""``udt inspect``: what the columns of a data file are, or what a model file holds."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

from udt.cli.arguments import UsageError
from udt.cli.output import one_line, size, write_json, write_rows
from udt.cli.parameters import column_roles
from udt.cli.reading import training_columns

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["run"]

_MODEL_START = b'{"__metadata__":'  # after eight bytes of length: see udt.persistence
_EXAMPLES = 4
_WIDTH = 24  # characters of an example


def run(args: argparse.Namespace) -> None:
    """Print what a file holds."""
    if _is_model(args.file):
        given = ["text", "columns", "ignore", "format", "delimiter", "label"]
        for name in given:
            if getattr(args, name):
                raise UsageError(f"--{name} is for data files; {args.file} is a model")
        _show_model(args.file, as_json=args.json)
    else:
        _show_data(args)


def _is_model(path: str) -> bool:
    if path == "-":
        return False
    if path.lower().endswith(".udt"):
        return True
    with open(path, "rb") as file:
        return file.read(8 + len(_MODEL_START))[8:] == _MODEL_START


# ------------------------------------------------------------------------------------------ data


def _show_data(args: argparse.Namespace) -> None:
    from udt.columns import as_table, infer_columns

    roles = column_roles(args) or (None if args.text is None else {args.text: "text"})
    table, label = _read(args)
    columns = infer_columns(as_table(table), roles)
    described = [
        {**_describe(table[column.name]), "column": column.name, "role": _role(column)}
        for column in columns
    ]
    if label is not None:
        described.append({**_describe(label), "column": args.label or "label", "role": "label"})
    described = [{key: one[key] for key in _KEYS} for one in described]
    if args.json:
        write_json(sys.stdout, {"file": args.file, "rows": table.num_rows, "columns": described})
        return
    sys.stdout.write(f"{args.file}: {table.num_rows:,} rows\n\n")
    rows = [["column", "role", "missing", "distinct", "examples"]]
    for one in described:
        share = _percent(one["missing"])
        examples = ", ".join(map(_shorten, one["examples"]))
        rows.append([one["column"], one["role"], share, f"{one['distinct']:,}", examples])
    write_rows(sys.stdout, rows, right=(2, 3))


def _percent(share: float) -> str:
    if not share:
        return "-"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


_KEYS = ("column", "role", "missing", "distinct", "examples")


def _read(args: argparse.Namespace) -> tuple[pa.Table, pa.ChunkedArray | None]:
    """Give the features as a training would see them, and the label column if there is one."""
    from udt.io import guess_format, read_table
    from udt.io.tables import without_na_words

    label = args.label or "label"
    format = args.format or guess_format(args.file)

    def choose(names: list[str]) -> list[str]:
        # A label may be missing here, altogether or in some rows.
        is_there = args.label is not None or label in names
        return [*training_columns(args, args.file)(names), *([label] if is_there else [])]

    table = read_table(
        args.file, columns=choose, format=format, delimiter=args.delimiter, na_words=False
    ).features
    labels = table[label] if table.column_names[-1] == label else None
    features = table if labels is None else table.drop_columns([label])
    if not features.num_columns:
        raise ValueError(f"{args.file}: there is no column besides the label {label!r}")
    if format in ("csv", "tsv") and features.num_columns > 1:
        features = without_na_words(features)
    return features, labels


def _role(column: Any) -> str:
    delimiter = f" ({column.delimiter!r})" if column.delimiter else ""
    return f"{column.role}{'?' if column.optional else ''}{delimiter}"


def _describe(column: pa.ChunkedArray) -> dict[str, Any]:
    """Give the share of missing values, the number of distinct ones, and the most frequent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = column.is_null()
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_dictionary(column.type):
        column = column.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        missing = pc.or_(missing, pc.fill_null(pc.equal(column, ""), False))
    elif pa.types.is_floating(kind):
        missing = column.is_null(nan_is_null=True)
    values = column.filter(pc.invert(missing))
    if pa.types.is_nested(kind):
        rows = values.to_pylist()
        seen = {str(row): row for row in rows}
        counts = Counter(map(str, rows))
        distinct, examples = len(counts), [seen[key] for key, _ in counts.most_common(_EXAMPLES)]
    else:
        counted = values.value_counts()
        order = pc.array_sort_indices(counted.field("counts"), order="descending")
        distinct = len(counted)
        examples = counted.field("values").take(order[:_EXAMPLES]).to_pylist()
    return {
        "missing": round(pc.sum(missing).as_py() / len(column), 6),
        "distinct": distinct,
        "examples": examples,
    }


def _shorten(value: object) -> str:
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False, default=one_line)
    text = " ".join(one_line(value).split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."


# ----------------------------------------------------------------------------------------- model


def _show_model(path: str, *, as_json: bool) -> None:
    from udt import load
    from udt.persistence import read_model
    from udt.quantization import weights_bytes

    model = load(path)
    _, arrays = read_model(path)
    parameters = model.get_params()
    defaults = type(model)().get_params()
    facts = {
        "file": path,
        "bytes": os.path.getsize(path),
        "passes": model.n_iter_,
        "classes": model.classes_.tolist(),
        "weights_bytes": weights_bytes(model),
        "quantization": model.quantization_,
        "columns": [{"column": c.name, "role": _role(c)} for c in model.columns_],
        "parameters": parameters,
        "arrays": {
            name: {"dtype": array.dtype.name, "shape": list(array.shape), "bytes": array.nbytes}
            for name, array in sorted(arrays.items())
        },
    }
    if as_json:
        write_json(sys.stdout, facts)
        return
    out = sys.stdout
    out.write(f"{path}: a udt model of {size(facts['bytes'])}\n\n")
    classes = ", ".join(map(_shorten, facts["classes"][:6]))
    more = ", ..." if len(facts["classes"]) > 6 else ""
    changed = [f"{name}={value!r}" for name, value in parameters.items() if value != defaults[name]]
    rows = [
        ["passes", f"{model.n_iter_:,}"],
        ["classes", f"{len(facts['classes']):,}: {classes}{more}"],
        ["parameters", ", ".join(changed) or "all by default"],
        ["weights", size(facts["weights_bytes"])],
    ]
    if model.quantization_ is not None:
        rows.append(["quantised", _quantization(model.quantization_)])
    write_rows(out, rows)
    if facts["columns"]:
        out.write("\n")
        rows = [[one["column"], one["role"]] for one in facts["columns"]]
        write_rows(out, [["column", "role"], *rows])
    out.write("\n")
    rows = [
        [name, array.dtype.name, " x ".join(map(str, array.shape)), f"{array.nbytes:,}"]
        for name, array in sorted(arrays.items())
    ]
    write_rows(out, [["array", "dtype", "shape", "bytes"], *rows], right=(3,))


def _quantization(settings: dict[str, Any]) -> str:
    from udt.network.integers import BLOCK

    block = settings["block"] or BLOCK[settings["bits"]]
    told = f"to {settings['bits']} bits, about {block} weights a scale"
    return told + (f", {_percent(settings['prune'])} of n-grams dropped" * (settings["prune"] > 0))
