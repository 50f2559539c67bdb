"""What goes into arrays and JSON comes out as it was, or is refused by name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.encoding import (
    decode_labels,
    decode_strings,
    encode_labels,
    encode_strings,
    pack,
    plain,
    unpack,
)

DTYPES = ["f8", "f4", "f2", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1", "?"]
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.sampled_from(["!tuple", "!dict"]), inner)
    ),
)


@given(values)
def test_settings_come_back_through_json(value: Any) -> None:
    got = unpack(json.loads(json.dumps(pack(value))))
    assert repr(got) == repr(value)


@pytest.mark.parametrize("value", [{"!tuple": 3}, {"!dict": [[1]]}, {"!dict": [[[], 1]]}])
def test_what_pack_did_not_make(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        unpack(value)


def test_plain_leaves_no_numpy_scalar() -> None:
    value = {np.str_("a"): [np.int64(1), (np.float32(0.5), np.bool_(True))], 2: None}
    assert repr(plain(value)) == "{'a': [1, (0.5, True)], 2: None}"


any_text = st.text(st.characters(exclude_categories=[]), max_size=8)  # surrogates, NUL and all


@given(st.lists(any_text, max_size=8))
def test_strings_come_back(strings: list[str]) -> None:
    data, offsets = encode_strings(strings)
    assert (data.dtype, offsets.dtype, len(offsets)) == (np.uint8, np.int64, len(strings) + 1)
    assert decode_strings(data, offsets) == strings


@pytest.mark.parametrize(
    ("data", "offsets"),
    [
        ([65, 66], []),
        ([65, 66], [0, 1]),
        ([65, 66], [1, 2]),
        ([65, 66], [0, 3]),
        ([65, 66], [0, 2, 1, 2]),
        ([255, 66], [0, 1, 2]),
    ],
)
def test_damaged_strings(data: list[int], offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="strings are damaged"):
        decode_strings(np.array(data, np.uint8), np.array(offsets, np.int64))


def test_strings_of_wrong_dtype() -> None:
    with pytest.raises(ValueError, match="strings are damaged"):
        decode_strings(np.zeros(0), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="strings are damaged"):
        decode_strings(np.zeros(0, np.uint8), np.zeros(1, np.int32))


LABELS = [
    *(np.arange(2).astype(dtype) for dtype in DTYPES),
    np.arange(3, dtype=">i4"),
    np.array([-(2**63), 2**63 - 1]),
    np.array([0.1, -0.0, np.inf]),
    np.array(["", "a\0b", "ünï", "\ud800", "\ud83d\ude00", "😀"]),
    np.array(["no", "yes"], dtype="<U7"),
    np.array(["no", "yes"], dtype=">U7"),
    np.array([b"no", b"\xff\0y"], dtype="S3"),
    np.array(["2020-01-01", "NaT"], dtype="M8[ns]"),
    np.array(["2020-01"], dtype="M8[M]"),
    np.array([5, 7], dtype="m8[25s]"),
    np.array(["no", "yes", "\ud83d\ude00", "a\0", '"quoted"'], dtype=object),
    np.array([True, 1, 1.0, "1", -(10**30), 0.1, float("inf"), "\ud800"], dtype=object),
    np.array([np.int64(1), np.float32(0.1), np.bool_(True), np.str_("a\0"), 2], dtype=object),
    np.array([], dtype=object),
    np.array([], dtype="U3"),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: f"{labels.dtype.str}-{len(labels)}")
def test_labels_come_back(labels: np.ndarray) -> None:
    meta, arrays = encode_labels(labels)
    got = decode_labels(json.loads(json.dumps(meta)), arrays)
    assert got.dtype.str == labels.dtype.str
    assert got.tobytes() == labels.tobytes() or labels.dtype == object
    assert [type(x) for x in got] == [type(x) for x in labels]
    assert [repr(x) for x in got] == [repr(x) for x in labels]
    assert got.flags.aligned


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (np.array(["a", None], dtype=object), "label None of type NoneType"),
        (np.array(["a", b"x"], dtype=object), "label b'x' of type bytes"),
        (np.array([("a", 1), "b"], dtype=object), r"label \('a', 1\) of type tuple"),
        (np.array([np.datetime64("2020-01-01"), "b"], dtype=object), "of type datetime64"),
        (np.array([1j]), "complex128"),
        (np.zeros(2, "i4,i4"), "labels of dtype"),
        (np.array([["a"]]), r"1-d array, got shape \(1, 1\)"),
    ],
)
def test_labels_that_cannot_be_stored(labels: np.ndarray, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        encode_labels(labels)


@pytest.mark.parametrize(
    ("meta", "arrays"),
    [
        ({}, {}),
        ({"dtype": "<i8"}, {}),
        ({"dtype": "<i8"}, {"labels": np.zeros(7, np.uint8)}),
        ({"dtype": "<i8"}, {"labels": np.zeros(8, np.float32)}),
        ({"dtype": "nonsense"}, {"labels": np.zeros(8, np.uint8)}),
        ({"dtype": "i4,i4"}, {"labels": np.zeros(8, np.uint8)}),
        ({"dtype": "<c16"}, {"labels": np.zeros(16, np.uint8)}),
        ({"dtype": "|O"}, {"labels": np.zeros(8, np.uint8)}),
        *(
            ({"dtype": "|O"}, dict(zip(["labels", "label_offsets"], encode_strings([s]), strict=1)))
            for s in ["", "1", "[1]", '["int", "1"]', '["bool", 1]', '["|O", 1]', '["zz", 1]']
        ),
    ],
)
def test_damaged_labels(meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="labels are damaged"):
        decode_labels(meta, arrays)
