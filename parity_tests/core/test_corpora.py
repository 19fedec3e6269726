"""Texts: what a file's bytes become, and what a folder of files is."""

import hashlib
import pydoc_data.topics
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core import corpora
from lstm_ref.core.corpora import load_corpus, read_text
from lstm_ref.core.errors import DataError
from lstm_ref.core.published import AS_PUBLISHED, CORPORA


@pytest.mark.row("C4", "BC20")
def test_anna_is_the_seeds_file_with_its_line_ends_translated(data_dir):
    raw = (data_dir / "anna.txt").read_bytes()
    corpus = load_corpus("anna", data_dir)
    assert len(raw) == CORPORA["anna"].size == 2_025_486
    assert corpus.edition == AS_PUBLISHED
    assert corpus.sha256 == hashlib.sha256(raw).hexdigest()
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


@pytest.mark.row("BC20", "BW5")
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


def test_pydoc_needs_neither_files_nor_network(monkeypatch):
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a file was opened"))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was touched"))
    corpus = load_corpus("pydoc", environ={})
    assert all(topic in corpus.text for topic in pydoc_data.topics.topics.values())
    assert len(corpus.text) > 100_000  # enough to learn from
    assert corpus.sha256 == hashlib.sha256(corpus.text.encode()).hexdigest()
    assert load_corpus("pydoc", environ={}) == corpus


HELD_OUT = {"valid.txt": b"a b\r\n", "test.txt": b"\xef\xbb\xbfc\n"}


def write_folder(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def test_a_folder_of_texts_is_a_corpus_with_parts_of_its_own(tmp_path):
    corpus = load_corpus(write_folder(tmp_path, {"train.txt": b"the\r\ncat\n"} | HELD_OUT))
    assert corpus.text == "the\ncat\n"
    assert corpus.held_out == {"validation": "a b\n", "test": "c\n"}
    assert (corpus.carriage_returns, corpus.byte_order_mark, corpus.edition) == (2, True, "")
    assert corpus.source == str(tmp_path)


def test_a_folder_may_lack_the_validation_or_the_test_part(tmp_path):
    for kept in (["valid.txt"], ["test.txt"], []):
        folder = tmp_path / "-".join(["with", *kept])
        folder.mkdir()
        corpus = load_corpus(write_folder(folder, {"train.txt": b"the\n"} | {name: HELD_OUT[name] for name in kept}))
        assert [part[:4] for part in corpus.held_out] == [name[:4] for name in kept]


def test_the_hash_of_a_folder_changes_with_every_one_of_its_files(tmp_path):
    files = {"train.txt": b"the\n"} | HELD_OUT
    hashes = {load_corpus(write_folder(tmp_path, files | {name: b"other\n"})).sha256 for name in files}
    swapped = files | {"valid.txt": files["test.txt"], "test.txt": files["valid.txt"]}
    hashes |= {load_corpus(write_folder(tmp_path, each)).sha256 for each in (files, swapped)}
    assert len(hashes) == 5


def test_a_folder_without_a_training_text_is_refused_and_the_expected_names_are_said(tmp_path):
    with pytest.raises(
        DataError, match=r"without train\.txt; expected a UTF-8 file, or a folder of train\.txt"
    ) as caught:
        load_corpus(write_folder(tmp_path, HELD_OUT))
    assert "\n" not in str(caught.value)


def test_one_unreadable_part_of_a_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"valid\.txt is not UTF-8: byte 0xff at offset 1"):
        load_corpus(write_folder(tmp_path, {"train.txt": b"the\n", "valid.txt": b"a\xff"}))
