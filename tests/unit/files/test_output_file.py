"""Files that the user named: whole under their name, where the name leads, or an error."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from batchgen.errors import Exit, OutputError
from batchgen.files.output_file import is_stream, written


def write(path: Path, content: bytes = b"new") -> None:
    """Write a file in one go."""
    with written(path) as file:
        file.write(content)


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    """A block that fails leaves what was there, and nothing else; a file keeps its permissions."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    path.chmod(0o640)

    def half() -> None:
        with written(path) as file:
            file.write(b"half")
            raise ValueError

    with pytest.raises(ValueError):
        half()
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]
    assert path.read_bytes() == b"old"
    write(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_followed(tmp_path: Path, there: bool) -> None:
    """The share that it leads to gets the file; the link stays a link, also one that leads to no file yet."""
    share = tmp_path / "share"
    share.mkdir()
    if there:
        (share / "x.csv").write_bytes(b"old")
    link = tmp_path / "link.csv"
    link.symlink_to(share / "x.csv")
    write(link)
    assert link.is_symlink()
    assert [(each.name, each.read_bytes()) for each in share.iterdir()] == [("x.csv", b"new")]


def test_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    """Its reader waits for them; replacing its name would let it wait for nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    assert is_stream(pipe)
    write(pipe)
    reader.join(10)
    assert got == [b"new"]
    assert not is_stream(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_device_is_an_error_with_the_exit_code_of_a_full_disk() -> None:
    """Exit 0 would say that the file is there."""
    with pytest.raises(OutputError, match=r"^cannot write /dev/full: disk full$") as caught:
        write(Path("/dev/full"))
    assert caught.value.exit_code == Exit.STOPPED


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/a.csv: No such file or directory"):
        write(tmp_path / "nowhere" / "a.csv")
