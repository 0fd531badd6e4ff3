"""What a program did to a folder and told the world, in order, from strace."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from power_disk import Disk, Truncate, Write

STRACE = shutil.which("strace")
#: Whatever can change a file or a name, make a change durable, or tell somebody outside.
CALLS = (
    "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,"
    "fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,sendto,sendmsg"
)
#: Could change files too, but ours makes none of them: met below the folder, the model would be wrong.
_STRANGE = frozenset(
    "writev pwritev pwritev2 truncate fallocate copy_file_range sendfile sync_file_range link linkat symlink "
    "symlinkat".split()
)
#: Take a path as text.
_NAMING = frozenset(
    "open openat creat rename renameat renameat2 unlink unlinkat rmdir mkdir mkdirat link linkat symlink symlinkat "
    "truncate".split()
)
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HELD = re.compile(r"(?:(-?\d+)|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")


def command(log: Path) -> list[str]:
    """Give the words to put before a command that is to be traced."""
    assert STRACE is not None
    return [STRACE, "-f", "-y", "-xx", "-s", "100000000", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]


@dataclass(frozen=True, slots=True)
class Told:
    """Bytes that left the program: to a socket, or to one of its own outputs (`fd` 1 or 2)."""

    fd: int
    data: bytes


Step = Callable[[Disk], None] | Told


def steps(log: Path, root: str) -> list[Step]:
    """Read a trace: what happened below `root` as calls on a `Disk`, and what was told, in the order of the facts.

    A call counts when it has returned; what is told, when it was begun.
    """
    on_return = partial(_on_return, root=root, below=Disk(root).holds)
    below = Disk(root).holds
    begun: dict[int, str] = {}
    found: list[Step] = []
    with log.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue  # a signal, or the end of a thread
            pid, name, opened, rest = int(match[1]), match[2], match[3], match[4]
            if opened == "(" and rest.endswith("<unfinished ...>"):
                begun[pid] = rest.removesuffix("<unfinished ...>")
                found.extend(_on_entry(pid, name, begun[pid], below))
            elif opened == "(":
                found.extend(_on_entry(pid, name, rest, below))
                found.extend(on_return(pid, name, rest))
            else:
                found.extend(on_return(pid, name, begun.pop(pid, "") + rest))
    return found


def _on_entry(pid: int, name: str, call: str, below: Callable[[str], bool]) -> Iterator[Step]:
    held = _HELD.match(call)
    if held is None:
        return
    path = _plain(held[2]).decode()
    if name in {"fsync", "fdatasync"} and below(path):
        yield partial(Disk.sync_begins, by=pid, path=path)
    elif name in {"write", "sendto", "sendmsg", "writev"} and not below(path):
        data = b"".join(_plain(text) for text in _TEXT.findall(call.partition(" ")[2]))
        yield Told(int(held[1] or -1), data)


def _on_return(pid: int, name: str, call: str, *, root: str, below: Callable[[str], bool]) -> Iterator[Step]:
    if re.search(r"= -1 E\w+ \([^)]*\)$", call) or call.rstrip().endswith("= ?"):
        return
    held = _HELD.match(call)
    path = _plain(held[2]).decode() if held else ""
    at = PurePosixPath(root, path)  # a bare name is meant from the folder itself, where the command was run
    named = [str(at / _plain(text).decode()) for text in _TEXT.findall(call)[:2]] if name in _NAMING else []
    if name in {"fsync", "fdatasync"}:
        yield partial(Disk.sync_ends, by=pid)
    elif name in {"open", "openat", "creat"} and below(named[0]) and ("O_CREAT" in call or "O_TRUNC" in call):
        yield partial(Disk.make, path=named[0], empty="O_TRUNC" in call)
    elif name in {"write", "pwrite64", "ftruncate"} and below(path):
        yield _of_file(name, path, call)
    elif name in {"rename", "renameat", "renameat2"} and any(map(below, named)):
        yield partial(Disk.rename, old=named[0], new=named[1])
    elif name in {"unlink", "unlinkat", "rmdir"} and below(named[0]):
        yield partial(Disk.unlink, path=named[0])
    elif name in {"mkdir", "mkdirat"} and below(named[0]):
        yield partial(Disk.make, path=named[0], folder=True)
    elif name in _STRANGE and (below(path) or any(map(below, named))):
        raise AssertionError(f"a call that the model of the disk does not know: {name}({call[:200]}")


def _of_file(name: str, path: str, call: str) -> Step:
    tail = re.search(r", (\d+)(?:, (\d+))? ?\) += (\d+)$", call)
    if name == "ftruncate":
        size = re.search(r">, (\d+) ?\)", call)
        assert size, call[-100:]
        return partial(Disk.change, path=path, change=Truncate(int(size[1])))
    text = _TEXT.search(call, _HELD.match(call).end())  # type: ignore[union-attr]  # the path was read from it
    assert tail and text, call[-100:]
    data = _plain(text[1])[: int(tail[3])]
    if name == "write":
        return partial(Disk.append, path=path, data=data)
    return partial(Disk.change, path=path, change=Write(int(tail[2]), data))


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def told(found: Sequence[Step]) -> list[tuple[int, Told]]:
    """Give what was told, each with the number of its step."""
    return [(number, step) for number, step in enumerate(found) if isinstance(step, Told)]
