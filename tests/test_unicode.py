"""Normalisation for all of Unicode."""
# ruff: noqa: RUF001  (letters that look alike are the point)

import re
import sys
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from udt.features import unicode
from udt.features.unicode import normalise

TEXT = st.text(
    st.one_of(
        # Characters that no version of Unicode has assigned yet may become anything.
        st.characters(exclude_categories=["Cs", "Cn"]),
        st.sampled_from("aB9_ .!\t\0ßİﬁΣé\u0301\u0308\u200d\ufe0f東ガไำ\u0e48กَعहि👍🏽\u00b4\u2019"),
    ),
    max_size=30,
)


def words(text, strip_accents=False):
    return normalise(text, strip_accents).split()


def naive_normalise(text, strip_accents):
    """The slow obvious twin: each step on the whole text."""
    text = unicodedata.normalize("NFKC", unicode._IGNORABLE.sub("", text))
    text = unicodedata.normalize("NFKC", text.casefold().replace("\u0640", ""))
    if strip_accents:
        text = unicodedata.normalize("NFD", text)
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
        text = unicodedata.normalize("NFC", text)
    text = re.sub(f"[{unicode._UNSPACED}][{unicode._MARKS}]*", r" \g<0> ", text)
    spread = []
    for c in text:
        is_of_word = c.isascii() or c.isalnum() or unicodedata.category(c)[0] == "M"
        is_symbol = unicodedata.category(c) in ("So", "Sk", "Sc", "Sm")
        spread.append(c if is_of_word else f" {c} " if is_symbol else " ")
    return re.sub(f"(?:^| )[{unicode._ACCENTS}]+", " ", "".join(spread))


# What depends on its neighbours, or is taken away between them.
MARKS = st.characters(categories=["Mn", "Mc", "Cf"])
JAMO = st.characters(min_codepoint=0x1100, max_codepoint=0x11FF)
HALFWIDTH = st.characters(min_codepoint=0xFF60, max_codepoint=0xFFDF, exclude_categories=["Cn"])


@settings(max_examples=1000)
@given(st.text(st.one_of(TEXT.map(lambda t: t[:1] or "a"), MARKS, JAMO, HALFWIDTH)), st.booleans())
@example("e\u200d\u0301" * 9, False)
@example("\u0301" + "б" * 20, False)
@example("б" * 20 + "\u0301\u0345", True)
@example("ｶﾞ" * 20, False)
@example("ا\ufe71ا\u0640\u0654", False)
@example("한\u11ab" * 20, True)
@example("İ\u0301", True)
@example("\ud800é\udfff\u0301", False)
def test_normalise_is_its_naive_twin(text, strip_accents):
    for whole in (text, "plain words " * 9 + text):  # many and few characters beyond ASCII
        assert normalise(whole, strip_accents) == naive_normalise(whole, strip_accents)


@pytest.mark.parametrize("strip_accents", [False, True])
def test_every_character_among_others_is_as_by_the_naive_twin(strip_accents):
    """In one text each: before and after ASCII, a letter, a mark, and a character of its own."""
    for code in range(0x80, 0x32000):
        char = chr(code)
        if unicodedata.category(char) in ("Cs", "Cn"):
            continue
        text = f"A{char}É{char}\u0301 {char}東{char}"
        assert normalise(text, strip_accents) == naive_normalise(text, strip_accents), hex(code)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_only_lowered(text):
    assert normalise(text) == text.lower()
    assert normalise(text, strip_accents=True) == text.lower()


@given(TEXT, st.booleans())
@example("don\u00b4t", False)
@example("e\u200d\u0301", False)
@example("\u2019\u0301", False)
@example("\u0301a", False)
@example("\u0e19\u0e33", False)
def test_normalising_twice_changes_no_word(text, strip_accents):
    if "\u2adc" in text:  # alone in all of Unicode it decomposes to a symbol and a mark
        text = text.replace("\u2adc", "")
    once = normalise(text, strip_accents)
    assert normalise(once, strip_accents).split() == once.split()


@given(TEXT)
def test_forms_that_unicode_calls_equivalent_have_the_same_words(text):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words(unicodedata.normalize(form, text) + "é") == words(text + "é")


@given(st.text("aàÀßẞſKÅΣσςΩωДдԱևꭰᏸⅣⓐİŉǰΐﬁﬃﬆ", max_size=20))
def test_case_does_not_matter(text):
    assert words(text.upper() + "é") == words(text.lower() + "é") == words(text.casefold() + "é")


@given(TEXT)
def test_no_letter_or_digit_is_lost(text):
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    fillers = "\u115f\u1160\u3164\uffa0\u0640"  # letters only by name
    letters = [c for c in folded if c.isalnum() and c not in fillers]
    assert sorted(c for c in normalise(text) if c.isalnum()) == sorted(letters)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("ﬁne oﬃce", ["fine", "office"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ１２", ["full", "width12"]),
        ("ὈΔΥΣΣΕΎΣ ὀδυσσεύς", ["ὀδυσσεύσ", "ὀδυσσεύσ"]),
        ("ПРИВЕТ, Мир", ["привет,", "мир"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("x² ½ ① Ⅷ", ["x2", "1", "⁄", "2", "1", "viii"]),
    ],
)
def test_folding(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("café naïve Ångström", ["cafe", "naive", "angstrom"]),
        ("İ ñ ç ø", ["i", "n", "c", "ø"]),  # a stroke is part of its letter
        ("ΐ ё ế", ["ι", "е", "e"]),
        ("한국", ["한국"]),  # taken apart by NFD, and put together again
        ("x\u0301\u0323\u0308", ["x"]),
    ],
)
def test_strip_accents(text, expected):
    assert words(text, strip_accents=True) == expected
    assert words(text) != expected or text == "한국"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("東京タワーに行く", list("東京タワーに行く")),
        ("我们,喜欢。北京", [*"我们", ",", *"喜欢北京"]),
        ("ｶﾞｷﾞ か\u3099", ["ガ", "ギ", "が"]),
        ("𠮷野家 葛\U000e0100", [*"𠮷野家葛"]),  # beyond 16 bits; a variant of a glyph
        ("ภาษาไทย", list("ภาษาไทย")),
        ("ที่นี่", ["ที่", "นี่"]),  # vowel and tone mark stay with their consonant
        ("ນີ້", ["ນີ້"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ខ្មែរ", ["ខ្", "មែ", "រ"]),
        ("iPhone15を買う", ["iphone15", "を", "買", "う"]),
    ],
)
def test_scripts_without_spaces_are_split_into_characters_with_their_marks(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "word",
    ["हिन्दी", "संस्कृत", "العَرَبِيَّة", "עִבְרִית", "தமிழ்", "বাংলা", "한국어", "ქართული", "አማርኛ", "tiếng"],
)
def test_a_word_stays_whole_with_its_marks(word):
    assert words(word) == [unicodedata.normalize("NFKC", word)]
    assert words(f"x{word}") == [unicodedata.normalize("NFKC", f"x{word}")]


@pytest.mark.parametrize("char", ["\u2018", "\u2019", "\u00b4", "\u02dc", "\u201c", "\u201d"])
def test_quotes_and_accents_that_stand_alone_separate_as_their_ascii_kin_do(char):
    """Marks would be left at the start of the next word by NFKC."""
    assert words(f"{char}don{char}t{char} é") == ["don", "t", "é"]


@pytest.mark.parametrize(
    "char", ["—", "…", "¿", "«", "·", "。", "、", "،", "।", "\u00a0", "\u2028", "\u3000", "\x85"]
)
def test_punctuation_and_white_space_beyond_ascii_separate(char):
    assert re.fullmatch(r"a[ .]+b", normalise(f"a{char}b"))


@pytest.mark.parametrize(
    "char",
    [
        "\u200d",  # zero-width joiner
        "\u200c",  # zero-width non-joiner
        "\u2060",  # word joiner
        "\u00ad",  # soft hyphen
        "\ufeff",  # byte-order mark
        "\u200f",  # right-to-left mark
        "\ufe0f",  # variation selector
        "\u034f",  # combining grapheme joiner
        "\u0640",  # tatweel
        "\u3164",  # Hangul filler
        "\U000e0062",  # tag letter, in flags
    ],
)
def test_invisible_characters_vanish(char):
    assert normalise(f"a{char}bé{char}") == "abé"
    assert normalise(f"e{char}\u0301") == "é"  # and are not in the way of composition
    assert words(f"❤{char}x") == ["❤", "x"]


def test_the_zero_width_space_separates():
    assert words("foo\u200bbar") == ["foo", "bar"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so good👍👍", ["so", "good", "👍", "👍"]),
        ("👍🏽", ["👍", "🏽"]),
        ("👩\u200d👧", ["👩", "👧"]),
        ("I❤\ufe0fU", ["i", "❤", "u"]),
        ("🇫🇷", ["🇫", "🇷"]),
        ("5€ £3 ≠", ["5", "€", "£", "3", "≠"]),
        ("a\ufffdb", ["a", "\ufffd", "b"]),  # what a lone surrogate became
    ],
)
def test_symbols_are_words(text, expected):
    assert words(text) == expected


def test_ascii_punctuation_is_left_to_the_kernels():
    assert normalise("É? It's \0 OK_1!") == "é? it's \0 ok_1!"


def test_every_character_is_taken():
    for start in range(0, sys.maxunicode + 1, 4096):
        chars = [chr(c) for c in range(start, start + 4096) if not 0xD800 <= c < 0xE000]
        normalise(" ".join(chars), strip_accents=True).encode()
