"""What each column of a table is: inferred from its dtype and values, or told."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from udt.arrow import from_numpy, lengths, to_numpy
from udt.frames import Table
from udt.parsing import BLANKS, NA_WORDS, is_day_first, parse_date, parse_number
from udt.strings import encode, is_missing
from udt.values import Values, to_floats, to_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FLAGS", "ROLES", "Column", "infer_columns"]

ROLES = ("text", "category", "categories", "number", "date", "flag", "ignored")
#: What the strings of a flag mean.
FLAGS = {word: "true" for word in ("true", "t", "yes", "y", "on")}
FLAGS |= {word: "false" for word in ("false", "f", "no", "n", "off")}
#: The kinds of values that a role holds, the proper one first.
_HOLDS = {
    "text": ("string", "missing"),
    "category": ("string", "missing", "number", "flag"),
    "categories": ("list", "missing", "string", "number", "flag"),
    "number": ("number", "missing", "flag", "duration", "string"),
    "date": ("date", "missing", "string"),
    "flag": ("flag", "missing", "string", "number"),
}
_SAMPLE = 20_000  # rows that are looked at
_FEW = 20  # rows below which no column is called an id
_DELIMITERS = ("|", ";", "\t", ",")
# A word is a run of letters, or three characters of a script that has no spaces
_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORDS = rf"[{_SCRIPTS}]{{1,3}}|[^\s{_SCRIPTS}]+"
_ID = re.compile(
    "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{16,}|[0-9A-F]{16,}"
    "|[A-Za-z]{1,12}[-_#:]?[0-9]{3,}"
)
_DIGITS = re.compile("[0-9]{1,18}")


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
    rows = _draw(table.n_rows)
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


def _draw(n_rows: int) -> NDArray[np.int64] | None:
    """Choose the rows to look at, the same ones for the same number of rows; None for all."""
    if n_rows <= _SAMPLE:
        return None
    return np.sort(np.random.default_rng(0).choice(n_rows, _SAMPLE, replace=False))


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
        return Column(name, role or _role_of_kind(values, rows, keep), optional)
    texts = _texts(values)
    sample = _Sample(texts, rows)
    if role == "number":
        _check_some(sample, name, role, parse_number)
    elif role == "date":
        _check_some(sample, name, role, parse_date)
    else:
        role = role or _role_of_strings(sample, texts, values.categorical, keep)
    if role == "number":
        return Column(name, role, optional, spelling="free")
    if role == "date":
        day_first = is_day_first(sample.distinct)
        return Column(name, role, optional, spelling="day first" if day_first else "")
    if role == "categories":
        return Column(name, role, optional, delimiter=_find_delimiter(sample))
    return Column(name, role, optional)


def _check_some(sample: _Sample, name: str, role: str, parse: Callable[[str], float]) -> None:
    if sample.distinct and not sample.share(parse):
        raise ValueError(
            f"column {name!r} has the role {role!r}, but its strings, such as "
            f"{reprlib.repr(sample.distinct[0])}, are no {role}s: write them as 1234.5 or "
            "2026-01-31, or take another role."
        )


# ------------------------------------------------------------------------------ numbers and others
def _role_of_kind(values: Values, rows: NDArray[np.int64] | None, keep: bool) -> str:
    kind = values.kind
    role = {"flag": "flag", "date": "date", "list": "categories", "missing": "category"}.get(
        kind, "category" if values.categorical else "number"
    )
    if keep:
        return role
    if kind == "missing" or _is_constant(values):
        return "ignored"
    if role == "number" and kind == "number" and _is_row_number(values.data, rows):
        return "ignored"
    return role


def _is_constant(values: Values) -> bool:
    """Tell whether all values are one, missing values being a value of their own."""
    data = values.data
    if isinstance(data, list):
        first = data[0]
        same = [_same(value, first) for value in data]
        return all(same)
    if isinstance(data, np.ndarray):
        if not _all_equal(data[:100]):
            return False
        return _all_equal(data)
    if len(data) > 100 and not _few_distinct(data[:100]):
        return False
    return _few_distinct(data)


def _same(value: Any, other: Any) -> bool:
    if is_missing(value) or is_missing(other):
        return is_missing(value) and is_missing(other)
    try:
        return bool(value == other)
    except (TypeError, ValueError):  # arrays
        return bool(np.array_equal(value, other))


def _all_equal(data: NDArray[Any]) -> bool:
    missing = data != data
    return bool(missing.all()) if missing[0] else bool(np.all(data == data[0]))


def _few_distinct(data: pa.Array) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(data.type):
        return _all_equal(to_floats(data))
    if data.null_count in (0, len(data)):
        if data.null_count:
            return True
        if pa.types.is_nested(data.type):
            return all(value == data[0] for value in data)
        return bool(pc.all(pc.equal(data, data[0])).as_py())
    return False


def _is_row_number(data: Any, rows: NDArray[np.int64] | None) -> bool:
    """Tell whether integers number the rows: distinct, and most of a range.

    A part of a numbered table, drawn at random, has gaps; but a measured integer would repeat.
    """
    numbers = _integers(data)
    if numbers is None or len(numbers) < _FEW:
        return False
    span = int(numbers.max()) - int(numbers.min()) + 1
    if not len(numbers) <= span < 2.5 * len(numbers):
        return False
    if rows is not None and len(np.unique(numbers[rows])) < len(rows):
        return False
    return len(np.unique(numbers)) == len(numbers)


def _integers(data: Any) -> NDArray[Any] | None:
    if isinstance(data, list):
        if not all(type(value) is int and -(2**62) < value < 2**62 for value in data):
            return None
        return np.array(data, dtype=np.int64)
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in "iu" else None
    import pyarrow as pa

    if not pa.types.is_integer(data.type) or data.null_count:
        return None
    return to_numpy(data)


# ------------------------------------------------------------------------------------- strings
class _Sample:
    """Distinct texts of the rows that are looked at, missing ones left out, and how often."""

    def __init__(self, texts: pa.LargeStringArray, rows: NDArray[np.int64] | None) -> None:
        drawn = texts if rows is None else texts.take(from_numpy(rows))
        self.texts = _drop_missing(drawn)
        self.has_missing = len(self.texts) < len(drawn)
        if len(self.texts) < 100 and rows is not None:  # a column that is nearly empty
            self.texts = _drop_missing(texts)[:_SAMPLE]
        counted = self.texts.value_counts()
        self.values = counted.field(0)
        self.counts = to_numpy(counted.field(1))
        self.distinct = self.values.to_pylist()

    def share(self, parse: Callable[[str], float]) -> float:
        """Give the share of the texts that can be parsed, those that say "missing" left out."""
        step = max(1, len(self.distinct) // 300)
        first = self._share(parse, slice(0, None, step))
        if step == 1 or first < 0.5:
            return first
        return self._share(parse, slice(None))

    def _share(self, parse: Callable[[str], float], part: slice) -> float:
        parsed = total = 0
        for text, count in zip(self.distinct[part], self.counts[part].tolist(), strict=True):
            if text.strip(BLANKS).lower() not in NA_WORDS:
                value = parse(text)
                parsed += count * (value == value)
                total += count
        return parsed / total if total else 0.0

    def matches(self, pattern: re.Pattern[str]) -> bool:
        """Tell whether all texts match."""
        return all(map(pattern.fullmatch, self.distinct))


def _drop_missing(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    return texts.filter(from_numpy(lengths(texts) > 0))


def _texts(values: Values) -> pa.LargeStringArray:
    if not isinstance(values.data, list):
        return values.data
    return encode([to_text(value) for value in values.data])


def _role_of_strings(
    sample: _Sample, texts: pa.LargeStringArray, categorical: bool, keep: bool
) -> str:
    if not keep and (_is_one(sample, texts) or _is_id(sample, texts)):
        return "ignored"
    if not sample.distinct:
        return "category"
    if len(sample.distinct) <= len(FLAGS):
        meant = {FLAGS.get(text.strip(BLANKS).lower()) for text in sample.distinct}
        if meant == {"true", "false"}:
            return "flag"
    if categorical:
        return "category"
    if sample.share(parse_number) >= 0.8:
        return "category" if _are_codes(sample) else "number"
    day_first = is_day_first(sample.distinct)
    if sample.share(lambda text: parse_date(text, day_first)) >= 0.9:
        return "date"
    if _find_list(sample):
        return "categories"
    return "text" if _is_text(sample) else "category"


def _is_one(sample: _Sample, texts: pa.LargeStringArray) -> bool:
    """Tell whether all rows are missing, or all are one text."""
    import pyarrow.compute as pc

    if len(sample.distinct) + sample.has_missing > 1:
        return False
    return bool(pc.all(pc.equal(texts, texts[0])).as_py())


def _is_id(sample: _Sample, texts: pa.LargeStringArray) -> bool:
    """Tell whether all texts differ, and number the rows or are made by a machine."""
    import pyarrow.compute as pc

    is_distinct = len(sample.distinct) == len(sample.texts) and not sample.has_missing
    if not is_distinct or len(texts) < _FEW:
        return False
    if sample.matches(_ID):
        return bool(pc.count_distinct(texts).as_py() == len(texts))
    return sample.matches(_DIGITS) and _number_rows(texts)


def _are_codes(sample: _Sample) -> bool:
    """Tell digits of one length with leading zeros (postal codes) from numbers."""
    width = len(sample.distinct[0])
    return (
        width > 1
        and sample.matches(re.compile(f"[0-9]{{{width}}}"))
        and any(text[0] == "0" for text in sample.distinct)
    )


def _number_rows(texts: pa.LargeStringArray) -> bool:
    import pyarrow as pa

    try:
        return _is_row_number(texts.cast(pa.int64()), None)
    except pa.ArrowInvalid:  # not all are digits
        return False


def _count_words(texts: pa.LargeStringArray) -> NDArray[Any]:
    import pyarrow.compute as pc

    is_ascii = pc.all(pc.string_is_ascii(texts)).as_py()
    return to_numpy(pc.count_substring_regex(texts, r"\S+" if is_ascii else _WORDS))


def _is_text(sample: _Sample) -> bool:
    """Tell text (several words, mostly distinct) from categories (values that recur)."""
    distinct = len(sample.distinct) / len(sample.texts)
    words = float(np.mean(_count_words(sample.values)))
    if words < 1.5:  # names, domains: as text only where hardly any comes again
        return distinct > 0.9 and len(sample.texts) >= _FEW
    return distinct > (0.1 if words > 8 else 0.35)


def _find_list(sample: _Sample) -> str:
    """Give the delimiter of a column of lists, "" if it is none."""
    import pyarrow.compute as pc

    n = len(sample.texts)
    for delimiter in _DELIMITERS:
        cuts = to_numpy(pc.count_substring(sample.texts, delimiter))
        fewest = 1.0 if delimiter == "," else 0.5
        if np.count_nonzero(cuts) < n / 2 or cuts.mean() < fewest:
            continue
        items = pc.utf8_trim(pc.split_pattern(sample.texts, delimiter).flatten(), BLANKS)
        items = _drop_missing(items)
        counts = to_numpy(items.value_counts().field(1))
        recurring = counts[counts > 1].sum() / max(len(items), 1)
        distinct = len(counts) / max(len(items), 1)
        if recurring < 0.6 or distinct > 0.5 * len(sample.distinct) / n:
            continue
        if np.mean(_count_words(items) <= 4) >= 0.95:
            return delimiter
    return ""


def _find_delimiter(sample: _Sample) -> str:
    """Give the delimiter that most rows of a declared column of lists have."""
    import pyarrow.compute as pc

    found = _find_list(sample) if sample.distinct else ""
    if found or not sample.distinct:
        return found
    rows: Iterable[tuple[int, str]] = (
        (pc.sum(pc.match_substring(sample.texts, delimiter)).as_py(), delimiter)
        for delimiter in _DELIMITERS
    )
    most, delimiter = max(rows, key=lambda row: row[0])
    if most:
        return delimiter
    return " " if any(" " in text for text in sample.distinct) else ""
