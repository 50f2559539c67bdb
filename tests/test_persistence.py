"""Model files: what is stored comes back; what is damaged is refused; an old file survives."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from udt import persistence
from udt.persistence import (
    ModelFileError,
    decode_labels,
    encode_labels,
    read_model,
    reading,
    write_model,
)

META = {
    "params": {"rate": 0.5, "words": (1, None), "flags": [True], "weights": {3: 1.5}},
    "name": "ünïcode \ud800",
}
DTYPES = ["f8", "f4", "f2", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1", "?"]


def some_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {f"a_{t.strip('?')}": rng.integers(0, 2, (3, 5)).astype(t) for t in DTYPES}
    arrays["empty"] = np.empty((0, 4), np.float32)
    arrays["scalar"] = np.array(3.5)
    arrays["odd"] = np.arange(7, dtype=np.uint8)
    return arrays


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.udt"
    write_model(path, META, some_arrays())
    return path


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert sorted(got) == sorted(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array, strict=True)


# ------------------------------------------------------------------------------------ round trip


def test_everything_comes_back(model: Path) -> None:
    meta, arrays = read_model(str(model))
    assert meta == META
    assert_same(arrays, some_arrays())


@pytest.mark.parametrize("labels", [np.array(["a", "\ud800"]), np.array([3, "b"], object)])
def test_labels_come_back(tmp_path: Path, labels: np.ndarray) -> None:
    write_model(tmp_path / "m.udt", *encode_labels(labels))
    got = decode_labels(*read_model(tmp_path / "m.udt"))
    np.testing.assert_array_equal(got, labels, strict=True)


def test_no_arrays_and_empty_meta(tmp_path: Path) -> None:
    write_model(tmp_path / "m.udt", {}, {})
    assert read_model(tmp_path / "m.udt") == ({}, {})


def test_any_safetensors_reader_opens_the_file(model: Path) -> None:
    assert_same(safetensors.numpy.load_file(model), some_arrays())
    with safetensors.safe_open(model, "np") as file:
        about = json.loads(file.metadata()["udt"])
    assert (about["format"], about["format_version"]) == ("udt", persistence.FORMAT_VERSION)
    assert about["udt_version"]


def test_same_model_same_bytes(tmp_path: Path, model: Path) -> None:
    other = tmp_path / "other.udt"
    shuffled = dict(reversed(some_arrays().items()))
    write_model(other, dict(reversed(META.items())), shuffled)
    assert other.read_bytes() == model.read_bytes()


def test_other_memory_layouts_are_stored_as_plain_ones(tmp_path: Path) -> None:
    square = np.arange(12, dtype=np.int32).reshape(3, 4)
    arrays = {"fortran": np.asfortranarray(square), "strided": square[:, ::2], "big": square}
    write_model(tmp_path / "m.udt", {}, {**arrays, "big": square.astype(">i4")})
    assert_same(read_model(tmp_path / "m.udt")[1], arrays)


def test_arrays_are_mapped_privately_and_aligned(model: Path) -> None:
    before = model.read_bytes()
    for array in read_model(model)[1].values():
        array.ravel()[:1] = 0  # kernels compile once: for arrays like those of a fitted model
        assert not array.flags.owndata
        assert array.flags.aligned
        assert type(array) is np.ndarray
    assert model.read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_copies_nothing(tmp_path: Path) -> None:
    write_model(tmp_path / "m.udt", {}, {"big": np.ones(10_000_000, np.float32)})
    script = (
        "import sys\nfrom udt.persistence import read_model\n"
        "def rss():\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return int(next(x for x in lines if x.startswith('RssAnon')).split()[1])\n"
        "before = rss()\nmeta, arrays = read_model(sys.argv[1])\n"
        "assert arrays['big'].sum() == 10_000_000\n"
        "assert rss() - before < 10_000, rss() - before\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "m.udt")]
    subprocess.run(command, check=True, timeout=120)


def test_mapped_arrays_outlive_replacement_and_pickle(model: Path) -> None:
    arrays = read_model(model)[1]
    write_model(model, {}, {"odd": np.zeros(3)})
    assert_same(pickle.loads(pickle.dumps(arrays)), some_arrays())
    assert_same(read_model(model)[1], {"odd": np.zeros(3)})


# ---------------------------------------------------------------------------- what is not a model


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.udt"):
        read_model(tmp_path / "none.udt")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a folder"):
        read_model(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        read_model(tmp_path / "pipe")


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"x" * 100)
    return buffer.getvalue()


class Bomb:
    """Unpickling this would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-ran",)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"abc", "is not a udt model"),
        (b"\0" * 100, "is not a udt model"),
        (np.random.default_rng(0).bytes(5000), "is not a udt model"),
        (pickle.dumps(Bomb()), "not a udt model but a pickle"),
        (zip_bytes(), "not a udt model but a zip archive"),
        (b"\x1f\x8b\x08\0" + b"x" * 50, "not a udt model but a gzip file"),
        (b"text,label\n1,2\n" * 9, "is not a udt model"),
        ((5).to_bytes(8, "little") + b"12345", "is not a udt model"),
        ((60_000).to_bytes(8, "little") + b"[" * 60_000, "is not a udt model"),
        (safetensors.numpy.save({"a": np.ones(3)}), "a safetensors file but not a udt model"),
        (safetensors.numpy.save({"a": np.ones(3)}, {"udt": "{"}), "its metadata is not"),
        (safetensors.numpy.save({"a": np.ones(3)}, {"udt": "[1]"}), "its metadata is not"),
        (safetensors.numpy.save({"a": np.ones(3)}, {"udt": "[" * 99_999}), "metadata is not"),
    ],
)
def test_foreign_file(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "foreign.udt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=problem) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert not Path("pickle-ran").exists()


def test_truncated_anywhere(model: Path) -> None:
    content = model.read_bytes()
    for length in [*range(1, 600, 13), *range(600, len(content), 101), len(content) - 1]:
        model.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"truncated|damaged|not a udt model|empty"):
            read_model(model)


def test_lengthened(model: Path) -> None:
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="1 bytes follow its last array"):
        read_model(model)


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_anywhere_is_found(model: Path, bit: int) -> None:
    content = model.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        model.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"model\.udt"):
            read_model(model)


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Alter the header as an attacker would, checksum and all."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    about = json.loads(entries["__metadata__"]["udt"])
    entries["__metadata__"]["crc32"] = "00000000"
    change(entries, about)
    entries["__metadata__"]["udt"] = json.dumps(about)
    text = json.dumps(entries, separators=(",", ":")).encode()
    header = text + b" " * (-(8 + len(text)) % 64)
    length = len(header).to_bytes(8, "little")
    crc = persistence.zlib.crc32(length + header + content[start:])
    path.write_bytes(length + header.replace(b"00000000", b"%08x" % crc, 1) + content[start:])


def test_rewrite_itself_makes_valid_files(model: Path) -> None:
    rewrite(model, lambda entries, about: about["meta"].update(name="new"))
    assert read_model(model)[0]["name"] == "new"


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"dtype": "F32", "shape": [7]},
        {"dtype": "F99", "shape": [7], "data_offsets": [0, 7]},
        {"dtype": ["U8"], "shape": [7], "data_offsets": [0, 7]},
        {"dtype": "U8", "shape": [8], "data_offsets": [0, 7]},
        {"dtype": "U8", "shape": [-7], "data_offsets": [0, -7]},
        {"dtype": "U8", "shape": [7.0], "data_offsets": [0, 7]},
        {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": 7, "data_offsets": [0, 7]},
        {"dtype": "U8", "shape": [7], "data_offsets": [0, 7, 7]},
        {"dtype": "U8", "shape": [7], "data_offsets": ["0", "7"]},
        {"dtype": "U8", "shape": [1] * 65 + [7], "data_offsets": [0, 7]},
        {"dtype": "U8", "shape": [0, 2**62], "data_offsets": [0, 0]},
    ],
)
def test_wrong_entry(model: Path, entry: object) -> None:
    rewrite(model, lambda entries, about: entries.update(odd=entry))
    with pytest.raises(ModelFileError, match=r"entry for array 'odd' is wrong"):
        read_model(model)


def test_array_that_ends_after_the_file(model: Path) -> None:
    def grow(entries: dict[str, Any], about: dict[str, Any]) -> None:
        last = max(entries, key=lambda name: entries[name].get("data_offsets", [0])[0])
        begin = entries[last]["data_offsets"][0]
        entries[last] = {"dtype": "U8", "shape": [99], "data_offsets": [begin, begin + 99]}

    rewrite(model, grow)
    with pytest.raises(ModelFileError, match="is truncated: array"):
        read_model(model)


@pytest.mark.parametrize("shift", [-1, 1, 4, 10**6])
def test_gap_overlap_and_misalignment(model: Path, shift: int) -> None:
    def move(entries: dict[str, Any], about: dict[str, Any]) -> None:
        begin, end = entries["a_f4"]["data_offsets"]
        entries["a_f4"]["data_offsets"] = [begin + shift, end + shift]

    rewrite(model, move)
    with pytest.raises(ModelFileError, match="not where it should be"):
        read_model(model)


def test_misaligned_start(model: Path) -> None:
    content = model.read_bytes()
    length = int.from_bytes(content[:8], "little")
    model.write_bytes(
        (length + 1).to_bytes(8, "little") + content[8 : 8 + length] + b" " + content[8 + length :]
    )
    with pytest.raises(ModelFileError, match="not where it should be"):
        read_model(model)


@pytest.mark.parametrize("key", ["format", "format_version", "meta"])
def test_missing_metadata(model: Path, key: str) -> None:
    rewrite(model, lambda entries, about: about.pop(key))
    with pytest.raises(ModelFileError, match="is damaged"):
        read_model(model)


def test_metadata_that_cannot_be_unpacked(model: Path) -> None:
    rewrite(model, lambda entries, about: about["meta"].update(name={"!tuple": 3}))
    with pytest.raises(ModelFileError, match=r"model\.udt: is damaged: TypeError"):
        read_model(model)


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), IndexError()])
def test_reading_names_the_file(error: Exception) -> None:
    problem = r"my\.udt: is damaged: .*Error.*save the model again"
    with pytest.raises(ModelFileError, match=problem), reading(Path("my.udt")):
        raise error


@pytest.mark.parametrize("version", [0, -1, "1", True, 1.0, None])
def test_wrong_version(model: Path, version: object) -> None:
    rewrite(model, lambda entries, about: about.update(format_version=version))
    with pytest.raises(ModelFileError, match="format_version="):
        read_model(model)


def test_newer_format(model: Path) -> None:
    newer = {"format_version": persistence.FORMAT_VERSION + 1, "udt_version": "99.1"}
    rewrite(model, lambda entries, about: about.update(newer))
    with pytest.raises(ModelFileError, match=r"newer udt \(99\.1, .*pip install --upgrade"):
        read_model(model)


def test_older_format(model: Path) -> None:
    older = {"format_version": persistence.FORMAT_VERSION - 1, "udt_version": "0.0.1"}
    rewrite(model, lambda entries, about: about.update(older))
    with pytest.raises(ModelFileError, match=r"older udt \(0\.0\.1, .*Fit and save"):
        read_model(model)


# ------------------------------------------------------------------------------ trouble in writing


def only_file(folder: Path, content: bytes) -> bool:
    return [p.read_bytes() for p in folder.iterdir()] == [content]


def test_no_space_leaves_the_old_file_whole(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = model.read_bytes()
    real_open = builtins.open

    def small_disk(path: Any, mode: str = "r", *args: Any) -> Any:
        file = real_open(path, mode, *args)
        if mode != "xb":
            return file
        file.write(b"part")
        file.flush()

        class Full:
            def __enter__(self) -> Full:
                return self

            def __exit__(self, *args: object) -> None:
                file.close()

            def write(self, data: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(builtins, "open", small_disk)
    with pytest.raises(OSError, match=r"not saved \(No space left.*model\.udt") as caught:
        write_model(model, {}, {"a": np.ones(9)})
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert only_file(model.parent, old)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_ctrl_c_leaves_the_old_file_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    old = model.read_bytes()

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, moment, interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_model(model, {}, {"a": np.ones(9)})
    assert only_file(model.parent, old)


def test_kill_while_saving_leaves_the_old_file_whole(model: Path) -> None:
    old = model.read_bytes()
    script = (
        "import os, signal, sys, numpy\nfrom udt.persistence import write_model\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_model(sys.argv[1], {}, {'a': numpy.ones(9)})\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(model)], timeout=120)
    assert killed.returncode != 0
    assert model.read_bytes() == old
    assert_same(read_model(model)[1], some_arrays())


def test_data_is_on_disk_before_the_rename(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or fsync(fd))
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append("replace") or replace(a, b))
    write_model(model, {}, {})
    assert calls[:2] == ["fsync", "replace"]


def test_bad_targets(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder .*none does not exist"):
        write_model(tmp_path / "none" / "m.udt", {}, {})
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_model(tmp_path, {}, {})
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="not a regular file"):
            write_model(tmp_path / "pipe", {}, {})
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    old_umask = os.umask(0o027)
    try:
        write_model(tmp_path / "real.udt", {}, {})
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE((tmp_path / "real.udt").stat().st_mode) == 0o640
    (tmp_path / "real.udt").chmod(0o604)
    (tmp_path / "link.udt").symlink_to("real.udt")
    write_model(tmp_path / "link.udt", {"new": 1}, {})
    assert (tmp_path / "link.udt").is_symlink()
    assert read_model(tmp_path / "real.udt")[0] == {"new": 1}
    assert stat.S_IMODE((tmp_path / "real.udt").stat().st_mode) == 0o604


@pytest.mark.parametrize(
    ("meta", "arrays", "named"),
    [
        ({"x": {1, 2}}, {}, r"meta\['x'\]"),
        ({"x": float("nan")}, {}, r"meta\['x'\]"),
        ({1: 2}, {}, r"meta\[1\]"),
        ({"x": "y" * 11_000_000}, {}, "use an array"),
        ({}, {"a": np.array(["x"])}, r"arrays\['a'\]: dtype <U1"),
        ({}, {"a": np.array([None])}, r"arrays\['a'\]: dtype object"),
        ({}, {"a": np.array([1j])}, r"arrays\['a'\]: dtype complex128"),
        ({}, {"__metadata__": np.ones(1)}, "__metadata__"),
        ({}, {3: np.ones(1)}, "3 cannot be the name"),
    ],
)
def test_what_cannot_be_stored(
    model: Path, meta: dict[str, Any], arrays: dict[str, np.ndarray], named: str
) -> None:
    old = model.read_bytes()
    with pytest.raises(TypeError, match=named):
        write_model(model, meta, arrays)
    assert only_file(model.parent, old)
