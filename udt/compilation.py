"""The one way in which this package compiles a kernel."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

from numba import config, extending, njit

#: Options of every kernel. The fastmath flags let LLVM reorder sums and fuse multiply-adds, which
#: vectorises reductions, but leave out "nnan" and "ninf": diverging training must stay visible.
#: Kernels are inlined where others call them: numba counts references to arrays at calls that are
#: left, and LLVM's own choice differs between code compiled here and code read from the cache,
#: and so do the last bits of sums.
OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
    "forceinline": True,
}

_uncached_warning_shown = False


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` with `OPTIONS`, lazily, at its first call.

    Where no folder for compiled code can be written (a read-only installation), the kernel is
    compiled anew in each process, and one warning says so.
    """
    global _uncached_warning_shown
    try:
        compiled = njit(**OPTIONS)(function)
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        if not _uncached_warning_shown:
            _uncached_warning_shown = True
            warnings.warn(
                "No folder for compiled code is writable, so udt compiles anew in each process. "
                "Set NUMBA_CACHE_DIR to a writable folder to avoid this.",
                RuntimeWarning,
                stacklevel=2,
            )
        compiled = njit(**{**OPTIONS, "cache": False})(function)
    return cast(Callable[..., Any], compiled)


def intrinsic(
    uncompiled: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the making of a machine operation that Python and numba have no word for.

    ``uncompiled`` does the same in Python, and runs instead where numba's compiler is off.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = extending.intrinsic(function)
        return uncompiled if config.DISABLE_JIT else compiled  # type: ignore[attr-defined]

    return decorate
