"""What a column's values tell about its role."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udt.arrow import from_numpy, lengths, to_numpy
from udt.parsing import BLANKS, NA_WORDS, is_day_first, parse_date, parse_number
from udt.strings import encode, is_missing
from udt.values import Values, to_floats, to_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FLAGS",
    "Sample",
    "as_texts",
    "draw_rows",
    "find_delimiter",
    "role_of_kind",
    "role_of_strings",
]

#: What the strings of a flag mean.
FLAGS = {word: "true" for word in ("true", "t", "yes", "y", "on")}
FLAGS |= {word: "false" for word in ("false", "f", "no", "n", "off")}
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


def draw_rows(n_rows: int) -> NDArray[np.int64] | None:
    """Choose the rows to look at, the same ones for the same number of rows; None for all."""
    if n_rows <= _SAMPLE:
        return None
    return np.sort(np.random.default_rng(0).choice(n_rows, _SAMPLE, replace=False))


# ------------------------------------------------------------------------------ numbers and others
def role_of_kind(values: Values, rows: NDArray[np.int64] | None, keep: bool) -> str:
    """Give the role of a column that has no strings; with `keep`, not "ignored"."""
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
class Sample:
    """The texts of the rows that are looked at, missing ones left out.

    Attributes
    ----------
    texts : pyarrow.LargeStringArray
    has_missing : bool
        Whether some were left out.
    values, distinct : pyarrow.LargeStringArray and list of str
        Each text once.
    counts : ndarray of int64
        How often each occurs.
    """

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


def as_texts(values: Values) -> pa.LargeStringArray:
    """Give strings, also of values of which only some are."""
    if not isinstance(values.data, list):
        return values.data
    return encode([to_text(value) for value in values.data])


def role_of_strings(
    sample: Sample, texts: pa.LargeStringArray, categorical: bool, keep: bool
) -> str:
    """Give the role of a column of strings; with `keep`, not "ignored"."""
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


def _is_one(sample: Sample, texts: pa.LargeStringArray) -> bool:
    """Tell whether all rows are missing, or all are one text."""
    import pyarrow.compute as pc

    if len(sample.distinct) + sample.has_missing > 1:
        return False
    return bool(pc.all(pc.equal(texts, texts[0])).as_py())


def _is_id(sample: Sample, texts: pa.LargeStringArray) -> bool:
    """Tell whether all texts differ, and number the rows or are made by a machine."""
    import pyarrow.compute as pc

    is_distinct = len(sample.distinct) == len(sample.texts) and not sample.has_missing
    if not is_distinct or len(texts) < _FEW:
        return False
    if sample.matches(_ID):
        return bool(pc.count_distinct(texts).as_py() == len(texts))
    return sample.matches(_DIGITS) and _number_rows(texts)


def _are_codes(sample: Sample) -> bool:
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


def _is_text(sample: Sample) -> bool:
    """Tell text (several words, mostly distinct) from categories (values that recur)."""
    distinct = len(sample.distinct) / len(sample.texts)
    words = float(np.mean(_count_words(sample.values)))
    if words < 1.5:  # names, domains: as text only where hardly any comes again
        return distinct > 0.9 and len(sample.texts) >= _FEW
    return distinct > (0.1 if words > 8 else 0.35)


def _find_list(sample: Sample) -> str:
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


def find_delimiter(sample: Sample) -> str:
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
