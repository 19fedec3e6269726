"""A file is its old content or its new one, whatever happens while it is written."""

import os
from pathlib import Path

import pytest

from lstm_ref.core.atomic import write_atomically


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("existing", [None, b"old"])
def test_a_write_that_is_interrupted_leaves_the_old_content_and_nothing_else(path, monkeypatch, existing):
    if existing is not None:
        path.write_bytes(existing)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert [file.read_bytes() for file in path.parent.iterdir()] == ([existing] if existing is not None else [])


def test_a_file_is_on_disk_before_it_has_its_name_and_its_folder_after(path, monkeypatch):
    """Or a power cut may leave the name on an empty file."""
    order = []
    fsync, rename = os.fsync, Path.replace

    def recording_fsync(descriptor: int) -> None:
        order.append("folder" if os.path.samestat(os.fstat(descriptor), path.parent.stat()) else "file")
        fsync(descriptor)

    def recording_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    write_atomically(path, b"content")
    assert order == ["file", "rename", "folder"]
    assert path.read_bytes() == b"content"


def test_a_file_that_cannot_be_made_is_what_is_complained_of_and_not_that_there_is_none_to_remove(path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        write_atomically(path, b"new")
