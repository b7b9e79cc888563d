"""Output files are complete or not there; what is no plain file is written to, and never renamed over."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from kaldi.base.whole_file import WholeFile
from kaldi.util.io import Output
from local.whole_file import write_file


def write_output(path: Path, content: bytes) -> None:
    with Output(str(path)) as out:
        out.write(content)


WRITERS = pytest.mark.parametrize("write", [write_file, write_output], ids=["write_file", "Output"])


@WRITERS
def test_pipe_is_written_to(tmp_path, write):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe, b"content")
    reader.join(10)
    assert read == [b"content"] and stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


@WRITERS
def test_device_is_written_to(tmp_path, write):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")
    link = tmp_path / "link"
    link.symlink_to(device)
    for path in (device, link):
        write(path, b"content")
        assert stat.S_ISCHR(device.stat().st_mode)
    assert link.is_symlink() and sorted(tmp_path.iterdir()) == [link, device]


@WRITERS
def test_link_stays_and_its_target_is_replaced(tmp_path, write):
    disk = tmp_path / "disk"
    disk.mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(disk / name)
    (disk / "old").write_text("old")
    for name in ("old", "new"):
        write(tmp_path / name, b"content")
        assert (tmp_path / name).is_symlink() and (disk / name).read_bytes() == b"content"
    assert sorted(path.name for path in disk.iterdir()) == ["new", "old"]


def test_old_file_stays_after_an_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), WholeFile(path) as unfinished:
        unfinished.write_text("half")
        assert path.read_text() == "old"
        print(1 / 0)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_folder_is_named(tmp_path):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        write_file(tmp_path, "content")
