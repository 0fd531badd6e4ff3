"""What kind of drive a batch folder is on, and what that means for its ledger.

SQLite's write-ahead log needs memory that all processes share, and every promise needs locks that hold and syncs
that are kept. Not every drive has these:

- NFS, SMB/CIFS, AFS, cluster file systems: locks and syncs are kept, shared memory is not. Rollback journal, and a
  warning.
- 9p, WSL's drvfs, folders of VirtualBox, VMware and Parallels: the same; the host's files, seen through a door.
- sshfs, rclone, S3, GCS and WebDAV by FUSE: locks are of this machine only, and what is synced need not have reached
  the other side. Refused.
- Folders of Dropbox, OneDrive, Google Drive, iCloud: a local disk whose files are copied while they are written, and
  may be put back older. Rollback journal (one file that is whole between commits, and no WAL that is copied at
  another moment), and a warning.

Unknown kinds count as local. `decide` is pure; `of` reads the mount table.
"""

from __future__ import annotations

import logging
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from batchgen.errors import LedgerError

log = logging.getLogger("batchgen.ledger")

_MOUNTINFO = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "ncpfs", "ceph", "lustre", "gpfs", "gfs2",
     "ocfs2", "beegfs", "fuse.glusterfs", "fuse.ceph"}
)  # fmt: skip
_HOST = frozenset(
    {"9p", "drvfs", "wslfs", "vboxsf", "prl_fs", "vmhgfs", "fuse.vmhgfs-fuse", "fuse.grpcfuse", "fuse.osxfs",
     "osxfs", "prltoolsd"}
)  # fmt: skip
_LOOSE = frozenset(
    {"fuse.sshfs", "sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.mountpoint-s3",
     "fuse.blobfuse", "fuse.blobfuse2", "fuse.davfs2", "davfs", "webdav", "fuse.curlftpfs",
     "fuse.google-drive-ocamlfuse", "fuse.onedriver", "fuse.gvfsd-fuse", "ftp", "macfuse", "osxfuse"}
)  # fmt: skip
#: A part of a path, in lower case → whose folder it is.
_SYNCED = (
    (re.compile(r"^dropbox( \(.*\))?$"), "Dropbox"),
    (re.compile(r"^onedrive( - .*)?$|^onedrive-"), "OneDrive"),
    (re.compile(r"^google ?drive$|^my drive$|^googledrive-"), "Google Drive"),
    (re.compile(r"^mobile documents$|^com~apple~clouddocs$|^icloud ?drive$"), "iCloud Drive"),
    (re.compile(r"^(box|box sync|nextcloud|owncloud|pcloud ?drive|synologydrive)$"), "a sync program"),
)


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive that a ledger can't be used on as on a local disk."""

    kind: str  #: in words, as in "a network drive (nfs4)"
    why: str
    refused: bool = False

    def __str__(self) -> str:
        """Say both."""
        return f"{self.kind}: {self.why}"


def decide(folder: PurePosixPath, mounts: str) -> Drive | None:
    """Say what is special of the drive that holds a folder; None: a local disk, as far as is known.

    Args:
        folder: absolute, links resolved.
        mounts: the text of `/proc/self/mountinfo`, or what `mount` prints on macOS.
    """
    kind = _kind(folder, mounts)
    if kind in _LOOSE:
        why = "its locks work on this machine only, and synced data may arrive late; a batch there could be "
        return Drive(f"a remote folder ({kind})", f"{why}paid for twice. Name a folder on a local disk: --dir", True)
    if kind in _NETWORK:
        why = "a slower journal is used; run the batch from one machine only"
        return Drive(f"a network drive ({kind})", why)
    if kind in _HOST:
        why = "a slower journal is used; don't run the batch from the other system at the same time"
        return Drive(f"a folder of another system ({kind})", why)
    for part in folder.parts:
        for pattern, whose in _SYNCED:
            if pattern.search(part.lower()):
                why = (
                    "a slower journal is used; a copy restored from another machine would be an older ledger, so "
                    "run the batch from one machine only, or name another folder: --dir"
                )
                return Drive(f"a folder that is synchronised by {whose}", why)
    return None


def _kind(folder: PurePosixPath, mounts: str) -> str:
    """Give the file system's type of the deepest mount point above the folder; the later of two on one place."""
    best, found = -1, ""
    for text in mounts.splitlines():
        entry = _linux(text) or _macos(text)
        if entry is None:
            continue
        point, kind = PurePosixPath(entry[0]), entry[1]
        if (point == folder or point in folder.parents) and len(point.parts) >= best:
            best, found = len(point.parts), kind
    return found.lower()


def _linux(text: str) -> tuple[str, str] | None:
    """Read a line of mountinfo: `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`."""
    before, dash, after = text.partition(" - ")
    fields, kind, source = before.split(" "), after.split(" ", 1)[0], after.split(" ")[1:2]
    if not dash or len(fields) < 5:
        return None
    if kind == "9p" and source and re.match(r"^[A-Za-z]:|^drvfs", source[0]):
        kind = "drvfs"
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4]), kind


def _macos(text: str) -> tuple[str, str] | None:
    """Read a line of `mount`: `//me@host/share on /Volumes/share (smbfs, nodev, nosuid, mounted by me)`."""
    found = re.match(r"^.* on (/.*) \(([\w.+-]+)[,)]", text)
    return (found[1], found[2]) if found else None


def of(folder: Path, mounts: str | None = None) -> Drive | None:
    """Say what is special of the drive that a folder is on, or will be; by this machine's mount table, or another."""
    if mounts is None:
        mounts = ""
        with suppress(OSError, subprocess.SubprocessError):
            if _MOUNTINFO.exists():
                mounts = _MOUNTINFO.read_text(encoding="utf-8", errors="replace")
            else:
                done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=5, check=False)
                mounts = done.stdout
    return decide(PurePosixPath(folder.resolve()), mounts)


def journal(folder: Path, mounts: str | None = None) -> str:
    """Name the journal that a ledger in this folder needs; warns where it is not the usual one.

    Raises:
        LedgerError: no journal makes it safe there.
    """
    drive = of(folder, mounts)
    if drive is None:
        return "WAL"
    if drive.refused:
        raise LedgerError(f"{folder} is on {drive}")
    log.warning("%s is on %s", folder, drive)
    return "DELETE"
