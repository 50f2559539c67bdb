import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.parsing import is_day_first, parse_date, parse_dates, parse_number, parse_numbers
from udt.strings import encode

NUMBERS = {
    "7": 7,
    " 7.50 ": 7.5,
    ".5": 0.5,
    "1.": 1,
    "-3": -3,
    "+3": 3,
    "\u22123": -3,
    "1e5": 1e5,
    "2.5E-3": 0.0025,
    "8.7M": 8_700_000,
    "201k": 201_000,
    "3B": 3e9,
    "1.5T": 1.5e12,
    "12 MB": 12e6,
    "3GiB": 3e9,
    "5,000,000+": 5_000_000,
    "1,234.5": 1234.5,
    "1 234 567": 1_234_567,
    "1\u00a0234": 1234,
    "$4.99": 4.99,
    "US$ 5.50": 5.5,
    "-$5": -5,
    "$-5": -5,
    "5 €": 5,
    "12 %": 12,
    "(1,200)": -1200,
    "($5)": -5,
    "00501": 501,
}
NOT_NUMBERS = [
    "", " ", "4.0.3", "n/a", "nan", "inf", "-inf", "Infinity", "1,23", "12,34,567", "1 23", "--5",
    "-$-5", "(-5)", "0x10", "1_000", "10-20", "12:30", "5 kg", "1e5M", "e5", "$", "%", "+", ".",
    "two", "\u0663", "²", "1\n2", "3 x 4",
]  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers(text):
    assert parse_number(text) == NUMBERS[text]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_not_numbers(text):
    assert math.isnan(parse_number(text))


@pytest.mark.parametrize("text", ["1e999", "9" * 400, "-1e999"])
def test_beyond_float64(text):
    assert math.isinf(parse_number(text))


def test_many_numbers_at_once():
    texts = [*NUMBERS, *NOT_NUMBERS]
    np.testing.assert_array_equal(
        parse_numbers(encode(texts)), [parse_number(text) for text in texts]
    )


def test_numbers_with_nulls_and_in_a_slice():
    numbers = parse_numbers(pa.array(["1", None, "", "3.5"], pa.large_string())[1:])
    np.testing.assert_array_equal(numbers, [np.nan, np.nan, 3.5])


@given(
    st.lists(st.one_of(st.text("0123456789.,+-$%eEkM( )inaf", max_size=8), st.text()), max_size=8)
)
def test_one_number_and_many_are_read_alike(texts):
    if texts:
        many = parse_numbers(encode(texts))
        read = [parse_number(str(text)) for text in encode(texts).to_pylist()]
        np.testing.assert_array_equal(many, read)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_read_exactly(number):
    assert parse_number(repr(number)) == number
    assert parse_numbers(encode([repr(number), "x"]))[0] == number


def utc(*parts):
    return datetime(*parts, tzinfo=UTC).timestamp()


DATES = {
    "2018-01-07": utc(2018, 1, 7),
    "2018-1-7": utc(2018, 1, 7),
    "2018/01/07": utc(2018, 1, 7),
    "2018-01": utc(2018, 1, 1),
    "2018-01-07 10:30": utc(2018, 1, 7, 10, 30),
    "2018-01-07T10:30:15Z": utc(2018, 1, 7, 10, 30, 15),
    "2018-01-07T10:30:15.25+02:00": utc(2018, 1, 7, 8, 30, 15) + 0.25,
    "2018-01-07T10:30:15-0530": utc(2018, 1, 7, 16, 0, 15),
    "2018-01-07T10:30+02": utc(2018, 1, 7, 8, 30),
    "January 7, 2018": utc(2018, 1, 7),
    "Jan. 7 2018": utc(2018, 1, 7),
    "7 Jan 2018": utc(2018, 1, 7),
    "7th January, 2018": utc(2018, 1, 7),
    "07-Jan-18": utc(2018, 1, 7),
    "Jan 2018": utc(2018, 1, 1),
    "26-FEB-1987 15:01:01.79": utc(1987, 2, 26, 15, 1, 1) + 0.79,
    "Sun, 07 Jan 2018 10:00:00 GMT": utc(2018, 1, 7, 10),
    "Sunday, January 7, 2018": utc(2018, 1, 7),
    "01/13/2018": utc(2018, 1, 13),
    "1/2/2018": utc(2018, 1, 2),
    "1/2/69": utc(1969, 1, 2),
    "1/2/68 3:05 PM": utc(2068, 1, 2, 15, 5),
    "1/2/2018, 12:05 a.m.": utc(2018, 1, 2, 0, 5),
    "13.02.2018": utc(2018, 2, 13),
    "0001-01-01": -62135596800.0,
    "9999-12-31": utc(9999, 12, 31),
}  # fmt: skip
NOT_DATES = [
    "", "2018", "20180107", "2018-13-01", "2018-02-30", "0000-01-01", "13/13/2018", "4.1.12",
    "4.0.3", "May 5", "Foo 7, 2018", "12:30", "2018-01-07T24:00", "2018-01-07 13:00 PM",
    "2018-01-07 10", "7 Jan", "2018-01-07 and more", "may be 2018", "1-800-555-1234", "x" * 100,
]  # fmt: skip


@pytest.mark.parametrize("text", DATES)
def test_dates(text):
    assert parse_date(text) == DATES[text]
    assert parse_date(f" {text.lower()}\n") == DATES[text]


@pytest.mark.parametrize("text", NOT_DATES)
def test_not_dates(text):
    assert math.isnan(parse_date(text))


def test_day_first():
    assert parse_date("01/02/2018", day_first=True) == utc(2018, 2, 1)
    assert math.isnan(parse_date("01/13/2018", day_first=True))
    assert parse_date("2018-01-02", day_first=True) == utc(2018, 1, 2)
    assert is_day_first(["01/02/2018", "13/02/2018"])
    assert not is_day_first(["01/02/2018", "02/13/2018"])
    assert not is_day_first(["01/02/2018", "2018-02-13"])
    assert is_day_first(["1/2/18", "31/12/17"])


def test_many_dates_at_once():
    texts = [*DATES, *NOT_DATES]
    for day_first in (False, True):
        np.testing.assert_array_equal(
            parse_dates(encode(texts), day_first), [parse_date(text, day_first) for text in texts]
        )


def some_times(n, zone):
    start = datetime(1950, 1, 1, tzinfo=zone)
    return [start + timedelta(seconds=i * 31_536.123457) for i in range(n)]


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-5))])
def test_many_iso_dates_are_read_as_one(zone):
    texts = [time.isoformat() for time in some_times(3000, zone)]
    dates = parse_dates(encode([*texts, ""]))
    np.testing.assert_array_equal(dates, [*map(parse_date, texts), np.nan])
    mixed = [*texts, "January 7, 2018", "2018-02-30"]
    np.testing.assert_array_equal(parse_dates(encode(mixed)), [parse_date(text) for text in mixed])


@given(st.datetimes(), st.sampled_from([None, UTC, timezone(timedelta(hours=9, minutes=30))]))
def test_any_iso_date_is_read_exactly(time, zone):
    since = time.replace(tzinfo=zone or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    whole = since.days * 86400 + since.seconds
    assert parse_date(time.replace(tzinfo=zone).isoformat()) == whole + since.microseconds / 10**6


@given(st.text(max_size=30), st.booleans())
def test_any_text_is_a_date_or_not(text, day_first):
    assert isinstance(parse_date(text, day_first), float)
    assert isinstance(parse_number(text), float)
