"""Tokens of a Hugging Face tokenizer, ready-made or trained, in the place of words.

A text becomes its tokens, joined by spaces, in which form the kernels take them as words (see
`TOKEN_CLASSES`). What a fitted estimator keeps is the tokenizer's JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from udt.strings import as_text
from udt.threads import Pool, blocks

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Array = NDArray[Any]
TRAINED = ("bpe", "wordpiece", "unigram")
_ROWS_PER_BLOCK = 1024
_UNKNOWN = "[UNK]"
_SMALLEST, _LARGEST = 1000, 30_000  # vocabularies of trained tokenizers, beside the alphabet
# Words with their marks and digits, and the symbols that the built-in splitting keeps.
_WORD = r"[\p{L}\p{M}\p{N}_]+|[!?$%&@#*+/:;()<>=]|\p{S}"
# What `udt.features.unicode` takes away: no part of a word's spelling.
_INVISIBLE = (
    r"[\x{ad}\x{34f}\x{61c}\x{640}\x{115f}\x{1160}\x{17b4}\x{17b5}\x{180b}-\x{180f}\x{200c}-\x{200f}"
    r"\x{202a}-\x{202e}\x{2060}-\x{206f}\x{3164}\x{fe00}-\x{fe0f}\x{feff}\x{ffa0}"
    r"\x{e0000}-\x{e0fff}]"
)


def check_tokenizer(tokenizer: Any) -> None:
    """Raise if a value is nothing that `tokenizer_json` could use, naming it and the remedy."""
    if tokenizer is None or (isinstance(tokenizer, str) and tokenizer in TRAINED):
        return
    names = ", ".join(f'"{name}"' for name in TRAINED)
    remedy = f"give None, {names}, a tokenizers.Tokenizer or the path of its JSON file"
    if isinstance(tokenizer, (str, os.PathLike)):
        if not os.path.isfile(tokenizer):
            raise ValueError(f"tokenizer={tokenizer!r}: there is no such file; {remedy}.")
        return
    if hasattr(tokenizer, "backend_tokenizer"):
        remedy = "of a transformers tokenizer, give its backend_tokenizer"
    elif callable(getattr(tokenizer, "to_str", None)):
        return
    raise ValueError(f"tokenizer={type(tokenizer).__name__} object: {remedy}.")


def tokenizer_json(tokenizer: Any, column: pa.LargeStringArray, strip_accents: bool) -> str:
    """Give the JSON of a tokenizer, trained on a column if need be, that cuts and pads no text.

    Parameters
    ----------
    tokenizer : "bpe", "wordpiece", "unigram", tokenizers.Tokenizer, str or path-like
    column : pyarrow.LargeStringArray
        The texts to train on.
    strip_accents : bool
        Whether a trained tokenizer drops the marks of letters; a ready-made one does as it does.

    Raises
    ------
    ValueError
        If it is no tokenizer; the message names it.
    ModuleNotFoundError
        If tokenizers is not installed.
    """
    if isinstance(tokenizer, str) and tokenizer in TRAINED:
        return _train(tokenizer, column, strip_accents)
    if isinstance(tokenizer, (str, os.PathLike)):
        with open(tokenizer, encoding="utf-8", errors="replace") as file:
            live = parse(file.read(), f"tokenizer={os.fspath(tokenizer)!r}")
    else:
        try:
            text = tokenizer.to_str()
        except Exception as error:  # parts written in Python have no JSON
            raise ValueError(f"tokenizer={type(tokenizer).__name__} object: {error}") from error
        live = parse(text, f"tokenizer={type(tokenizer).__name__} object")
    live.no_truncation()
    live.no_padding()
    return str(live.to_str())


def parse(text: str, name: str = "tokenizer_") -> Tokenizer:
    """Make a tokenizer of its JSON, or raise a ValueError that begins with ``name``."""
    tokenizers = _import()
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:
        raise ValueError(
            f"{name}: this is not the JSON of a tokenizers.Tokenizer ({error}); write it with "
            "Tokenizer.save."
        ) from error


def _import() -> Any:
    # One thread a call: ours run beside each other, as many as n_jobs says, and a process may
    # fork afterwards without a warning. Whoever has set this variable is left alone.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a tokenizer needs the package tokenizers, which is not installed: run "
            "`pip install 'udt[tokenizers]'`.",
            name="tokenizers",
        ) from error
    return tokenizers


def _encode(tokenizer: Tokenizer, texts: list[str]) -> tuple[Array, Array]:
    """Give the token numbers of all texts, and where those of each begin and end."""
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    rows = [encoding.ids for encoding in encodings]
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return np.fromiter(chain.from_iterable(rows), np.int64, ends[-1]), ends


class Encoder:
    """Writes the tokens of texts, separated by spaces.

    Parameters
    ----------
    text : str
        JSON of a tokenizer.
    """

    def __init__(self, text: str) -> None:
        self._tokenizer = parse(text)
        ids = self._tokenizer.get_vocab(with_added_tokens=True).values()
        tokens = map(self._tokenizer.id_to_token, range(max(ids, default=-1) + 1))
        # A space within a token must not cut it; the one at the end parts it from the next.
        self._tokens = [(token or "").replace(" ", "\u2581") + " " for token in tokens]
        self._vocabulary = as_text([*self._tokens, ""])

    def join(self, text: str) -> str:
        """Give the tokens of one text, each with a space behind it."""
        tokens = self._tokens
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return "".join([tokens[i] for i in ids])

    def join_rows(self, column: pa.LargeStringArray, pool: Pool) -> pa.LargeStringArray:
        """Give the tokens of each text of a column, each with a space behind it."""
        parts = pool.map(
            lambda block: self._join_block(column[block[0] : block[1]].to_pylist()),
            blocks(len(column), _ROWS_PER_BLOCK),
        )
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)

    def _join_block(self, texts: list[str]) -> pa.LargeStringArray:
        ids, ends = _encode(self._tokenizer, texts)
        tokens = self._vocabulary.take(
            pa.Array.from_buffers(pa.int64(), len(ids), [None, pa.py_buffer(ids)])
        )
        _, offsets, data = tokens.buffers()
        offsets = np.frombuffer(offsets, np.int64)[ends]
        return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), data)


def _train(kind: str, column: pa.LargeStringArray, strip_accents: bool) -> str:
    """Train a tokenizer of a kind; the same texts give the same JSON."""
    tokenizers = _import()
    models, normalizers, trainers = tokenizers.models, tokenizers.normalizers, tokenizers.trainers
    steps = [normalizers.NFKC(), normalizers.Lowercase()]
    if strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()]
    steps.append(normalizers.Replace(tokenizers.Regex(_INVISIBLE), ""))
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(_WORD), "removed", invert=True
    )
    alphabet = sorted(_characters(column, tokenizer.normalizer))
    n_bytes = int(pc.sum(pc.binary_length(column)).as_py())
    size = len(alphabet) + int(np.clip(4 * np.sqrt(n_bytes), _SMALLEST, _LARGEST))
    options: dict[str, Any] = {
        "special_tokens": [_UNKNOWN],
        "min_frequency": 2,
        "show_progress": False,
    }
    if kind == "wordpiece":
        # Given first, as if they were special: the trainer numbers the others as a hash table
        # happens to order them, which decides between equally frequent pairs.
        options["special_tokens"] += [f"##{char}" for char in alphabet]
        size += len(alphabet)
        tokenizer.model = models.WordPiece(unk_token=_UNKNOWN, max_input_chars_per_word=1000)
        trainer = trainers.WordPieceTrainer(vocab_size=size, **options)
    else:
        trainer = trainers.BpeTrainer(vocab_size=2 * size if kind == "unigram" else size, **options)
    tokenizer.train_from_iterator(_texts(column), trainer)
    if kind == "unigram":
        tokenizer.model = _unigram(tokenizer, column, alphabet, size)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []  # no text holds a special token
    return json.dumps(state, ensure_ascii=False, separators=(",", ":"))


def _unigram(
    tokenizer: Tokenizer, column: pa.LargeStringArray, alphabet: list[str], size: int
) -> Any:
    """Estimate a unigram model from most probable segmentations, beginning with pieces of BPE.

    The trainer of tokenizers sums in the order of a hash table, which changes from run to run.
    """
    from tokenizers import Tokenizer, models

    pieces = sorted({*alphabet, *tokenizer.get_vocab(with_added_tokens=False)} - {_UNKNOWN})
    is_letter = np.isin(pieces, alphabet)
    words, counts = _count_words(tokenizer, column)
    scores = np.full(len(pieces), -1.0)  # at first, the fewest pieces are the most probable
    for n_kept in (len(pieces), 3 * size // 2, size, size):
        vocabulary = [(_UNKNOWN, 0.0), *zip(pieces, scores.tolist(), strict=True)]
        segmenter = Tokenizer(models.Unigram(vocabulary, unk_id=0))
        ids, ends = _encode(segmenter, words)
        uses = np.bincount(ids, np.repeat(counts, np.diff(ends)), len(vocabulary))[1:]
        rank = np.lexsort([np.arange(len(pieces)), -uses, ~is_letter])
        kept = np.sort(rank[:n_kept])
        pieces, is_letter = [pieces[i] for i in kept], is_letter[kept]
        scores = np.log((uses[kept] + 0.5) / np.sum(uses[kept] + 0.5))
    return models.Unigram([(_UNKNOWN, 0.0), *zip(pieces, scores.tolist(), strict=True)], unk_id=0)


def _count_words(tokenizer: Tokenizer, column: pa.LargeStringArray) -> tuple[list[str], Array]:
    """Give the distinct words of a column, in order, and how often each occurs."""
    from tokenizers import Tokenizer, models, trainers

    counter = Tokenizer(models.WordLevel(unk_token=_UNKNOWN))
    counter.normalizer, counter.pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=2**31, show_progress=False)
    counter.train_from_iterator(_texts(column), trainer)
    numbers = counter.get_vocab()
    counts = np.zeros(len(numbers), dtype=np.int64)
    for first, last in blocks(len(column), _ROWS_PER_BLOCK):
        ids, _ = _encode(counter, column[first:last].to_pylist())
        counts += np.bincount(ids, minlength=len(numbers))
    words = sorted(numbers)
    return words, counts[[numbers[word] for word in words]]


def _texts(column: pa.LargeStringArray) -> Iterator[str]:
    for first, last in blocks(len(column), _ROWS_PER_BLOCK):
        yield from column[first:last].to_pylist()


def _characters(column: pa.LargeStringArray, normalizer: Any) -> set[str]:
    """Collect the characters that a trainer will see."""
    found: set[str] = set()
    for text in _texts(column):
        found.update(text)
    return set(normalizer.normalize_str(" ".join(sorted(found)))) - {" "}
