"""Budgets and plans: what people write, and what a search makes of the time that there is."""

import math
from types import SimpleNamespace

import pytest

from udt.tuning import budget
from udt.tuning.budget import Budget, check_timeout, is_budget, read_seconds
from udt.tuning.plan import MARGIN, make_plan


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        (" 5 m ", 300.0),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("0s", None),
        ("-1s", None),
        ("30", None),
        ("s", None),
        ("1d", None),
        ("1m30s", None),
        ("1e3s", None),
        ("", None),
    ],
)
def test_times_have_units(text, seconds):
    assert read_seconds(text) == seconds
    assert is_budget(text) == (seconds is not None)


@pytest.mark.parametrize("value", [1, 50, "30s"])
def test_budgets(value):
    assert is_budget(value)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, None, "many", "3", ["30s"], b"30s"])
def test_no_budgets(value):
    assert not is_budget(value)


@pytest.mark.parametrize(
    ("timeout", "seconds"), [(None, None), (5, 5.0), (0.5, 0.5), ("30s", 30.0), ("1h", 3600.0)]
)
def test_timeouts(timeout, seconds):
    assert check_timeout(timeout) == seconds


@pytest.mark.parametrize(
    "timeout", [0, -1, True, math.nan, math.inf, "30", "soon", "0s", [30], 1 + 0j]
)
def test_bad_timeouts_are_named_with_the_remedy(timeout):
    with pytest.raises(ValueError, match=r'^timeout=.*give seconds above 0, or a time such as "30'):
        check_timeout(timeout)


def test_a_budget_counts_from_its_making(monkeypatch):
    clock = SimpleNamespace(perf_counter=lambda: clock.now, now=100.0)
    monkeypatch.setattr(budget, "time", clock)
    limited, unlimited = Budget(60), Budget(None)
    clock.now = 145.0
    assert (limited.spent, limited.left) == (45.0, 15.0)
    assert (unlimited.spent, unlimited.left) == (45.0, math.inf)
    clock.now = 170.0
    assert limited.left == -10.0


# -------------------------------------------------------------------------------------------- plans


def pilot(n_rows, seconds_a_row):
    """Make what stands for a pilot: the time of a training grows with the rows."""
    return SimpleNamespace(rows=range(n_rows), seconds=lambda n: n * seconds_a_row)


def test_a_training_beyond_the_budget_leaves_no_search():
    assert make_plan(pilot(1000, 0.01), 9.9) is None
    assert make_plan(pilot(1000, 0.01), 10.1) is not None


@pytest.mark.parametrize("n_rows", [2000, 100_000])
@pytest.mark.parametrize("whole", [0.1, 1.0, 3.0, 10.0, 19.0, 21.0, 40.0, 59.0])
def test_fewer_rows_where_time_is_short(n_rows, whole):
    plan = make_plan(pilot(n_rows, whole / n_rows), 60.0)
    left = 60.0 - (1 + MARGIN) * whole
    assert 0 < plan.share <= 1
    if whole > 20:
        assert plan.share < 1
    if whole <= 1:
        assert plan.share == 1
    # There is time for some trainings, and for the last one on all rows; or rows are few.
    assert 10 * plan.share * whole <= left or plan.share * n_rows <= 1000


def test_the_more_time_the_more_folds_and_rows():
    plans = [make_plan(pilot(5000, 1 / 5000), seconds) for seconds in (1.2, 4, 20, 100, 1e6)]
    folds = [plan.n_stages for plan in plans]
    shares = [plan.share for plan in plans]
    assert folds == sorted(folds) and folds[-1] == 5
    assert shares == sorted(shares) and shares[-1] == 1


@pytest.mark.parametrize("n_rows", [10, 100, 20_000, 30_000, 1_000_000])
def test_without_a_time_all_rows_are_used_and_folds_follow_them(n_rows):
    plan = make_plan(pilot(n_rows, 1e9), math.inf)
    assert plan.share == 1
    assert plan.n_stages == {10: 5, 100: 5, 20_000: 5, 30_000: 2, 1_000_000: 1}[n_rows]
    assert plan.preliminary == (n_rows == 1_000_000)


def test_one_fold_of_many_rows_begins_with_a_part_of_them():
    many = make_plan(pilot(1_000_000, 1e-5), 1000.0)
    assert (many.n_stages, many.preliminary) == (1, True)
    few = make_plan(pilot(1500, 1.0 / 1500), 4.0)
    assert not few.preliminary
