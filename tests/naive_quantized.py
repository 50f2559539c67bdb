"""The slow obvious twins of quantised weights and of their products, in NumPy."""

import numpy as np

LARGEST = {8: 127, 4: 7}


def widen(bits):
    """Read the bits of a bfloat16.

    >>> widen(np.array([0x3F80, 0xC000], dtype=np.uint16))
    array([ 1., -2.], dtype=float32)
    """
    return (np.asarray(bits, dtype=np.uint32) << 16).view(np.float32)


def round_up(x):
    """Give the least bfloat16 that is not below a float32.

    >>> round_up(np.float32(1)), round_up(np.float32(1.0001))
    (np.float32(1.0), np.float32(1.0078125))
    """
    bits = int(np.float32(x).view(np.uint32))
    return np.uint32(-(-bits >> 16) << 16).view(np.float32)


def blocks(n_rows, width, bits, block=None):
    """Give the number of each weight's block: (n_rows, width).

    >>> blocks(3, 4, 8, block=8).tolist()
    [[0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]
    >>> blocks(2, 20, 8, block=8)[:, [0, 15, 16, 19]].tolist()
    [[0, 0, 1, 1], [2, 2, 3, 3]]
    """
    block = block or {8: 128, 4: 64}[bits]
    row, d = np.indices((n_rows, width))
    if width > block:
        part = min(width, int(np.ceil(np.ceil(width / (width // block)) / 8)) * 8)
        return row * -(-width // part) + d // part
    rows = 1
    while 0 < 2 * rows * width <= block and rows < n_rows:
        rows *= 2
    return row // rows


def scales(weights, numbers, bits):
    """Give the scale of each block: its peak divided by 127 or 7, rounded up, and not tiny."""
    peaks = np.zeros(numbers.max(initial=-1) + 1, dtype=np.float32)
    np.maximum.at(peaks, numbers.ravel(), np.abs(weights).ravel())
    tiny = np.finfo(np.float32).tiny
    return np.array(
        [max(round_up(peak / np.float32(LARGEST[bits])), tiny) if peak else 0 for peak in peaks],
        dtype=np.float32,
    )


def codes(quantized):
    """Give the integers: (n_rows, width)."""
    numbers = quantized.codes
    if quantized.bits == 4:
        halves = np.stack([quantized.codes & 15, (quantized.codes >> 4) & 15], axis=1).ravel()
        numbers = (halves.astype(np.int8) ^ 8) - 8
    row, d = np.indices((quantized.n_rows, quantized.width))
    return numbers[row * quantized.stride + d].astype(np.int64)


def floats(quantized, block=None):
    """Give the weights that integers and scales stand for."""
    numbers = blocks(quantized.n_rows, quantized.width, quantized.bits, block)
    return codes(quantized) * widen(quantized.scales)[numbers]


def activations(hidden):
    """Give rows as integers from -127 to 127, and the factor of each row."""
    peaks = np.abs(hidden).max(axis=1, initial=0)
    with np.errstate(divide="ignore"):
        inverses = np.where(peaks > 0, np.float32(127) / peaks, np.float32(0))
    return np.rint(hidden * inverses[:, np.newaxis]).astype(np.int64), peaks / np.float32(127)


def scores(hidden, quantized, bias, block=None):
    """Give logits of exact sums of products of integers: (n, n_classes), float64."""
    x, factors = activations(hidden)
    weights, numbers = codes(quantized), blocks(*quantized.layout[:3].tolist(), block)
    total = np.tile(bias.astype(float), (len(x), 1))
    for first in range(0, quantized.width, quantized.part):
        here = slice(first, first + quantized.part)
        sums = x[:, here] @ weights[:, here].T
        of_part = widen(quantized.scales)[numbers[:, first]].astype(float)
        total += sums * factors[:, np.newaxis].astype(float) * of_part
    return total


def n_bytes(quantized):
    """Give the memory that integers and their scales take."""
    return quantized.codes.nbytes + quantized.scales.nbytes
