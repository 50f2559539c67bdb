"""Plain threads over blocks of work: kernels release the interpreter lock, blocks fix the bits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from numbers import Integral
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import joblib
import threadpoolctl
from joblib.parallel import get_active_backend


def effective_n_jobs(n_jobs: int | None) -> int:
    """Give the number of threads to use.

    None stands for the processors that this process may use (affinity, cgroup, OMP_NUM_THREADS)
    and that pools of its other threads leave, at least one; and for one inside a joblib worker,
    process or thread, whose siblings use the others. A positive int is taken at its word; -1 means
    all processors, -2 all but one.

    Raises
    ------
    ValueError
        If ``n_jobs`` is 0 or not an int.
    """
    if n_jobs is None:
        if getattr(get_active_backend()[0], "nesting_level", 0):
            return 1
        limit = os.environ.get("OMP_NUM_THREADS", "")
        available = joblib.cpu_count()
        if limit.isdecimal():
            available = min(available, max(1, int(limit)))
        return max(1, available - _used_by_others())
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise ValueError(f"n_jobs={n_jobs!r}: give None, a positive number of threads, or -1.")
    n_jobs = int(n_jobs)
    return n_jobs if n_jobs > 0 else max(1, joblib.cpu_count() + 1 + n_jobs)


class Pool:
    """Run functions over tasks on threads, which live as long as the ``with`` block.

    With one thread, tasks run in the caller.

    Parameters
    ----------
    n_jobs : int or None
        See `effective_n_jobs`.

    Attributes
    ----------
    n_threads : int
    owner : int
        The thread that made it.
    """

    def __init__(self, n_jobs: int | None) -> None:
        self.owner = threading.get_ident()
        with _account:  # or two threads that begin at once would both take all
            self.n_threads = effective_n_jobs(n_jobs)
            _live.add(self)
        self._executor = ThreadPoolExecutor(self.n_threads) if self.n_threads > 1 else None

    def map(self, function: Callable[..., Any], tasks: Iterable[Any]) -> list[Any]:
        """Call ``function`` on each task; give the results in the order of the tasks."""
        tasks = list(tasks)
        if self._executor is None or len(tasks) < 2:
            return [function(task) for task in tasks]
        futures = [self._executor.submit(function, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        with _account:
            _live.discard(self)


_account = threading.RLock()
_live: WeakSet[Pool] = WeakSet()


def _used_by_others() -> int:
    """Count the threads of other threads' pools. Of pools within pools, one works at a time."""
    most: dict[int, int] = {}
    with _account:
        live = list(_live)
    for pool in live:
        if pool.owner != threading.get_ident():
            most[pool.owner] = max(pool.n_threads, most.get(pool.owner, 0))
    return sum(most.values())


def _close_account() -> None:
    """Forget what a parent process has: its threads are not here."""
    global _account
    _account = threading.RLock()
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_account)


def blocks(n: int, size: int) -> list[tuple[int, int]]:
    """Cut ``range(n)`` into ``(first, last)`` pieces of ``size``, for any number of threads."""
    return [(first, min(first + size, n)) for first in range(0, n, size)]


_blas_lock = threading.Lock()
_blas_users = 0
_blas_limit: Any = None
# Looking for libraries takes milliseconds, so once: NumPy's, whose products we use, is loaded.
_blas_controller: threadpoolctl.ThreadpoolController | None = None


def _unbind_blas() -> None:
    """Let this thread set OpenBLAS's limit: threadpoolctl 3.8 silently obeys only the first."""
    controller = getattr(threadpoolctl, "OpenBLASController", None)
    clear = getattr(controller, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: its own threading changes bits, and ours are already running.

    The limit is the process's, so concurrent users share it and the last one lifts it.
    """
    global _blas_users, _blas_limit, _blas_controller
    with _blas_lock:
        _blas_users += 1
        if _blas_limit is None:
            _unbind_blas()
            if _blas_controller is None:
                _blas_controller = threadpoolctl.ThreadpoolController()
            _blas_limit = _blas_controller.limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _blas_lock:
            _blas_users -= 1
            if _blas_users == 0 and _blas_limit is not None:
                _unbind_blas()
                _blas_limit.restore_original_limits()
                _blas_limit = None
                _unbind_blas()
