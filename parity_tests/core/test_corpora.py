"""Texts: what a file's bytes become, where a named text is looked for, and a download that is checked or not kept."""

import hashlib
import pydoc_data.topics
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core import corpora
from lstm_ref.core.corpora import CORPORA, NamedCorpus, cache_folder, data_folders, fetch, load_corpus, read_text
from lstm_ref.core.errors import DataError, UsageError

SMALL = b"All happy families resemble one another.\r\n"
SHA256 = hashlib.sha256(SMALL).hexdigest()


def small_corpus(*urls: str) -> NamedCorpus:
    return NamedCorpus("small.txt", len(SMALL), SHA256, urls, "a text small enough for a test")


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


@pytest.mark.row("C4", "BC20")
def test_anna_is_the_seeds_file_with_its_line_ends_translated(data_dir):
    raw = (data_dir / "anna.txt").read_bytes()
    corpus = load_corpus("anna", data_dir)
    assert len(raw) == CORPORA["anna"].bytes == 2_025_486
    assert corpus.sha256 == hashlib.sha256(raw).hexdigest() == CORPORA["anna"].sha256
    assert corpus.sha256 == "568bb39fc78aca98e9db91c4329dcd1aa5ec4c3df3aca2064ce5d6f023ae16c9"
    assert len(corpus.text) == 1_985_223
    assert corpus.text.isascii()
    assert corpus.carriage_returns == raw.count(b"\r") == 40_263
    assert len(set(raw.decode())) == 84  # what untranslated line ends would make of the 83 symbols
    assert len(set(corpus.text)) == 83
    assert not corpus.byte_order_mark


@pytest.mark.row("C4")
def test_anna_is_the_text_that_python_itself_reads(data_dir):
    with (data_dir / "anna.txt").open(encoding="utf-8") as file:
        assert load_corpus("anna", data_dir).text == file.read()


@pytest.mark.row("C5")
def test_anna_begins_as_the_original_notebook_prints_it(data_dir):
    assert load_corpus("anna", data_dir).text[:100] == (
        "Chapter 1\n\n\nHappy families are all alike; every unhappy family is unhappy in its own\nway.\n\nEverythin"
    )


@pytest.mark.row("BC20")
@given(lines=st.lists(st.tuples(st.text(), st.sampled_from(["\n", "\r", "\r\n"])), min_size=1), marked=st.booleans())
def test_any_utf8_text_is_read_with_one_kind_of_line_end(tmp_path_factory, lines, marked):
    text = "".join(line + end for line, end in lines)
    raw = b"\xef\xbb\xbf" * marked + text.lstrip("\ufeff").encode()
    path = tmp_path_factory.mktemp("text") / "any.txt"
    path.write_bytes(raw)
    corpus = read_text(path, "any")
    with path.open(encoding="utf-8-sig") as file:
        assert corpus.text == file.read()
    assert "\r" not in corpus.text
    assert corpus.carriage_returns == raw.count(b"\r")
    assert corpus.byte_order_mark == marked
    assert corpus.sha256 == hashlib.sha256(raw).hexdigest()
    assert (corpus.name, corpus.source) == ("any", str(path))


@pytest.mark.parametrize("raw", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, raw):
    path = tmp_path / "empty.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"empty\.txt is empty; a text needs"):
        load_corpus(str(path))


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ("naïve".encode("latin-1"), "byte 0xef at offset 2"),
        (b"a\xff\xfe", "byte 0xff at offset 1"),
        ("abc".encode("utf-16"), "byte 0xff at offset 0"),
        (b"\xed\xa0\x80", "byte 0xed at offset 0"),  # a surrogate
        ("€".encode()[:2], "byte 0xe2 at offset 0"),  # cut off
    ],
)
def test_a_file_that_is_not_utf8_is_refused_and_the_byte_is_named(tmp_path, raw, where):
    path = tmp_path / "latin.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=f"latin.txt is not UTF-8: {where}; convert it") as caught:
        load_corpus(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_and_the_named_texts_are_listed(tmp_path):
    with pytest.raises(
        DataError, match=r"cannot read text '.*nowhere\.txt': No such file .*; named texts: pydoc, anna"
    ):
        load_corpus(str(tmp_path / "nowhere.txt"))
    with pytest.raises(DataError, match=r"cannot read text .*: Is a directory"):
        load_corpus(str(tmp_path))


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "MAX_BYTES", 1_000)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    path = tmp_path / "large.txt"
    path.write_text("x" * 1_001, encoding="utf-8")
    with pytest.raises(DataError, match="1,001 bytes, expected at most 1,000: take a part"):
        load_corpus(str(path))


def test_a_named_text_that_was_tampered_with_is_refused(tmp_path, small):
    (tmp_path / "small.txt").write_bytes(SMALL.replace(b"happy", b"Happy"))
    with pytest.raises(DataError, match=f"is not the published 'small': SHA-256 .* expected {SHA256[:12]}") as caught:
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
        (folder / small.file).write_bytes(SMALL)
    environ = {"LSTM_HOME": str(tmp_path / "home")}
    if "variable" in places:
        environ["LSTM_DATA"] = str(folders["variable"])
    corpus = load_corpus("small", folders["flag"] if "flag" in places else None, environ)
    assert corpus.source == str(folders[found_in] / small.file)
    assert corpus.text == SMALL.decode().replace("\r\n", "\n")


def test_the_cache_is_searched_where_the_named_folder_has_no_such_text(tmp_path, small):
    cache = tmp_path / "home" / "data"
    cache.mkdir(parents=True)
    (cache / small.file).write_bytes(SMALL)
    environ = {"LSTM_HOME": str(tmp_path / "home"), "LSTM_DATA": str(tmp_path)}
    assert data_folders(None, environ) == [tmp_path, cache]
    assert load_corpus("small", None, environ).source == str(cache / small.file)


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


def test_pydoc_needs_neither_files_nor_network(monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a file was opened"))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was touched"))
    corpus = load_corpus("pydoc", environ={})
    assert all(topic in corpus.text for topic in pydoc_data.topics.topics.values())
    assert len(corpus.text) > 100_000  # enough to learn from
    assert corpus.sha256 == hashlib.sha256(corpus.text.encode()).hexdigest()
    assert load_corpus("pydoc", environ={}) == corpus


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
