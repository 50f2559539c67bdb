"""Normalisation of text for all of Unicode, before the kernels, which know ASCII only."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Scripts written without spaces between words: each character (with the marks that combine with
# it) becomes a word of its own, so that word n-grams are runs of characters.
_UNSPACED = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46"  # Thai
    "\u0e81-\u0eb0\u0eb2-\u0eb3\u0ec0-\u0ec6"  # Lao
    "\u1000-\u102a\u103f-\u1049"  # Myanmar
    "\u1780-\u17b3"  # Khmer
    "\u3041-\u3096\u30a1-\u30fa\u30fc"  # kana
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_ACCENTS = "\u0300-\u036f\u064b-\u0652\u0670\u3099\u309a"  # of no script, Arabic, kana
_MARKS = (
    _ACCENTS + "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd"
    "\u102b-\u103e\u17b6-\u17d3"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_MARKS_BEHIND = re.compile(f"(?<=[{_UNSPACED}]) ([{_MARKS}]+)")
# What Unicode calls default ignorable: joiners, soft hyphens, marks of direction, variation
# selectors and the like are invisible and no part of a word's spelling. (The zero-width space is
# not among them: it separates words.)
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_TATWEEL = "\u0640"  # only stretches an Arabic word
# Marks on no letter: NFKC makes a space and a mark of the accent in "don\u00b4t".
_STRAY_MARKS = re.compile(f"(?:^| )[{_ACCENTS}]+")


def _is_symbol(char: str) -> bool:
    """Whether a non-ASCII character that is no part of a word stands for itself, as emoji do."""
    return unicodedata.category(char) in ("So", "Sk", "Sc", "Sm")


class _Separators(dict[int, str]):
    """``str.translate`` table, filled as characters are met: what is not of a word separates."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if code < 128 or char.isalnum() or unicodedata.category(char)[0] == "M":
            text = char
        elif _is_symbol(char):
            text = f" {char} "
        else:
            text = " "
        if _IS_UNSPACED.match(char):
            text = f" {text} "
        self[code] = text
        return text


_separators = _Separators()
# A run of characters that are not ASCII: what stands before it changes nothing in it unless it
# begins with a mark, nor does what follows.
_RUN = re.compile("[^\x00-\x7f]+")
_LONGEST_WORD = 16  # characters of a run that is likely to come again
_DEPENDS = "\ud800"  # no text holds it


class _DependsOnContext(Exception):
    """A run begins with a mark."""


class _Characters(dict[int, str]):
    """``str.translate`` table from characters to what they become beside any others.

    Filled as characters are met. What depends on its neighbours becomes ``_DEPENDS``: marks, the
    vowels and finals of Hangul that are written apart, and all that is made of one in front.
    """

    def __init__(self, strip_accents: bool) -> None:
        self._strip_accents = strip_accents

    def __missing__(self, code: int) -> str:
        char = chr(code)
        text = "" if _IGNORABLE.match(char) else _normalise(char, self._strip_accents)
        composed = unicodedata.normalize("NFKC", char)
        for start in (composed[:1], _fold(char)[:1]):
            is_mark = start and unicodedata.category(start)[0] == "M"
            if text and (is_mark or "\u1160" <= start <= "\u11ff" or 0xD800 <= code < 0xE000):
                text = _DEPENDS
        self[code] = text
        return text


_characters = {strip_accents: _Characters(strip_accents) for strip_accents in (False, True)}


def normalise(text: str, strip_accents: bool = False) -> str:
    """Fold the case of ``text`` and separate its words, for all of Unicode.

    ASCII punctuation and white space is left to the kernels, which a pure ASCII text goes to
    directly: for it, this function does no more than lower-case.

    Examples
    --------
    >>> normalise("Stra\u00dfe \u2014 \u6771\u4eac").split()
    ['strasse', '\u6771', '\u4eac']
    """
    if text.isascii():
        return text.lower()
    strip_accents = bool(strip_accents)
    if len(text.encode(errors="replace")) > 1.25 * len(text):  # runs are no rarity
        whole = text.translate(_characters[strip_accents])
        if _DEPENDS not in whole:
            return whole
    try:
        text = _RUN.sub(lambda run: _normalise_run(run[0], strip_accents), text)
    except _DependsOnContext:
        return _normalise(text, strip_accents)
    return text.encode().lower().decode()  # of bytes, only ASCII has lower-case forms


def _normalise_run(run: str, strip_accents: bool) -> str:
    if len(run) <= _LONGEST_WORD:
        return _normalise_word(run, strip_accents)
    return _normalise_anew(run, strip_accents)


def _normalise_anew(run: str, strip_accents: bool) -> str:
    text = run.translate(_characters[strip_accents])
    if _DEPENDS not in text:
        return text
    if text[0] == _DEPENDS:
        raise _DependsOnContext
    return _normalise(run, strip_accents)


_normalise_word = lru_cache(maxsize=1 << 14)(_normalise_anew)


def _fold(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().replace(_TATWEEL, "")
    return unicodedata.normalize("NFKC", text)


def _normalise(text: str, strip_accents: bool) -> str:
    """Normalise any text, slowly."""
    text = _fold(_IGNORABLE.sub("", text))
    if strip_accents:
        text = "".join(
            c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn"
        )
        text = unicodedata.normalize("NFC", text)
    text = text.translate(_separators)
    # By a function, which takes less time than by a template
    text = _MARKS_BEHIND.sub(lambda marks: f"{marks[1]} ", text)
    return _STRAY_MARKS.sub(" ", text)
