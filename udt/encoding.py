"""Strings, labels and settings -> arrays and JSON, and back without a loss."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "decode_labels",
    "decode_strings",
    "encode_labels",
    "encode_strings",
    "pack",
    "plain",
    "unpack",
]

# The dtypes that any platform can hold; longdouble is not one of them.
_NUMBERS = {"<f8", "<f4", "<f2", "<i8", "<u8", "<i4", "<u4", "<i2", "<u2", "|i1", "|u1", "|b1"}


def plain(value: Any) -> Any:
    """Replace NumPy scalars by Python ones in a value, its lists, tuples and dicts.

    Examples
    --------
    >>> import numpy as np
    >>> plain({"class_weight": {np.int64(3): np.float32(0.5)}, "word_ngrams": (1, np.int8(2))})
    {'class_weight': {3: 0.5}, 'word_ngrams': (1, 2)}
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def pack(value: Any) -> Any:
    """Make JSON of a plain value: tuples, and dicts whose keys are not all str, are marked.

    Examples
    --------
    >>> pack({"a": (1, 2), "b": {3: 0.5}})
    {'a': {'!tuple': [1, 2]}, 'b': {'!dict': [[3, 0.5]]}}
    >>> unpack(pack({"a": (1, 2), "b": {3: 0.5}}))
    {'a': (1, 2), 'b': {3: 0.5}}
    """
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("!") for key in value):
            return {key: pack(item) for key, item in value.items()}
        return {"!dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if type(value) is tuple:
        return {"!tuple": [pack(item) for item in value]}
    if type(value) is list:
        return [pack(item) for item in value]
    return value


def unpack(value: Any) -> Any:
    """Undo :func:`pack`; a TypeError or ValueError if it did not make the value."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if isinstance(value, dict):
        if "!tuple" in value:
            return tuple(unpack(item) for item in value["!tuple"])
        if "!dict" in value:
            return {unpack(key): unpack(item) for key, item in value["!dict"]}
        return {key: unpack(item) for key, item in value.items()}
    return value


def encode_strings(strings: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    r"""Pack strings into their UTF-8 bytes and where each begins and ends.

    Parameters
    ----------
    strings : sequence of str
        NUL characters and lone surrogates are kept.

    Returns
    -------
    data : ndarray of uint8, shape (total bytes,)
    offsets : ndarray of int64, shape (len(strings) + 1,)

    Examples
    --------
    >>> encode_strings(["no", "ja"])[1]
    array([0, 2, 4])
    >>> decode_strings(*encode_strings(["ok", "", "\x00\ud800"]))
    ['ok', '', '\x00\ud800']
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


def decode_strings(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    """Undo :func:`encode_strings`; arrays that it did not make give a ValueError."""
    if (
        data.dtype != np.uint8
        or offsets.dtype != np.int64
        or (data.ndim, offsets.ndim) != (1, 1)
        or len(offsets) == 0
        or offsets[0] != 0
        or offsets[-1] != len(data)
        or np.any(offsets[1:] < offsets[:-1])
    ):
        raise ValueError("stored strings are damaged: the offsets do not fit the bytes")
    raw = data.tobytes()
    bounds = offsets.tolist()
    try:
        return [raw[begin:end].decode("utf-8", "surrogatepass") for begin, end in pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise ValueError(f"stored strings are damaged: {error}") from error


def encode_labels(classes: npt.ArrayLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Turn class labels into a small JSON dict and arrays for a model file.

    Parameters
    ----------
    classes : array-like, shape (n_classes,)
        Integers, floats, bool, str, bytes, datetime64 or timedelta64 of any width, or an object
        array of str, int, float, bool and NumPy scalars of these.

    Returns
    -------
    meta : dict
        ``{"dtype": ...}``, for :func:`decode_labels`.
    arrays : dict of str to ndarray
        ``labels`` (uint8) and, for text and object labels, ``label_offsets`` (int64).

    Raises
    ------
    TypeError
        A label of another type; the message names it.

    Examples
    --------
    >>> decode_labels(*encode_labels(["no", "yes"]))
    array(['no', 'yes'], dtype='<U3')
    """
    classes = np.asarray(classes)
    if classes.ndim != 1:
        raise TypeError(f"labels must be a 1-d array, got shape {classes.shape}")
    dtype = classes.dtype
    meta = {"dtype": dtype.str}
    if dtype.kind in "UO":
        encode = str if dtype.kind == "U" else _encode_object
        data, offsets = encode_strings([encode(label) for label in classes])
        return meta, {"labels": data, "label_offsets": offsets}
    if dtype.kind in "SMm" or dtype.newbyteorder("<").str in _NUMBERS:
        return meta, {"labels": np.frombuffer(classes.tobytes(), np.uint8)}
    raise TypeError(f"labels of dtype {dtype} cannot be stored; use str or int labels")


def _encode_object(label: object) -> str:
    """JSON of [type, value]; plain text passes through UTF-8 so that surrogates stay apart."""
    tag = type(label).__name__
    value = label
    if isinstance(label, np.generic) and label.dtype.kind in "biufU" and label.itemsize <= 8:
        tag, value = label.dtype.str, label.item()
    elif isinstance(label, np.str_):
        tag, value = label.dtype.str, str(label)
    elif type(label) not in (str, int, float, bool):
        raise TypeError(
            f"label {label!r} of type {tag} cannot be stored; use str, int, float or bool labels"
        )
    return json.dumps([tag, value], ensure_ascii=False)


def _decode_object(text: str) -> object:
    tag, value = json.loads(text)
    plain = {"str": str, "int": int, "float": float, "bool": bool}
    if tag in plain:
        if type(value) is not plain[tag]:
            raise ValueError(f"{value!r} is no {tag}")
        return value
    dtype = np.dtype(tag)
    if dtype.kind not in "biufU":
        raise ValueError(f"{tag!r} is no type of a label")
    return dtype.type(value)


def decode_labels(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Undo :func:`encode_labels`: the same labels in the same dtype.

    Raises
    ------
    ValueError
        `meta` and `arrays` are not what :func:`encode_labels` returns.
    """
    try:
        dtype = np.dtype(meta["dtype"])
        data = arrays["labels"]
        if dtype.kind in "UO":
            strings = decode_strings(data, arrays["label_offsets"])
            if dtype.kind == "U":
                return np.array(strings, dtype=dtype)
            labels = np.empty(len(strings), dtype=object)
            labels[:] = [_decode_object(text) for text in strings]
            return labels
        if dtype.kind not in "biufSMm" or data.dtype != np.uint8:
            raise ValueError(f"labels of dtype {dtype}")
        return np.frombuffer(data.tobytes(), dtype).copy()
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"stored labels are damaged ({error!r})") from error
