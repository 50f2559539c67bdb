"""The papers' protocols run on miniatures of their data, and print claims and measurements."""

import dataclasses
import hashlib
import importlib
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from udt import UDTClassifier
from udt.datasets import make_xmc_classification
from udt.datasets.texts import REMOTE_FILES
from udt.io import write_xmc

PAPERS = Path(__file__).parents[1] / "examples" / "benchmarks" / "papers"
FIGURES = r"p50 [\d.]+, p99 [\d.]+"


@pytest.fixture
def paper(monkeypatch):
    """Import a script as `python FOLDER/SCRIPT.py` would."""
    monkeypatch.syspath_prepend(str(PAPERS))
    return importlib.import_module


@pytest.fixture
def xmc_files(tmp_path):
    def write(folder, prefix):
        made = make_xmc_classification(300, 400, 60, n_test_samples=60, random_state=0)
        (tmp_path / folder).mkdir()
        for part, (X, Y) in zip(("train", "test"), (made[:2], made[2:]), strict=True):
            write_xmc(tmp_path / folder / f"{prefix}_{part}.txt", X, Y)
        return str(tmp_path)

    return write


def settings_of(module):
    """Give the protocols of a script."""
    return list(module.PROTOCOLS.values()) if hasattr(module, "PROTOCOLS") else [module.PROTOCOL]


@pytest.mark.parametrize("name", ["amazon670k", "wikilshtc", "text8", "yelp_polarity", "dbpedia14"])
def test_settings_exist_and_claims_have_a_source(paper, name):
    for protocol in settings_of(paper(name)):
        assert set(protocol.settings) <= set(UDTClassifier().get_params())
        assert protocol.settings["batch_size"] == 256
        assert protocol.claims and "https://" in protocol.source
        assert all(line.seconds and line.machine and line.score for line in protocol.claims)


@pytest.mark.parametrize(
    ("name", "folder", "prefix", "options", "claim", "passes"),
    [
        ("amazon670k", "amazon670k", "amazon", [], "1,470", 5),
        ("amazon670k", "amazon670k", "amazon", ["--protocol", "slide"], "1.28 times", 5),
        ("wikilshtc", "wikilshtc325k", "wikiLSHTC", ["--max-iter", "2"], "1.39 times", 2),
    ],
)
def test_extreme_classification(
    paper, xmc_files, capsys, name, folder, prefix, options, claim, passes
):
    paper(name).main(["--data", xmc_files(folder, prefix), "--threads", "1", *options])
    out = capsys.readouterr().out
    assert claim in out and "300 rows, 400 features, 60 labels; 60 test" in out
    assert re.search(rf"udt [\d.]+\S*, {passes} passes .*P@1 [\d.]+, P@3 [\d.]+, P@5 [\d.]+", out)
    assert re.search(FIGURES, out)


@pytest.mark.parametrize(("name", "scale"), [("amazon670k", "0.0005"), ("wikilshtc", "0.0003")])
def test_synthetic_data_needs_no_files(paper, capsys, name, scale):
    paper(name).main(["--synthetic", scale, "--threads", "1", "--max-iter", "1", "--head", "ova"])
    out = capsys.readouterr().out
    assert "synthetic, shape of " in out and "1 pass " in out and "scores do not compare" in out


def test_text8(paper, tmp_path, capsys):
    (tmp_path / "text8").mkdir()
    words = np.random.default_rng(0).choice(["a", "b", "c", "d", "e", "f"], 500)
    (tmp_path / "text8" / "text8").write_text(" " + " ".join(words))
    paper("text8").main(["--data", str(tmp_path), "--threads", "1", "--words", "400"])
    out = capsys.readouterr().out
    assert "text8 (400 words, 6 different)" in out and re.search(FIGURES, out)


def test_the_words_around_a_word(paper):
    text8 = paper("text8")
    words = text8.word_numbers(["b", "a", "b", "c", "b", "a"])
    assert words.tolist() == [0, 1, 0, 2, 0, 1]
    X, Y = text8.word2vec_rows(words, 3, window=1)
    assert X.toarray().argmax(axis=1).tolist() == words.tolist()
    around = [set(row.nonzero()[0].tolist()) for row in Y.toarray()]
    assert around == [{1}, {0}, {1, 2}, {0}, {1, 2}, {0}]
    _, Y = text8.word2vec_rows(words, 3, window=2)
    assert Y.toarray()[2].tolist() == [1, 1, 1] and Y.toarray()[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("name", "folder", "archive", "inside", "claim"),
    [
        ("yelp_polarity", "yelp_polarity", "yelp_review_polarity_csv.tgz", "yelp", "93.2"),
        ("dbpedia14", "dbpedia14", "dbpedia_csv.tgz", "dbpedia_csv", "98.23"),
    ],
)
def test_texts(paper, tmp_path, monkeypatch, capsys, name, folder, archive, inside, claim):
    rows = '"1","bad, very bad","no"\n"2","good, very good","yes"\n' * 40
    (tmp_path / folder).mkdir()
    with tarfile.open(tmp_path / folder / archive, "w:gz") as packed:
        for part in ("train", "test"):
            member = tarfile.TarInfo(f"{inside}/{part}.csv")
            member.size = len(rows)
            packed.addfile(member, io.BytesIO(rows.encode()))
    remote = REMOTE_FILES[name]
    digest = hashlib.sha256((tmp_path / folder / archive).read_bytes()).hexdigest()
    mine = dataclasses.replace(remote["all"], checksum=f"sha256:{digest}")
    monkeypatch.setitem(remote, "all", mine)

    paper(name).main(["--data", str(tmp_path), "--threads", "1"])
    out = capsys.readouterr().out
    assert claim in out and "80 rows, 2 classes; 80 test" in out
    assert re.search(r"udt [\d.]+\S*, 1 pass .*accuracy 100.00", out) and re.search(FIGURES, out)


def test_without_the_files_the_error_tells_where_to_get_them(paper, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Get it from http://manikvarma\.org"):
        paper("amazon670k").main(["--data", str(tmp_path)])


def test_an_unknown_protocol(paper, capsys):
    with pytest.raises(SystemExit):
        paper("amazon670k").main(["--protocol", "bolt2"])
    assert "invalid choice: 'bolt2'" in capsys.readouterr().err
