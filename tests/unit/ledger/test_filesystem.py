"""Which drives a ledger is safe on, and how; the mount tables are as real systems print them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path, PurePosixPath

import pytest
from clip_histories import lead

from batchgen.clip import State
from batchgen.errors import LedgerError
from batchgen.ledger import Reader, SqliteLedger, filesystem

LINUX = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 0:40 / /mnt/nas rw,relatime shared:9 - nfs4 nas:/export rw,vers=4.2
32 27 0:41 / /mnt/office rw,relatime - cifs //nas/office rw
33 27 0:42 / /mnt/far rw,nosuid - fuse.sshfs me@far:/ rw
34 27 0:43 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs
35 27 0:44 / /media/sf_share rw - vboxsf share rw
36 27 0:45 / /mnt/with\040space rw - nfs nas:/x rw
37 31 0:46 / /mnt/nas/local rw - xfs /dev/sdb1 rw
38 27 0:47 / /mnt/bucket rw - fuse.gcsfuse bucket rw
39 27 0:48 / /mnt/stick rw - fuseblk /dev/sdc1 rw
40 27 0:49 / /mnt/nas2 rw - autofs auto rw
41 40 0:50 / /mnt/nas2 rw - nfs4 nas:/two rw
"""
MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//me@nas._smb._tcp.local/team on /Volumes/team (smbfs, nodev, nosuid, mounted by me)
nas:/export on /Volumes/My Films (nfs, nodev, nosuid, mounted by me)
far: on /Users/me/far (macfuse, nodev, nosuid, synchronous, mounted by me)
"""


@pytest.mark.parametrize(
    ("folder", "mounts", "kind"),
    [
        ("/home/me/jobs/night", LINUX, None),
        ("/mnt/nasty/night", LINUX, None),
        ("/mnt/nas/local/night", LINUX, None),
        ("/mnt/stick/night", LINUX, None),
        ("/mnt/nas/night", LINUX, "network drive (nfs4)"),
        ("/mnt/nas", LINUX, "network drive (nfs4)"),
        ("/mnt/nas2/night", LINUX, "network drive (nfs4)"),
        ("/mnt/with space/night", LINUX, "network drive (nfs)"),
        ("/mnt/office/night", LINUX, "network drive (cifs)"),
        ("/mnt/c/Users/me/night", LINUX, "another system (drvfs)"),
        ("/media/sf_share/night", LINUX, "another system (vboxsf)"),
        ("/mnt/far/night", LINUX, "remote folder (fuse.sshfs)"),
        ("/mnt/bucket/night", LINUX, "remote folder (fuse.gcsfuse)"),
        ("/home/me/Dropbox/night", LINUX, "by Dropbox"),
        ("/home/me/Dropbox (Acme)/jobs/night", LINUX, "by Dropbox"),
        ("/home/me/OneDrive - Acme/night", LINUX, "by OneDrive"),
        ("/home/me/dropbox-notes/night", LINUX, None),
        ("/Users/me/night", MACOS, None),
        ("/Volumes/team/night", MACOS, "network drive (smbfs)"),
        ("/Volumes/My Films/night", MACOS, "network drive (nfs)"),
        ("/Users/me/far/night", MACOS, "remote folder (macfuse)"),
        ("/Users/me/Library/Mobile Documents/com~apple~CloudDocs/night", MACOS, "by iCloud Drive"),
        ("/Users/me/Library/CloudStorage/GoogleDrive-me@x.example/My Drive/night", MACOS, "by Google Drive"),
        ("/Users/me/Library/CloudStorage/OneDrive-Acme/night", MACOS, "by OneDrive"),
        ("/home/me/night", "", None),
        ("/home/me/night", "garbage\n\n - \non (\n", None),
    ],
)
def test_a_drive_is_known_by_its_deepest_mount_and_a_sync_folder_by_its_name(
    folder: str, mounts: str, kind: str | None
) -> None:
    """What is not known counts as local."""
    found = filesystem.decide(PurePosixPath(folder), mounts)
    assert (found is None) if kind is None else (found is not None and kind in str(found))
    assert (found is not None and found.refused) == (kind is not None and "remote" in kind)


def test_the_drive_of_this_machine_is_read() -> None:
    """Whatever it is, the answer is no error, and a folder that is not there yet has one, too."""
    filesystem.of(Path.cwd() / "not" / "there" / "yet")


def test_on_a_synchronised_folder_the_ledger_has_no_wal_and_readers_still_work_beside_it(
    ram: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A WAL that is copied a moment before or after its ledger is a ledger of another day."""
    folder = ram / "Dropbox" / "night"
    ledger = lead(folder)
    try:
        assert "synchronised by Dropbox" in caplog.text
        assert ledger._out.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert ledger._out.execute("PRAGMA synchronous").fetchone() == (3,)  # FULL may bring a deleted journal back
        assert not list(folder.glob("*-wal"))
        with closing(Reader(folder)) as beside:
            assert beside.totals() == ledger.live_totals
    finally:
        ledger.close()


def test_a_ledger_that_moves_to_another_kind_of_drive_changes_its_journal(ram: Path) -> None:
    """And loses nothing on the way."""
    lead(ram / "night").close()
    (ram / "Dropbox").mkdir()
    for home, journal in ((ram / "Dropbox" / "night", "delete"), (ram / "back", "wal")):
        next(path for path in (ram / "night", ram / "Dropbox" / "night") if path.exists()).rename(home)
        with closing(SqliteLedger(home)) as ledger:
            assert ledger._out.execute("PRAGMA journal_mode").fetchone() == (journal,)
            assert ledger.totals().counts[State.DONE] == 1


def test_a_drive_without_locks_that_hold_is_refused_with_the_reason(ram: Path) -> None:
    """Two machines would each think that they hold the batch."""
    mounts = f"1 1 0:1 / {ram} rw - fuse.sshfs me@far:/ rw"
    with pytest.raises(LedgerError, match=r"locks work on this machine only.*--dir"):
        filesystem.journal(ram / "night", mounts)
    assert filesystem.journal(ram / "night", mounts.replace("fuse.sshfs", "nfs4")) == "DELETE"
    assert filesystem.journal(ram / "night", mounts.replace("fuse.sshfs", "xfs")) == "WAL"
