"""Known data sets are found, downloaded whole or not at all, and read as they are published.

The network is a folder: the registry's addresses are those of small files in it, or of a server
on this machine.
"""

import dataclasses
import gzip
import hashlib
import io
import os
import re
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from udt.datasets import (
    fetch_ag_news,
    fetch_amazon670k,
    fetch_dbpedia14,
    fetch_eurlex4k,
    fetch_imdb,
    fetch_text8,
    fetch_wikilshtc325k,
    fetch_yelp_polarity,
    get_data_home,
)
from udt.datasets.texts import REMOTE_FILES

AG_NEWS = {
    "train": '"3","Wall St. Bears","Short-sellers, see ""green"" again"\n"4","Chips","Faster"\n',
    "test": '"1","Talks","They talk"\n',
}
DBPEDIA = {
    "train": '1,"Abbott Ltd"," A coachbuilder."\n14,"A Book"," About Gürtel."\n',
    "test": '9,"Dorf"," A village."\n',
}
YELP = {
    "train": '"1","Bad.\\n\\nThe ""best\\"" was\ncold."\n"2","Good."\n',
    "test": '"2","Fine."\n',
}
REVIEWS = {
    "aclImdb/train/pos/10_9.txt": "Ten.",
    "aclImdb/train/pos/2_7.txt": "Two.<br />Süß.",
    "aclImdb/train/neg/0_1.txt": "None.",
    "aclImdb/train/unsup/0_0.txt": "Nobody knows.",
    "aclImdb/train/urls_pos.txt": "http://",
    "aclImdb/test/neg/1_1.txt": "One.",
    "aclImdb/README": "Read me.",
}


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def zhang(folder, parts):
    files = {f"{folder}/{part}.csv": text for part, text in parts.items()}
    return packed({f"{folder}/readme.txt": "Read me.", **files})


CONTENTS = {
    ("ag_news", "train"): AG_NEWS["train"].encode(),
    ("ag_news", "test"): AG_NEWS["test"].encode(),
    ("dbpedia14", "all"): zhang("dbpedia_csv", DBPEDIA),
    ("yelp_polarity", "all"): zhang("yelp_review_polarity_csv", YELP),
    ("imdb", "all"): packed(REVIEWS),
    ("text8", "all"): gzip.compress(b" anarchism originated as a term"),
}


def publish(monkeypatch, folder, name, part, content, address=None):
    """Put a file where the registry's entry of that name points to, with the right checksum."""
    entry = REMOTE_FILES[name][part]
    (folder / entry.name).write_bytes(content)
    kind = entry.checksum.partition(":")[0]
    found = dataclasses.replace(
        entry,
        url=f"{address or folder.as_uri()}/{entry.name}",
        checksum=f"{kind}:{hashlib.new(kind, content).hexdigest()}",
    )
    monkeypatch.setitem(REMOTE_FILES[name], part, found)
    return found


@pytest.fixture
def network(tmp_path, monkeypatch):
    folder = tmp_path / "network"
    folder.mkdir()
    for (name, part), content in CONTENTS.items():
        publish(monkeypatch, folder, name, part, content)
    return folder


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ------------------------------------------------------------------------------------- what is read


def test_ag_news(network, home):
    bunch = fetch_ag_news(data_home=home)
    assert bunch.data == ['Wall St. Bears Short-sellers, see "green" again', "Chips Faster"]
    assert bunch.target.tolist() == ["Business", "Sci/Tech"] and bunch.target.dtype.kind == "U"
    assert bunch.target_names == ["World", "Sports", "Business", "Sci/Tech"]
    assert names(home) == ["train.csv"]  # only what was asked for
    X, y = fetch_ag_news(subset="all", data_home=home, return_X_y=True)
    assert [*bunch.data, "Talks They talk"] == X and y.tolist()[2] == "World"


def test_dbpedia(network, home):
    bunch = fetch_dbpedia14(data_home=home)
    assert bunch.data == ["Abbott Ltd  A coachbuilder.", "A Book  About Gürtel."]
    assert bunch.target.tolist() == ["Company", "WrittenWork"] and len(bunch.target_names) == 14
    X, y = fetch_dbpedia14(subset="test", data_home=home, return_X_y=True)
    assert (X, y.tolist()) == (["Dorf  A village."], ["Village"])


def test_yelp(network, home):
    bunch = fetch_yelp_polarity(data_home=home)
    assert bunch.data == ['Bad.\n\nThe "best" was\ncold.', "Good."]
    assert bunch.target.tolist() == bunch.target_names == ["negative", "positive"]
    assert fetch_yelp_polarity(subset="test", data_home=home).data == ["Fine."]


def test_imdb(network, home):
    bunch = fetch_imdb(data_home=home)
    assert bunch.data == ["None.", "Two.<br />Süß.", "Ten."]
    assert bunch.target.tolist() == ["neg", "pos", "pos"] and bunch.target_names == ["neg", "pos"]
    X, y = fetch_imdb(subset="test", data_home=home, return_X_y=True)
    assert (X, y.tolist()) == (["One."], ["neg"])
    both = fetch_imdb(subset="all", data_home=home)
    assert both.data == bunch.data + X


def test_text8(network, home):
    assert fetch_text8(data_home=home) == " anarchism originated as a term"
    with zipfile.ZipFile(home / "text8" / "text8.zip", "w") as archive:
        archive.writestr("text8", " of abuse")
    assert fetch_text8(data_home=home) == " of abuse"
    (home / "text8" / "text8").write_text(" first used")
    assert fetch_text8(data_home=home, download_if_missing=False) == " first used"


XMC = [
    (fetch_amazon670k, "amazon670k", "amazon"),
    (fetch_wikilshtc325k, "wikilshtc325k", "wikiLSHTC"),
    (fetch_eurlex4k, "eurlex4k", "eurlex"),
]


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize(("fetch", "folder", "prefix"), XMC)
def test_extreme_classification(home, fetch, folder, prefix, prefixed):
    (home / folder).mkdir(parents=True)
    start = f"{prefix}_" if prefixed else ""
    (home / folder / f"{start}train.txt").write_text("2 4 3\n0,2 1:0.5 3:1\n1 0:2\n")
    (home / folder / f"{start}test.txt").write_text("1 4 3\n2 1:1\n")
    bunch = fetch(data_home=home)
    assert bunch.data.toarray().tolist() == [[0, 0.5, 0, 1], [2, 0, 0, 0]]
    assert bunch.target.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
    X, Y = fetch(subset="test", data_home=home, return_X_y=True)
    assert X.toarray().tolist() == [[0, 1, 0, 0]] and Y.toarray().tolist() == [[0, 0, 1]]
    X, Y = fetch(subset="all", data_home=home, return_X_y=True)
    assert X.shape == (3, 4) and Y.shape == (3, 3) and X.format == Y.format == "csr"


@pytest.mark.parametrize(("fetch", "folder", "prefix"), XMC)
def test_a_missing_file_tells_where_to_get_it_and_where_to_put_it(home, fetch, folder, prefix):
    wanted = re.escape(str(home / folder / f"{prefix}_train.txt"))
    match = rf"{wanted} does not exist \(nor does train.txt\). Get it from http://manikvarma.org"
    with pytest.raises(FileNotFoundError, match=match):
        fetch(data_home=home)
    assert not home.exists()


@pytest.mark.parametrize(
    "fetch",
    [fetch_ag_news, fetch_imdb, fetch_yelp_polarity, fetch_dbpedia14, *(f for f, *_ in XMC)],
)
@pytest.mark.parametrize("subset", ["validation", None, ["train"]])
def test_an_unknown_subset_is_named(home, fetch, subset):
    with pytest.raises(ValueError, match="subset must be 'train', 'test' or 'all', got "):
        fetch(subset=subset, data_home=home)
    assert not home.exists()


@pytest.mark.parametrize(
    "line", ['"5","No such class","x"', '"1"', "", '"0","x"', '"one","x"', '"1","never closed']
)
def test_a_file_of_another_format_is_refused_with_the_line(network, home, monkeypatch, line):
    content = f'"1","Right","x"\n{line}\n'.encode()
    publish(monkeypatch, network, "ag_news", "train", content)
    with pytest.raises(ValueError, match=r"line 2 of train.csv is not a class from 1 to 4"):
        fetch_ag_news(data_home=home)


def test_an_archive_without_the_file(network, home, monkeypatch):
    publish(monkeypatch, network, "dbpedia14", "all", zhang("dbpedia_csv", {"train": ""}))
    with pytest.raises(OSError, match=r"dbpedia_csv.tgz has no test.csv in it"):
        fetch_dbpedia14(subset="test", data_home=home)


# -------------------------------------------------------------------------------------- where it is


def test_the_data_home(monkeypatch, tmp_path):
    monkeypatch.delenv("UDT_DATA_HOME", raising=False)
    assert get_data_home() == Path.home() / "udt_data"
    monkeypatch.setenv("UDT_DATA_HOME", str(tmp_path))
    assert get_data_home() == tmp_path
    assert get_data_home("~/there") == Path.home() / "there"
    monkeypatch.setenv("UDT_DATA_HOME", "")
    assert get_data_home() == Path.home() / "udt_data"


def test_the_environment_says_where_files_go(network, home, monkeypatch):
    monkeypatch.setenv("UDT_DATA_HOME", str(home))
    fetch_ag_news()
    assert (home / "ag_news" / "train.csv").exists()


# -------------------------------------------------------------------------------------- downloading


def test_a_file_is_downloaded_once(network, home):
    first = fetch_ag_news(data_home=home)
    for path in network.iterdir():
        path.unlink()
    assert fetch_ag_news(data_home=home, download_if_missing=False).data == first.data


def test_over_http(tmp_path, home, monkeypatch):
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            content = zhang("dbpedia_csv", DBPEDIA)
            publish(monkeypatch, folder, "dbpedia14", "all", content, address)
            assert len(fetch_dbpedia14(data_home=home).data) == 2
            publish(monkeypatch, folder, "imdb", "all", packed(REVIEWS), address)
            (folder / "aclImdb_v1.tar.gz").unlink()
            match = r"aclImdb_v1.tar.gz could not be downloaded: .*404.*By hand: .* into .*imdb as "
            with pytest.raises(OSError, match=match):
                fetch_imdb(data_home=home)
        finally:
            server.shutdown()
            thread.join()
    assert names(home) == ["dbpedia_csv.tgz"]


def test_a_file_that_is_not_to_be_downloaded(network, home):
    match = (
        r"train.csv does not exist, and download_if_missing=False. By hand: put what file:.* into "
    )
    with pytest.raises(FileNotFoundError, match=match):
        fetch_ag_news(data_home=home, download_if_missing=False)
    assert not home.exists()


@pytest.mark.parametrize("part", ["", "another file", AG_NEWS["train"][:-1]])
def test_a_wrong_download_is_not_kept_and_both_checksums_are_named(network, home, part):
    (network / "train.csv").write_text(part)
    wrong = hashlib.sha256(part.encode()).hexdigest()
    right = REMOTE_FILES["ag_news"]["train"].checksum
    with pytest.raises(OSError, match=f"checksum sha256:{wrong}, but {right} is published at gith"):
        fetch_ag_news(data_home=home)
    assert names(home) == []


def test_a_wrong_file_that_was_there_is_refused_and_stays(network, home):
    (home / "ag_news").mkdir(parents=True)
    (home / "ag_news" / "train.csv").write_text("mine")
    wrong = hashlib.sha256(b"mine").hexdigest()
    right = REMOTE_FILES["ag_news"]["train"].checksum
    with pytest.raises(OSError, match=rf"train.csv has the checksum sha256:{wrong}, but {right}"):
        fetch_ag_news(data_home=home)
    assert (home / "ag_news" / "train.csv").read_text() == "mine"


def test_an_interrupted_download_leaves_nothing(network, home, monkeypatch):
    class Dropped(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise ConnectionResetError("the line is cut")
            return super().read(5)

    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: Dropped(b"0123456789"))
    with pytest.raises(OSError, match="could not be downloaded: the line is cut"):
        fetch_ag_news(data_home=home)
    assert names(home) == []

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("urllib.request.urlopen", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_ag_news(data_home=home)
    assert names(home) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_downloaded_file_can_be_read_by_whom_any_other_could(network, home):
    fetch_ag_news(data_home=home)
    plain = home / "plain"
    plain.touch()
    assert (home / "ag_news" / "train.csv").stat().st_mode == plain.stat().st_mode


def test_two_downloads_at_once_do_not_meet(network, home):
    threads = [threading.Thread(target=fetch_ag_news, kwargs={"data_home": home}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(home) == ["train.csv"]
    assert len(fetch_ag_news(data_home=home).data) == 2


def test_every_checksum_is_whole():
    files = [file for entries in REMOTE_FILES.values() for file in entries.values()]
    assert len(files) == len({file.checksum for file in files}) == 6
    for file in files:
        kind, digest = file.checksum.split(":")
        assert re.fullmatch(r"[0-9a-f]+", digest)
        assert len(digest) == hashlib.new(kind).digest_size * 2
        assert file.url.endswith(f"/{file.name}") and "github.com/" in file.published
    assert np.unique([file.url for file in files]).size == 6
