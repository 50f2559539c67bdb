"""Numbers and dates as people write them: strings -> float64."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from udt.arrow import null_mask, to_numpy, with_nulls

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]
#: Words for a missing value that may stand in a column of numbers or dates.
NA_WORDS = frozenset(
    ["na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "nil", "missing", "?", "-", "--"]
)
_MANY = 1000  # distinct texts from which compiled code is worth a look
#: All white space of Unicode, for Arrow to trim as Python does.
BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
_POWERS = {"": 0, "k": 3, "m": 6, "b": 9, "g": 9, "t": 12}
_NUMBER = re.compile(
    r"""
    (?P<before>[-+\u2212]?) \s? (?:US)? [$€£¥₹₩₽]? \s? (?P<after>[-+\u2212]?)
    (?P<digits>
        [0-9]{1,3} (?: ,[0-9]{3} )+ (?: \.[0-9]* )?
      | [0-9]{1,3} (?: [ \u00a0\u202f][0-9]{3} )+ (?: \.[0-9]* )?
      | [0-9]+ (?: \.[0-9]* )?
      | \.[0-9]+
    )
    (?: (?P<exponent>[eE][-+]?[0-9]+) | (?P<power>[kKmMbBtT]) | \s?(?P<unit>[kKMGT])i?[bB] )?
    \s? [%$€£¥₹₩₽]? \+?
    """,
    re.VERBOSE,
)
_SEPARATORS = str.maketrans("", "", ", \u00a0\u202f")


def parse_number(text: str) -> float:
    """Read a number with thousands separators, currency, "%", "+", or a suffix such as "M".

    Returns
    -------
    float
        NaN if `text` is no number ("4.0.3", "n/a"), infinity if it is beyond float64.

    Examples
    --------
    >>> from udt.parsing import parse_number
    >>> [parse_number(text) for text in ["8.7M", "5,000,000+", "$4.99", "12 %", "(1,200)"]]
    [8700000.0, 5000000.0, 4.99, 12.0, -1200.0]
    """
    text = text.strip(BLANKS)
    negative = text[:1] == "(" and text[-1:] == ")"
    match = _NUMBER.fullmatch(text[1:-1].strip(BLANKS) if negative else text)
    if match is None:
        return nan
    before, after, digits, exponent, power, unit = match.groups()
    sign = before or after
    if (before and after) or (negative and sign):
        return nan
    if not exponent:
        exponent = f"e{_POWERS[(power or unit or '').lower()]}"
    # One conversion of the whole: 8.7 * 1e6 would not be 8700000
    number = float(digits.translate(_SEPARATORS) + exponent)
    return -number if negative or sign in ("-", "\u2212") else number


def parse_numbers(texts: pa.LargeStringArray) -> Floats:
    """Read many numbers as `parse_number` does; null is NaN."""
    import pyarrow as pa

    texts = with_nulls(texts)
    try:
        cast = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return parse_distinct(texts, parse_number)
    numbers = to_numpy(cast)
    if cast.null_count:
        numbers = np.where(null_mask(cast), nan, numbers)
    if np.isinf(numbers).any():  # Arrow reads the word "inf", which is no number here
        return parse_distinct(texts, parse_number)
    return numbers


def parse_distinct(
    texts: pa.LargeStringArray,
    parse: Callable[[str], float],
    parse_many: Callable[[pa.LargeStringArray], Floats | None] | None = None,
) -> Floats:
    """Call `parse` once for each distinct text, or `parse_many` where many are; null is NaN."""
    encoded = texts.dictionary_encode()
    values = encoded.dictionary
    numbers = parse_many(values) if parse_many is not None and len(values) > _MANY else None
    if numbers is None:
        numbers = np.array([parse(value) for value in values.to_pylist()], dtype=np.float64)
    places = to_numpy(encoded.indices)
    if not encoded.indices.null_count:
        return numbers[places]
    return np.append(numbers, nan)[np.where(null_mask(encoded.indices), len(values), places)]


# ---------------------------------------------------------------------------------------- dates
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june",
            "jul july", "aug august", "sep sept september", "oct october", "nov november",
            "dec december",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
# What Arrow reads in compiled code, and reads as `parse_date` does
_ISO = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[-+][0-9]{2}:?[0-9]{2})?)?$"
)
_EPOCH = date(1970, 1, 1).toordinal()
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_TIME = re.compile(
    r"""(?: t | \s*,\s* | \s+ (?: at \s+ )? )
    (?P<hour>[0-9]{1,2}) : (?P<minute>[0-9]{2})
    (?: : (?P<second>[0-9]{2}) (?: [.,] (?P<fraction>[0-9]{1,9}) )? )?
    (?: \s? (?P<half>[ap]) \.? m \.? )?
    (?: \s? (?P<zone> Z | UTC | GMT | [-+][0-9]{2} (?: :? [0-9]{2} )? ) )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_DAYS = [
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        r"(?P<y>[0-9]{4}) (?P<s>[-/.]) (?P<m>[0-9]{1,2}) (?P=s) (?P<d>[0-9]{1,2})",
        r"(?P<a>[0-9]{1,2}) (?P<s>[-/.]) (?P<b>[0-9]{1,2}) (?P=s) (?P<y>[0-9]{4})",
        r"(?P<a>[0-9]{1,2}) / (?P<b>[0-9]{1,2}) / (?P<y>[0-9]{2})",
        _WEEKDAY + r"(?P<name>[a-z]{3,9})\.?\s+"
        r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>[0-9]{4})",
        _WEEKDAY + r"(?P<d>[0-9]{1,2})(?:st|nd|rd|th)?(?P<s>[-/]|\s+)(?P<name>[a-z]{3,9})\.?"
        r"(?:,?(?P=s))(?P<y>[0-9]{4}|[0-9]{2})",
        r"(?P<y>[0-9]{4}) - (?P<m>[0-9]{2})",
        r"(?P<name>[a-z]{3,9})\.?[ ,-]{1,2}(?P<y>[0-9]{4})",
    )
]  # fmt: skip


def parse_date(text: str, day_first: bool = False) -> float:
    """Read a date, with or without a time of day.

    Parameters
    ----------
    text : str
        ISO 8601, "January 7, 2018", "7 Jan 2018", "26-FEB-1987 15:01:01.79", "2018/01/07",
        "01/13/2018", and the like.
    day_first : bool, default=False
        Whether 01/02/2018 is the first of February.

    Returns
    -------
    float
        Seconds since 1970 in UTC (the zone of a time without one), NaN if `text` is no date.

    Examples
    --------
    >>> from udt.parsing import parse_date
    >>> parse_date("January 7, 2018") == parse_date("2018-01-07T01:00+01:00") == 17538 * 86400
    True
    """
    text = text.strip(BLANKS)
    if len(text) > 50:
        return nan
    for pattern in _DAYS:
        match = pattern.match(text)
        if match is not None:
            rest = text[match.end() :]
            time = _parse_time(rest) if rest else (0, 0.0)
            if time is not None:
                # One rounding, as for the integers of a column of timestamps
                return _to_days(match.groupdict(), day_first) * 86400 + time[0] + time[1]
    return nan


def _to_days(parts: dict[str, str | None], day_first: bool) -> float:
    year = int(parts["y"] or 0)
    if len(parts["y"] or "") == 2:  # as in POSIX
        year += 1900 if year >= 69 else 2000
    if "a" in parts:
        first, second = int(parts["a"] or 0), int(parts["b"] or 0)
        # Dots are European, and put the day first
        day, month = (first, second) if day_first or parts.get("s") == "." else (second, first)
    else:
        name = parts.get("name")
        month = _MONTHS.get(name.lower(), 0) if name else int(parts["m"] or 0)
        day = int(parts.get("d") or 1)
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return nan


def _parse_time(text: str) -> tuple[int, float] | None:
    """Give the seconds since midnight in UTC, whole and fraction."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match["half"] in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    zone, shift = match["zone"], 0
    if zone and zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        shift = (int(digits[:2]) * 60 + int(digits[2:])) * (60 if zone[0] == "+" else -60)
    return hour * 3600 + minute * 60 + second - shift, float(f"0.{match['fraction'] or 0}")


def parse_dates(texts: pa.LargeStringArray, day_first: bool = False) -> Floats:
    """Read many dates as `parse_date` does; null is NaN."""
    return parse_distinct(
        with_nulls(texts), lambda text: parse_date(text, day_first), _parse_iso_dates
    )


def _parse_iso_dates(texts: pa.LargeStringArray) -> Floats | None:
    """Let Arrow read dates if all are in ISO 8601."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(texts, _ISO), min_count=0).as_py():
        for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
                return to_seconds(texts.cast(kind))
            except pa.ArrowInvalid:
                continue
    return None


def to_seconds(times: pa.Array) -> Floats:
    """Turn Arrow timestamps, dates, times or durations into seconds; null is NaN."""
    import pyarrow as pa

    kind = times.type
    if pa.types.is_date(kind):
        times, unit = times.cast(pa.timestamp("ms")), "ms"
    else:
        unit = kind.unit
    whole = times.cast(pa.int32() if pa.types.is_time32(kind) else pa.int64())
    seconds = units_to_seconds(to_numpy(whole), unit)
    if times.null_count:
        seconds[null_mask(times)] = nan
    return seconds


def units_to_seconds(counts: NDArray[np.integer[Any]], unit: str) -> Floats:
    """Divide integers so that every unit gives the same float64 for the same time."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if per_second == 1:
        return counts.astype(np.float64)
    whole, rest = np.divmod(counts, per_second)
    return whole + rest / per_second


def is_day_first(texts: Sequence[str]) -> bool:
    """Tell whether numeric dates such as 13/01/2018 put the day before the month."""
    votes = 0
    for text in texts:
        match = _DAYS[1].match(text.strip(BLANKS)) or _DAYS[2].match(text.strip(BLANKS))
        if match is not None:
            votes += (int(match["a"]) > 12) - (int(match["b"]) > 12)
    return votes > 0
