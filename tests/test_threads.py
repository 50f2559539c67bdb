"""Threads: how many, in what order, and BLAS held to one."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

import joblib
import numpy as np
import pytest
from joblib import delayed
from threadpoolctl import threadpool_info, threadpool_limits

from udt import threads
from udt.threads import Pool, blocks, effective_n_jobs, single_threaded_blas


@pytest.fixture
def eight_processors(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_live", WeakSet())  # other tests' pools may still be there


@pytest.mark.parametrize(
    ("n_jobs", "expected"),
    [(None, 8), (1, 1), (3, 3), (64, 64), (np.int64(2), 2), (-1, 8), (-2, 7), (-8, 1), (-99, 1)],
)
def test_effective_n_jobs(eight_processors, n_jobs, expected):
    actual = effective_n_jobs(n_jobs)
    assert actual == expected
    assert type(actual) is int


@pytest.mark.parametrize("n_jobs", [0, True, False, np.True_, 1.0, 2.5, "2", "all", [2], np.nan])
def test_bad_n_jobs_is_named_with_the_remedy(n_jobs):
    with pytest.raises(ValueError, match=r"^n_jobs=.*: give None, a positive number") as error:
        effective_n_jobs(n_jobs)
    assert repr(n_jobs) in str(error.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", 3), ("1", 1), ("8", 8), ("16", 8), ("0", 1), ("", 8), ("4,2", 8), ("-1", 8), ("x", 8)],
)
def test_omp_num_threads_bounds_the_default_only(monkeypatch, eight_processors, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert effective_n_jobs(None) == expected
    assert effective_n_jobs(5) == 5
    assert effective_n_jobs(-1) == 8


def within_worker(n_jobs):
    joblib.cpu_count = lambda: 8  # of this worker
    return effective_n_jobs(n_jobs)


def test_one_thread_within_a_process_that_joblib_started():
    # Not by way of OMP_NUM_THREADS, which joblib sets for its workers, here to 4.
    with joblib.parallel_config("loky", inner_max_num_threads=4):
        jobs = (delayed(within_worker)(n_jobs) for n_jobs in (None, 3, None, 3))
        assert joblib.Parallel(n_jobs=2)(jobs) == [1, 3, 1, 3]


def test_one_thread_within_a_thread_that_joblib_started(eight_processors):
    jobs = (delayed(effective_n_jobs)(n_jobs) for n_jobs in (None, 3, None, -1))
    assert joblib.Parallel(n_jobs=2, backend="threading")(jobs) == [1, 3, 1, 8]
    assert effective_n_jobs(None) == 8


def test_a_joblib_backend_that_runs_nothing_yet_is_no_worker(eight_processors):
    with joblib.parallel_config("threading", n_jobs=2):
        assert effective_n_jobs(None) == 8


@pytest.mark.parametrize("n_threads", [1, 3])
def test_pool_keeps_the_order_of_tasks(n_threads):
    def slow_first(i):
        time.sleep(0.002 * (5 - i))
        return i * i

    with Pool(n_threads) as pool:
        assert pool.map(slow_first, range(6)) == [0, 1, 4, 9, 16, 25]
        assert pool.map(slow_first, iter([3])) == [9]
        assert pool.map(slow_first, []) == []


def test_pool_runs_as_many_at_once_as_it_has_threads():
    barrier = threading.Barrier(3)
    with Pool(3) as pool:
        arrivals = pool.map(lambda _: barrier.wait(timeout=30), range(3))
    assert sorted(arrivals) == [0, 1, 2]


def test_pool_of_one_runs_in_the_caller():
    with Pool(1) as pool:
        assert pool.map(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


def test_pool_leaves_no_thread_behind():
    before = set(threading.enumerate())
    with Pool(4) as pool:
        pool.map(lambda _: time.sleep(0.001), range(8))
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_pool_raises_what_a_task_raises_and_starts_no_more(n_threads, kind):
    started = []
    failed = threading.Event()

    def task(i):
        started.append(i)
        if i == 0:
            failed.set()
            raise kind("task 0")
        failed.wait(30)
        time.sleep(0.05)

    before = set(threading.enumerate())
    with pytest.raises(kind, match="task 0"), Pool(n_threads) as pool:
        pool.map(task, range(1000))
    assert len(started) < 100
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize(
    ("n", "size", "expected"),
    [
        (0, 4, []),
        (1, 4, [(0, 1)]),
        (4, 4, [(0, 4)]),
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_blocks(n, size, expected):
    assert blocks(n, size) == expected


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        if not blas_threads() or set(blas_threads()) != {2}:
            pytest.skip("threadpoolctl cannot set the number of BLAS threads here")
        yield


def test_blas_has_one_thread_until_the_last_user_leaves(two_blas_threads):
    with single_threaded_blas():
        assert set(blas_threads()) == {1}
        with single_threaded_blas():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_blas_threads_come_back_after_an_error(two_blas_threads):
    with pytest.raises(ZeroDivisionError), single_threaded_blas():
        raise ZeroDivisionError
    assert set(blas_threads()) == {2}
    with single_threaded_blas():  # and can be held again
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {2}


def test_users_in_different_threads_share_the_limit(two_blas_threads):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with single_threaded_blas():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with single_threaded_blas():
        thread.start()
        inside.wait(30)
    assert set(blas_threads()) == {1}  # the other thread is still inside
    leave.set()
    thread.join()
    assert set(blas_threads()) == {2}


def test_any_thread_can_hold_blas_whoever_did_before(two_blas_threads):
    """Threadpoolctl obeys only the first thread that set a limit, here the main one."""
    seen = []

    def use():
        with single_threaded_blas():
            seen.extend(blas_threads())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert set(seen) == {1}
    assert set(blas_threads()) == {2}
    with single_threaded_blas():
        assert set(blas_threads()) == {1}


def in_other_thread(function):
    """Give what a function gives in a thread of its own."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()


def test_pools_of_other_threads_leave_the_rest(eight_processors):
    with Pool(5) as pool:
        assert pool.n_threads == 5
        assert in_other_thread(lambda: effective_n_jobs(None)) == 3
        assert in_other_thread(lambda: effective_n_jobs(6)) == 6
        assert in_other_thread(lambda: effective_n_jobs(-1)) == 8
    assert in_other_thread(lambda: effective_n_jobs(None)) == 8


def test_one_thread_is_always_left(eight_processors):
    with Pool(None) as pool:
        assert pool.n_threads == 8
        assert in_other_thread(lambda: effective_n_jobs(None)) == 1


def test_pools_within_pools_of_a_thread_share_their_threads(eight_processors):
    with Pool(None), Pool(None) as inner, Pool(3):
        assert inner.n_threads == 8
    with Pool(2), Pool(3):
        assert in_other_thread(lambda: effective_n_jobs(None)) == 5


def test_a_pool_that_fails_gives_its_threads_back(eight_processors):
    with pytest.raises(ZeroDivisionError), Pool(6):
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="n_jobs=0"), Pool(0):
        pass
    assert in_other_thread(lambda: effective_n_jobs(None)) == 8


def test_threads_that_begin_at_once_do_not_take_more_than_there_are(eight_processors):
    barrier = threading.Barrier(6)

    def begin():
        barrier.wait(30)
        with Pool(None) as pool:
            barrier.wait(30)
            return pool.n_threads

    with ThreadPoolExecutor(6) as executor:
        sizes = [future.result() for future in [executor.submit(begin) for _ in range(6)]]
    assert sorted(sizes) == [1, 1, 1, 1, 1, 8]


def test_threads_can_be_counted_while_others_begin_and_end():
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            with Pool(1), Pool(1):
                pass

    with ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(churn) for _ in range(2)]
        try:
            assert all(effective_n_jobs(None) >= 1 for _ in range(3000))
        finally:
            stop.set()
        assert [future.result() for future in futures] == [None, None]


def forked(queue):
    joblib.cpu_count = lambda: 8
    queue.put(effective_n_jobs(None))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_none_of_the_threads_of_its_parent():
    context = multiprocessing.get_context("fork")
    leave, inside = threading.Event(), threading.Event()

    def hold():
        with Pool(5):
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    queue = context.SimpleQueue()
    process = context.Process(target=forked, args=(queue,))
    process.start()
    process.join(30)
    leave.set()
    thread.join()
    assert process.exitcode == 0
    assert queue.get() == 8
