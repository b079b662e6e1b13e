"""Files that a user names: regular files only, bounded, in UTF-8."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from fdht_models.errors import ConfigError, DataError
from fdht_models.files import open_regular_file, read_file, read_text_file, require_regular_file

# A pipe that is opened waits for ever: the time-out is the test.
pytestmark = pytest.mark.timeout(20)


@pytest.mark.parametrize("look", [require_regular_file, open_regular_file])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("pipe", r"is a pipe \(FIFO\), not a file"),
        ("socket", "is a socket, not a file"),
        ("directory", "is a directory, not a file"),
        ("device", "is a device, not a file"),
        ("nothing", r"cannot be read \(No such file or directory\)"),
        ("loop", r"cannot be read \(Too many levels of symbolic links\)"),
        ("a\0b", r"cannot be read \(.*null"),
        ("n" * 5000, r"cannot be read \(File name too long\)"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(look, kind, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 107 characters
    os.mkfifo("pipe")
    Path("directory").mkdir()
    Path("loop").symlink_to("loop")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    path = {"device": "/dev/zero"}.get(kind, kind)
    with listener, pytest.raises(ConfigError, match=said):
        look(path, error=ConfigError)


def test_a_link_to_a_file_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    require_regular_file(tmp_path / "link")
    assert read_file(tmp_path / "link") == b"abc"


def test_a_file_beyond_the_size_allowed_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"abcd")
    assert read_file(tmp_path / "file", most=4) == b"abcd"
    with pytest.raises(DataError, match="more than 3 bytes"):
        read_file(tmp_path / "file", most=3)


def test_a_byte_order_mark_is_skipped_and_other_encodings_are_refused(tmp_path):
    path = tmp_path / "text"
    path.write_bytes("Größe".encode("utf-8-sig"))
    assert read_text_file(path) == "Größe"
    path.write_bytes("Größe".encode("utf-16"))
    with pytest.raises(DataError, match=r"is not UTF-8 text .it starts with the mark of UTF-16"):
        read_text_file(path)
    path.write_bytes("Größe".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not UTF-8 text .byte 2 is 0xf6"):
        read_text_file(path)
