"""Kernels of numbers, dates and categories beside their twins in plain Python."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from udt.features import cells

pytestmark = [
    pytest.mark.kernel,
    # Uncompiled, NumPy warns where a hash wraps around, and of differences beyond float64.
    pytest.mark.filterwarnings("ignore:overflow encountered"),
    pytest.mark.filterwarnings("ignore:invalid value encountered"),
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WILD = st.datetimes(datetime(1600, 1, 1), datetime(2500, 12, 31, 23, 59, 59))


# ----------------------------------------------------------------------------------------- dates


def parts_of(seconds):
    """Give the parts of dates, in the middle of other numbers that must stay as they are."""
    seconds = np.asarray(seconds, dtype=np.float64)
    numbers = np.full((len(seconds), cells.DATE_PARTS + 2), -7.0)
    cells.date_parts(seconds, 0, len(seconds), 1, numbers)
    assert (numbers[:, [0, -1]] == -7).all()
    return numbers[:, 1:-1]


@settings(max_examples=300)
@given(moment=WILD)
def test_parts_of_a_date_as_the_calendar_has_them(moment):
    seconds = (moment.replace(tzinfo=UTC) - EPOCH) / timedelta(seconds=1)
    (parts,) = parts_of([seconds])
    assert parts[0] == seconds
    assert parts[1:4].tolist() == [moment.month, moment.day, moment.weekday()]
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    # Beyond 2**53 / 86400 of a second, microseconds may round up to the next one.
    assert abs(parts[4] - second) <= (moment.microsecond > 999_990)
    np.testing.assert_array_equal(parts, naive.date_parts(seconds))


def test_every_day_of_nine_centuries():
    first = datetime(1600, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=n) for n in range(366 * 901)]
    seconds = np.arange(len(days)) * 86400.0 + (first - EPOCH).total_seconds()
    parts = parts_of(seconds)
    expected = np.array([(day.month, day.day, day.weekday()) for day in days])
    np.testing.assert_array_equal(parts[:, 1:4], expected)
    assert (parts[:, 4] == 0).all()
    assert (parts_of(seconds - 1)[:, 4] == 86399).all()


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2000, 2, 29, 12), [2, 29, 1, 43200]),
        (datetime(1900, 3, 1), [3, 1, 3, 0]),
        (datetime(1600, 2, 29), [2, 29, 1, 0]),
        (datetime(1969, 12, 31, 23, 59, 59), [12, 31, 2, 86399]),
        (datetime(2400, 12, 31), [12, 31, 6, 0]),
    ],
)
def test_dates_at_the_edges_of_the_calendar(moment, expected):
    seconds = (moment.replace(tzinfo=UTC) - EPOCH).total_seconds()
    assert parts_of([seconds])[0, 1:].tolist() == expected


def test_a_missing_date_is_missing_in_all_parts():
    parts = parts_of([math.nan, 0.0, math.nan])
    assert np.isnan(parts[[0, 2]]).all()
    assert parts[1].tolist() == [0, 1, 1, 3, 0]


def test_only_the_rows_of_the_block_are_written():
    numbers = np.full((4, cells.DATE_PARTS), -7.0)
    cells.date_parts(np.arange(4) * 86400.0, 1, 3, 0, numbers)
    assert (numbers[[0, 3]] == -7).all()
    assert numbers[1:3, 2].tolist() == [2, 3]


# ------------------------------------------------------------------------------- categories by hash


@given(strings=st.lists(st.text(max_size=20), max_size=10), seed=st.integers(0, 2**32 - 1))
def test_hashes_of_strings(strings, seed):
    utf8 = [string.encode() for string in strings]
    data = np.frombuffer(b"".join(utf8) + b"   ", np.uint8)
    offsets = np.cumsum([0, *map(len, utf8)])
    codes = np.zeros((len(strings), 2), dtype=np.uint32)
    cells.hash_strings(data, offsets, 0, len(strings), np.uint32(seed), codes, 1)
    assert codes[:, 1].tolist() == [murmurhash3_32(s, seed, positive=True) for s in utf8]
    assert not codes[:, 0].any()


def make_table(ids, size=None):
    size = size or 1 << max(4, (2 * len(ids)).bit_length())
    table = np.zeros((size, 2), dtype=np.uint32)
    keys = np.array([*ids], dtype=np.uint32)
    cells.make_table(keys, np.array([*ids.values()], dtype=np.int64), table)
    return table


CODES = st.integers(0, 2**32 - 1)
#: Of all ends, and of keys that fall together in a table of 16 slots.
NEAR = st.sampled_from([0, 1, 15, 16, 17, 31, 32, 48, 2**32 - 1, 2**32 - 16, 2**31])


@given(ids=st.dictionaries(CODES | NEAR, st.integers(0, 2**31)), others=st.lists(CODES | NEAR))
def test_a_table_finds_its_keys_and_no_others(ids, others):
    table = make_table(ids)
    for key in [*ids, *others]:
        assert cells.find(table, np.uint32(key)) == ids.get(key, -1)


def test_keys_that_wrap_around_the_end_of_a_table():
    ids = {key: n for n, key in enumerate(range(15, 15 + 16 * 12, 16))}  # all of slot 15
    table = make_table(ids, size=16)
    for key, n in ids.items():
        assert cells.find(table, np.uint32(key)) == n
    assert cells.find(table, np.uint32(31 + 16 * 12)) == -1


# ---------------------------------------------------------------------------------------- numbers

KNOTS = st.lists(
    st.floats(-1e9, 1e9, allow_subnormal=False) | st.integers(-5, 5).map(float),
    unique=True, max_size=12,
).map(sorted)  # fmt: skip


@given(
    knots=st.lists(st.floats(allow_nan=False), unique=True, min_size=1).map(sorted), x=st.floats()
)
def test_the_knot_below(knots, x):
    padded = np.array([-1.0, *knots, -1.0])
    place = cells.knot_below(padded, 1, len(knots) + 1, x)
    expected = max([i for i, knot in enumerate(knots) if knot <= x], default=0)
    assert place == expected + 1


def layout(ladders, has_missing=True):
    """Number the features of numbers one after the other: knots, bounds, firsts and their end."""
    knots, bounds, firsts, n = [], [], [], 0
    for steps in ladders:
        of_number, starts = [], []
        for step in steps:
            of_number.append((len(knots), len(knots) + len(step)))
            starts.append(n if step else -1)
            knots += step
            n += len(step)
        firsts.append([*starts, n if has_missing else -1, n + 1])
        bounds.append(of_number)
        n += 2
    shape = (len(ladders), 4, 2)
    return (
        np.array(knots, dtype=np.float64),
        np.array(bounds, dtype=np.int64).reshape(shape),
        np.array(firsts, dtype=np.int64).reshape(len(ladders), 6),
        n,
    )


def encode_number(x, steps, has_missing=True, scale=1.0):
    knots, bounds, firsts, _ = layout([steps], has_missing)
    indices, values = np.zeros(9, dtype=np.int32), np.zeros(9, dtype=np.float32)
    end = cells.encode_number(x, knots, bounds[0], firsts[0], np.float32(scale), 1, indices, values)
    assert end <= 9
    return list(zip(indices[1:end].tolist(), values[1:end].tolist(), strict=True)), firsts[0]


def close(found, expected):
    assert [place for place, _ in found] == [place for place, _ in expected]
    np.testing.assert_allclose(
        [value for _, value in found], [value for _, value in expected], rtol=1e-5, atol=1e-6
    )


@settings(max_examples=300)
@given(steps=st.lists(KNOTS, min_size=4, max_size=4), has_missing=st.booleans(), data=st.data())
def test_a_number_as_its_twin_has_it(steps, has_missing, data):
    known = [knot for step in steps for knot in step] or [0.0]
    x = data.draw(
        st.sampled_from(known) | st.just(math.nan) | st.floats(-1e10, 1e10) | st.floats(-5, 5)
    )
    found, firsts = encode_number(x, steps, has_missing)
    close(found, naive.encode_number(x, steps, firsts.tolist()))


@given(x=st.floats(-100, 100))
def test_shares_of_a_ladder_sum_to_one_and_move_with_the_number(x):
    ladder = [-50.0, -1.0, 0.0, 2.0, 80.0]
    found, _ = encode_number(x, [ladder, [], [], []], has_missing=False)
    shares = [(place, share) for place, share in found if place < len(ladder)]
    assert sum(share for _, share in shares) == pytest.approx(1)
    # The mean of the knots by their shares is the number itself, between the ends.
    mean = sum(ladder[place] * share for place, share in shares)
    assert mean == pytest.approx(min(max(x, -50), 80), abs=1e-4)


@pytest.mark.parametrize("x", [1e308, -1e308, 1.7e308, -1.7e308, 5e-324, -5e-324, 0.0, -0.0])
@pytest.mark.parametrize("ladder", [[-1.7e308, 1.7e308], [-1e308, 0.0, 1e308], [-5e-324, 5e-324]])
def test_numbers_at_the_ends_of_float64_give_finite_entries(x, ladder):
    found, _ = encode_number(x, [ladder, ladder, [], []])
    assert np.isfinite([value for _, value in found]).all()
    assert all(-1e-6 <= value <= 1 + 1e-6 for _, value in found[:2])


# ------------------------------------------------------------------------------------------- rows


@st.composite
def tables(draw):
    n_rows = draw(st.integers(0, 6))
    ladders = draw(st.lists(st.lists(KNOTS, min_size=4, max_size=4), max_size=3))
    x = st.just(math.nan) | st.floats(-1e3, 1e3) | st.integers(-5, 5).map(float)
    few = st.integers(0, 12)

    def rows(cell, n):
        return draw(
            st.lists(st.lists(cell, min_size=n, max_size=n), min_size=n_rows, max_size=n_rows)
        )

    numbers = rows(x, len(ladders))
    codes = rows(few, draw(st.integers(0, 3)))
    n_lists = draw(st.integers(0, 2))
    lists = rows(st.lists(few, max_size=4), n_lists)
    no_items = draw(st.lists(few, min_size=n_lists, max_size=n_lists))
    seeds = draw(st.lists(CODES, min_size=len(ladders), max_size=len(ladders)))
    n_parts = len(ladders) + (len(codes[0]) if codes else 0)
    part = st.integers(0, max(n_parts - 1, 0))
    crosses = draw(st.lists(st.tuples(part, part, st.integers(0, 1)), max_size=4))
    crosses = crosses if n_parts else []
    return n_rows, ladders, numbers, codes, lists, no_items, draw(st.sets(few)), seeds, crosses


@settings(max_examples=200)
@given(table=tables(), scale=st.sampled_from([1.0, 0.25, 3.0]))
def test_rows_as_their_twin_has_them(table, scale):
    n_rows, ladders, numbers, codes, lists, no_items, known, seeds, crosses = table
    knots, bounds, firsts, n_features = layout(ladders)
    n_lists = len(no_items)
    flat, list_bounds = [], np.zeros((n_lists, n_rows + 1), dtype=np.int64)
    for j in range(n_lists):
        list_bounds[j, 0] = len(flat)
        for row in range(n_rows):
            flat += lists[row][j]
            list_bounds[j, row + 1] = len(flat)
    arrays = (
        np.array(numbers, dtype=np.float64).reshape(n_rows, len(ladders)),
        np.array(codes, dtype=np.uint32).reshape(n_rows, -1 if n_rows and codes[0] else 0),
        list_bounds,
        np.array(flat, dtype=np.uint32),
        np.array(no_items, dtype=np.uint32),
    )
    seeds = np.array(seeds, dtype=np.uint32)
    crosses = np.array(crosses, dtype=np.int64).reshape(-1, 3)
    hashes = np.zeros((len(crosses), n_rows), dtype=np.uint32)
    for rows in ((0, n_rows // 2), (n_rows // 2, n_rows)):
        cells.cross_codes(*arrays[:2], *rows, knots, bounds, seeds, crosses, hashes)
    known |= set(hashes[:, ::2].ravel().tolist())  # but not all of them
    ids = {code: n_features + n for n, code in enumerate(sorted(known))}
    state = (knots, bounds, firsts, make_table(ids), seeds, crosses, np.float32(scale))
    expected = [
        naive.encode_row(
            *row, no_items, ladders, firsts.tolist(), ids, seeds.tolist(), crosses.tolist()
        )
        for row in zip(numbers, codes, lists, strict=True)
    ]
    # Whole, and in two blocks.
    for cuts in ([0, n_rows], [0, n_rows // 2, n_rows]):
        found = []
        for first, last in pairwise(cuts):
            indptr, indices, values = cells.encode_rows(*arrays, first, last, *state)
            assert len(indptr) == last - first + 1
            assert indptr[-1] == len(indices) == len(values)
            assert (indices.dtype, values.dtype) == (np.int32, np.float32)
            for row in range(last - first):
                part = slice(indptr[row], indptr[row + 1])
                found.append(
                    list(zip(indices[part].tolist(), (values[part] / scale).tolist(), strict=True))
                )
        for one, other in zip(found, expected, strict=True):
            close(one, other)


def test_rows_are_joined_side_by_side():
    left = (np.array([0, 2, 2, 3]), np.array([1, 0, 1], np.int32), np.array([1, 2, 3], np.float32))
    right = (np.array([0, 1, 3, 3]), np.array([0, 1, 0], np.int32), np.array([4, 5, 6], np.float32))
    starts = np.array([0, 3, 5])
    indices, values = np.full(6, -1, np.int32), np.zeros(6, np.float32)
    for part, ids in ((left, [10, 11]), (right, [20, 21])):
        for block in ((0, 2), (2, 3)):
            cells.join_rows(*part, *block, np.array(ids), np.float32(0.5), starts, indices, values)
    assert indices.tolist() == [11, 10, 20, 21, 20, 11]
    assert values.tolist() == [0.5, 1, 2, 2.5, 3, 1.5]
    assert starts.tolist() == [3, 5, 6]
