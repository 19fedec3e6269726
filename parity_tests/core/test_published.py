"""Named texts: where they are looked for, how they are known, and a download that is checked or not kept."""

import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import DataError, UsageError
from lstm_ref.core.published import (
    AS_PUBLISHED,
    CORPORA,
    NamedCorpus,
    PublishedFile,
    cache_folder,
    data_folders,
    fetch,
    git_blob_id,
)

SMALL = b"All happy families resemble one another.\r\n"
BLOB_ID = git_blob_id(SMALL)


def small_corpus(*urls: str) -> NamedCorpus:
    file = PublishedFile("small.txt", len(SMALL), {BLOB_ID: AS_PUBLISHED}, urls)
    return NamedCorpus("a text small enough for a test", {"train": file})


@pytest.fixture
def small(monkeypatch) -> NamedCorpus:
    """A named text `small` that nobody serves."""
    entry = small_corpus()
    monkeypatch.setitem(CORPORA, "small", entry)
    return entry


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: a test's stderr is what the code under test prints."""


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[str]:
    """The address of an HTTP server that has /right.txt, /wrong.txt and /short.txt, and nothing else."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in (("right.txt", SMALL), ("wrong.txt", SMALL.lower()), ("short.txt", SMALL[:-9])):
        (folder / name).write_bytes(content)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def nobody(monkeypatch) -> str:
    """An address of this machine at which nobody answers."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_named_text_that_was_tampered_with_is_refused(tmp_path, small):
    (tmp_path / "small.txt").write_bytes(SMALL.replace(b"happy", b"Happy"))
    with pytest.raises(DataError, match=f"is not the published 'small': .* expected .* {BLOB_ID[:12]}") as caught:
        load_corpus("small", tmp_path)
    assert "lstm data get small" in str(caught.value)


@pytest.mark.parametrize(
    ("places", "found_in"),
    [
        (("flag", "variable", "cache"), "flag"),
        (("variable", "cache"), "variable"),
        (("cache",), "cache"),
    ],
)
def test_a_named_text_is_taken_from_the_flag_then_the_variable_then_the_cache(tmp_path, small, places, found_in):
    folders = {"flag": tmp_path / "flag", "variable": tmp_path / "variable", "cache": tmp_path / "home" / "data"}
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / small.place).write_bytes(SMALL)
    environ = {"LSTM_HOME": str(tmp_path / "home")}
    if "variable" in places:
        environ["LSTM_DATA"] = str(folders["variable"])
    corpus = load_corpus("small", folders["flag"] if "flag" in places else None, environ)
    assert corpus.source == str(folders[found_in] / small.place)
    assert corpus.text == SMALL.decode().replace("\r\n", "\n")


def test_the_cache_is_searched_where_the_named_folder_has_no_such_text(tmp_path, small):
    cache = tmp_path / "home" / "data"
    cache.mkdir(parents=True)
    (cache / small.place).write_bytes(SMALL)
    environ = {"LSTM_HOME": str(tmp_path / "home"), "LSTM_DATA": str(tmp_path)}
    assert data_folders(None, environ) == [tmp_path, cache]
    assert load_corpus("small", None, environ).source == str(cache / small.place)


def test_a_named_text_that_is_nowhere_is_an_error_with_the_places_and_the_way_out(tmp_path, small):
    environ = {"LSTM_HOME": str(tmp_path / "home"), "LSTM_DATA": str(tmp_path / "texts")}
    with pytest.raises(DataError) as caught:
        load_corpus("small", None, environ)
    assert str(caught.value) == (
        f"corpus 'small': no small.txt in {tmp_path / 'texts'} or {tmp_path / 'home' / 'data'}; "
        "run `lstm data get small`, or set LSTM_DATA to its folder"
    )


@pytest.mark.parametrize("environ", [{}, {"LSTM_HOME": ""}, {"LSTM_DATA": "", "LSTM_HOME": ""}])
def test_an_unset_or_empty_variable_names_no_folder(environ):
    (only,) = data_folders(None, environ)
    assert only == cache_folder(environ)
    assert only.is_absolute()
    assert "lstm-parity" in only.parts


def test_fetch_brings_a_text_into_the_cache_once(tmp_path, monkeypatch, server):
    environ = {"LSTM_HOME": str(tmp_path / "home")}
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/right.txt"))
    path = fetch("small", environ)
    assert path == tmp_path / "home" / "data" / "small.txt"
    assert path.read_bytes() == SMALL
    assert load_corpus("small", None, environ).source == str(path)
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/gone.txt"))
    assert fetch("small", environ) == path  # from the cache: the server has no such file any more


def test_fetch_goes_on_to_the_next_address(tmp_path, monkeypatch, server):
    urls = (f"{server}/gone.txt", f"{server}/wrong.txt", f"{server}/right.txt")
    monkeypatch.setitem(CORPORA, "small", small_corpus(*urls))
    assert fetch("small", {"LSTM_HOME": str(tmp_path / "home")}).read_bytes() == SMALL


@pytest.mark.parametrize("name", ["wrong.txt", "short.txt", "gone.txt"])
def test_fetch_keeps_nothing_that_is_not_the_published_text(tmp_path, monkeypatch, server, name):
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/{name}"))
    with pytest.raises(DataError, match=f"could not download 'small' .*{name}") as caught:
        fetch("small", {"LSTM_HOME": str(tmp_path / "home")})
    assert "\n" not in str(caught.value)
    assert files_under(tmp_path / "home") == []


def test_fetch_leaves_a_cached_file_alone_when_the_new_one_is_wrong(tmp_path, monkeypatch, server):
    """A damaged file stays damaged, and load_corpus refuses it; it is not replaced by something that is wrong too."""
    cached = tmp_path / "home" / "data" / "small.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/wrong.txt"))
    with pytest.raises(DataError, match="could not download"):
        fetch("small", {"LSTM_HOME": str(tmp_path / "home")})
    assert cached.read_bytes() == b"damaged"
    assert files_under(tmp_path / "home") == [cached]


def test_fetch_replaces_a_damaged_file_in_the_cache(tmp_path, monkeypatch, server):
    cached = tmp_path / "home" / "data" / "small.txt"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"damaged")
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/right.txt"))
    assert fetch("small", {"LSTM_HOME": str(tmp_path / "home")}).read_bytes() == SMALL


def test_fetch_without_a_network_is_one_line_that_says_what_to_do(tmp_path, monkeypatch, nobody):
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{nobody}/right.txt"))
    with pytest.raises(DataError) as caught:
        fetch("small", {"LSTM_HOME": str(tmp_path / "home")})
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"could not download 'small' ({nobody}/right.txt: ")
    assert "is there a network?" in message
    assert message.endswith(f"or put small.txt into {tmp_path / 'home' / 'data'} yourself")
    assert files_under(tmp_path / "home") == []


def test_fetch_touches_no_network_where_that_is_forbidden(tmp_path, monkeypatch, server):
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/right.txt"))
    environ = {"LSTM_HOME": str(tmp_path / "home"), "LSTM_OFFLINE": "1"}
    with pytest.raises(DataError, match=r"LSTM_OFFLINE is set, so 'small' is not downloaded; put small\.txt into"):
        fetch("small", environ)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["pydoc", "nowhere", ""])
def test_fetch_of_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UsageError, match=f"unknown corpus '{name}'; to be had: anna"):
        fetch(name, {})


@pytest.fixture
def three(monkeypatch, server) -> NamedCorpus:
    """A named corpus of three files, one of which has a second known edition."""
    right = {BLOB_ID: AS_PUBLISHED, git_blob_id(SMALL.upper()): "in capitals"}
    files = {
        part: PublishedFile(f"three/{part}.txt", len(SMALL), right, (f"{server}/right.txt",))
        for part in ("train", "validation", "test")
    }
    entry = NamedCorpus("three texts", files, "word")
    monkeypatch.setitem(CORPORA, "three", entry)
    return entry


@pytest.mark.row("W7")
def test_fetch_brings_every_file_of_a_corpus_and_tells_of_every_byte(tmp_path, three):
    environ, counts = {"LSTM_HOME": str(tmp_path)}, []
    assert fetch("three", environ, counts.append) == tmp_path / "data" / "three"
    assert sum(counts) == three.size == 3 * len(SMALL)
    corpus = load_corpus("three", None, environ)
    assert corpus.source == str(tmp_path / "data" / "three")
    assert corpus.held_out == {"validation": corpus.text, "test": corpus.text}
    assert corpus.edition == AS_PUBLISHED


@pytest.mark.row("W7")
def test_fetch_brings_only_the_files_that_are_missing_or_damaged(tmp_path, three):
    environ, counts = {"LSTM_HOME": str(tmp_path)}, []
    fetch("three", environ)
    (tmp_path / "data" / "three" / "test.txt").write_bytes(b"damaged")
    (tmp_path / "data" / "three" / "validation.txt").unlink()
    fetch("three", environ, counts.append)
    assert sum(counts) == 2 * len(SMALL)
    fetch("three", environ | {"LSTM_OFFLINE": "1"})  # nothing to download, nothing to forbid


def test_a_corpus_of_which_a_file_is_missing_is_not_there(tmp_path, three):
    environ = {"LSTM_HOME": str(tmp_path)}
    (fetch("three", environ) / "validation.txt").unlink()
    with pytest.raises(DataError, match="run `lstm data get three`"):
        load_corpus("three", None, environ)


def test_another_edition_of_a_file_is_taken_and_named(tmp_path, three):
    environ = {"LSTM_HOME": str(tmp_path)}
    (fetch("three", environ) / "train.txt").write_bytes(SMALL.upper())
    corpus = load_corpus("three", None, environ)
    assert corpus.edition == "train: in capitals"
    assert corpus.text == SMALL.decode().upper().replace("\r\n", "\n")


def test_fetch_stops_a_server_that_sends_more_than_the_text(tmp_path, monkeypatch, server):
    (tmp_path / "served" / "endless.txt").write_bytes(SMALL + bytes(1 << 22))
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/endless.txt"))
    counts = []
    with pytest.raises(DataError, match="could not download 'small'"):
        fetch("small", {"LSTM_HOME": str(tmp_path / "home")}, counts.append)
    assert sum(counts) <= len(SMALL)


def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(tmp_path, monkeypatch, server):
    monkeypatch.setitem(CORPORA, "small", small_corpus(f"{server}/right.txt"))
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DataError, match=r"cannot write .*; set LSTM_HOME"):
        fetch("small", {"LSTM_HOME": str(tmp_path / "home")})


def test_a_file_is_known_by_the_id_that_git_gives_it():
    assert git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # the empty file of every repository
    assert git_blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.row("W7")
def test_every_address_names_a_commit_so_that_what_it_serves_cannot_change():
    urls = [url for entry in CORPORA.values() for file in entry.files.values() for url in file.urls]
    assert len(urls) == 4
    assert all(
        re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w-]+/[0-9a-f]{40}/.+\.txt", url) for url in urls
    )


@pytest.mark.row("W7")
def test_wikitext_is_three_known_files(data_dir):
    corpus = load_corpus("wikitext-2", data_dir)
    assert corpus.edition in (AS_PUBLISHED, "train: articles 539 to 600 in another order")
    assert [len(text.encode()) for text in (corpus.text, *corpus.held_out.values())] == [
        10_797_148,
        1_121_681,
        1_256_449,
    ]
    assert list(corpus.held_out) == ["validation", "test"]
    assert (corpus.byte_order_mark, corpus.carriage_returns) == (False, 0)
