"""What each column of a table is: inferred from its dtype and values, or told."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from udt.evidence import (
    Sample,
    as_texts,
    draw_rows,
    find_delimiter,
    role_of_kind,
    role_of_strings,
)
from udt.frames import Table
from udt.parsing import is_day_first, parse_date, parse_number
from udt.values import Values

__all__ = ["ROLES", "Column", "check_kind", "infer_columns", "raise_kind"]

ROLES = ("text", "category", "categories", "number", "date", "flag", "ignored")
#: The kinds of values that a role holds, the proper one first.
_HOLDS = {
    "text": ("string", "missing"),
    "category": ("string", "missing", "number", "flag"),
    "categories": ("list", "missing", "string", "number", "flag"),
    "number": ("number", "missing", "flag", "duration", "string"),
    "date": ("date", "missing", "string"),
    "flag": ("flag", "missing", "string", "number"),
}


@dataclass(frozen=True)
class Column:
    """What a column is, and how its values are read.

    Parameters
    ----------
    name : str
    role : {"text", "category", "categories", "number", "date", "flag", "ignored"}
    optional : bool, default=False
        Whether the column may be missing in predict, which then sees missing values.
    delimiter : str, default=""
        What separates the items of a string in a column of "categories"; "" for real lists.
    spelling : str, default=""
        How strings are read in a column of numbers or dates: "free" where fit saw numbers as
        strings, so that a string that is no number is a missing one; "day first" where
        01/02/2018 is the first of February.
    """

    name: str
    role: str
    optional: bool = False
    delimiter: str = ""
    spelling: str = ""


def infer_columns(table: Table, columns: Mapping[Any, str] | None = None) -> tuple[Column, ...]:
    """Decide the role of each column from its dtype and a sample of its values.

    Parameters
    ----------
    table : Table
    columns : mapping of str to str, default=None
        Roles by name where they are known. A "?" at the end makes the column optional ("?" alone
        does so to the inferred role).

    Returns
    -------
    tuple of Column
        One for each column of `table`, in its order.

    Raises
    ------
    ValueError
        If `columns` names a column or a role that there is not.
    TypeError
        If the role cannot hold the column's values, or no role can.

    Examples
    --------
    >>> from udt.columns import as_table, infer_columns
    >>> rows = [{"title": "Red summer dress", "price": "$40"}, {"title": "Shoes", "price": "$9"}]
    >>> [(column.name, column.role) for column in infer_columns(as_table(rows))]
    [('title', 'text'), ('price', 'number')]
    """
    wanted = _check_wanted(table.names, columns)
    rows = draw_rows(table.n_rows)
    inferred = [
        _infer(table, number, rows, *wanted.get(name, ("", False)))
        for number, name in enumerate(table.names)
    ]
    if all(column.role == "ignored" for column in inferred):
        # Better a model of a constant or of row numbers than none
        for number, name in enumerate(table.names):
            role, optional = wanted.get(name, ("", False))
            inferred[number] = _infer(table, number, rows, role, optional, keep=True)
    return tuple(inferred)


def _check_wanted(
    names: list[str], columns: Mapping[Any, str] | None
) -> dict[str, tuple[str, bool]]:
    if columns is None:
        return {}
    if not isinstance(columns, Mapping):
        raise TypeError(
            f"columns is of type {type(columns).__name__}: pass a dict of names and roles, as in "
            "{'title': 'text'}."
        )
    wanted = {}
    for key, value in columns.items():
        name = str(key)
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            there = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
            raise ValueError(
                f"columns names {name!r}, which is no column of X.{hint} X has {there}."
            )
        role = value[:-1] if isinstance(value, str) and value.endswith("?") else value
        optional = role != value
        if role not in ROLES and not (role == "" and optional):
            raise ValueError(
                f"columns gives {name!r} the role {value!r}: take one of {', '.join(ROLES)} (with "
                "a '?' at the end if the column may be missing in predict)."
            )
        wanted[name] = (role, optional)
    return wanted


def raise_kind(
    name: str, role: str, kind: str, value: Any = None, row: int | None = None
) -> NoReturn:
    """Refuse values of a kind that a role cannot hold."""
    where = "" if row is None else f" (row {row})"
    shown = "" if value is None else f", such as {reprlib.repr(value)}"
    raise TypeError(
        f"column {name!r}{where} holds {kind}s{shown}, which the role {role!r} cannot hold: make "
        f"them {_HOLDS[role][0]}s, or take another role in fit."
    )


def check_kind(name: str, role: str, values: Values) -> Values:
    """Raise unless a role can hold the values of a column."""
    if values.kind in _HOLDS[role]:
        return values
    if values.all_missing():
        return Values("missing", [None] * len(values.data))
    raise_kind(name, role, values.kind)


def _infer(
    table: Table,
    number: int,
    rows: NDArray[np.int64] | None,
    role: str,
    optional: bool,
    *,
    keep: bool = False,
) -> Column:
    name = table.names[number]
    if role == "ignored":
        return Column(name, role, optional)
    values = table.column(number)
    is_lone = len(table.names) == 1
    if role:
        values = check_kind(name, role, values)
    elif is_lone and (values.kind == "string" or values.kind == "missing"):
        return Column(name, "text", optional)
    if values.kind != "string":
        return Column(name, role or role_of_kind(values, rows, keep), optional)
    texts = as_texts(values)
    sample = Sample(texts, rows)
    if role == "number":
        _check_some(sample, name, role, parse_number)
    elif role == "date":
        _check_some(sample, name, role, parse_date)
    else:
        role = role or role_of_strings(sample, texts, values.categorical, keep)
    if role == "number":
        return Column(name, role, optional, spelling="free")
    if role == "date":
        day_first = is_day_first(sample.distinct)
        return Column(name, role, optional, spelling="day first" if day_first else "")
    if role == "categories":
        return Column(name, role, optional, delimiter=find_delimiter(sample))
    return Column(name, role, optional)


def _check_some(sample: Sample, name: str, role: str, parse: Callable[[str], float]) -> None:
    if sample.distinct and not sample.share(parse):
        raise ValueError(
            f"column {name!r} has the role {role!r}, but its strings, such as "
            f"{reprlib.repr(sample.distinct[0])}, are no {role}s: write them as 1234.5 or "
            "2026-01-31, or take another role."
        )
