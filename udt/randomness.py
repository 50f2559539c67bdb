"""Random bits for kernels: a hash of a key and two numbers, whatever thread asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from udt.compilation import kernel


@kernel
def mix(key: Any, a: Any, b: Any) -> Any:
    """Hash a key and two numbers to 64 random bits."""
    h = np.uint64(key) + np.uint64(a) * np.uint64(0x9E3779B97F4A7C15)
    h += np.uint64(b) * np.uint64(0xD1B54A32D192ED03)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return h ^ (h >> np.uint64(32))


@kernel
def scaled(bits: Any, n: Any) -> Any:
    """Scale the upper half of 64 random bits to a number below ``n``."""
    return np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
