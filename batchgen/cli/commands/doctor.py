"""`batchgen doctor`: are this machine, this account and this batch ready for a night? Spends nothing."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import candidates, output
from batchgen.cli.options import base_url_option, folder_option, json_option, sandbox_option
from batchgen.errors import BatchgenError, CallError, Exit, ProxyError, Unreachable, UsageError

if TYPE_CHECKING:
    from batchgen.providers.base import Provider
    from batchgen.redact import Secret

#: Less than this may not be enough for a night (bytes).
LITTLE_DISK = 2 * 2**30
#: A clock that is off by more makes expiry times wrong (seconds).
CLOCK_OFF_S = 60.0
#: The documented shape of a key; others are tried anyway.
KEY_SHAPE = "SG_ and 16 or more of 0-9 a-f"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: fine, worth a warning, or in the way of a run."""

    about: str
    level: str  #: ok, warning, error
    text: str


@click.command("doctor")
@click.argument("manifest", metavar="[MANIFEST]", required=False, shell_complete=candidates.batches)
@folder_option
@sandbox_option
@base_url_option
@json_option
def doctor(manifest: str | None, folder: Path | None, *, sandbox: bool, base_url: str | None, as_json: bool) -> None:
    """Check key, balance, clock, disk and media; with a MANIFEST also the batch's ledger.

    Its only API call asks for the balance, which is free. Exit code 0 when a run can start, 2 when not.
    """
    place = _place(manifest, folder, sandbox=sandbox)
    findings = [*_python(), *_media(), *_disk(place), *_ledger(place if manifest or folder else None)]
    findings += [] if sandbox else asyncio.run(_account(place, base_url))
    bad = any(finding.level == "error" for finding in findings)
    code = Exit.USAGE if bad else Exit.OK
    obj = {"schema_version": 1, "ok": not bad, "findings": [asdict(finding) for finding in findings]}

    def text() -> str:
        return "\n".join(f"{finding.level:<7}  {finding.about:<8}  {finding.text}" for finding in findings)

    output.answer(obj, text, as_json=as_json, code=code)
    sys.exit(code)


def _place(manifest: str | None, folder: Path | None, *, sandbox: bool) -> Path:
    from batchgen.locate import batch_folder, find_manifest

    if folder is not None:
        return folder.absolute()
    return batch_folder(find_manifest(manifest), sandbox=sandbox) if manifest else Path.cwd()


def _python() -> Iterator[Finding]:
    import sqlite3

    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok", f"{version}, SQLite {sqlite3.sqlite_version}")


def _media() -> Iterator[Finding]:
    try:
        import av
    except ImportError:
        text = "PyAV is not installed: the sandbox serves small ready-made clips. To render: pip install '.[media]'"
        yield Finding("media", "warning", text)
    else:
        yield Finding("media", "ok", f"PyAV {av.__version__}")


def _disk(place: Path) -> Iterator[Finding]:
    from batchgen.views.text import size

    there = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{size(free)} free at {there}"
    yield (
        Finding("disk", "warning", f"{text}: this may not be enough for a night")
        if free < LITTLE_DISK
        else Finding("disk", "ok", text)
    )


def _ledger(folder: Path | None) -> Iterator[Finding]:
    """Check the ledger, compare it with its journal, and check the drive that it is on."""
    from batchgen.ledger import Reader, filesystem, integrity, journal, schema
    from batchgen.ledger.lock import holder

    if folder is None:
        return
    if special := filesystem.of(folder):
        yield Finding("drive", "warning", str(special))
    path = folder / integrity.FILE
    try:
        if not integrity.exists(folder):
            yield Finding("ledger", "ok", f"none yet in {folder}")
            return
        who = holder(folder)
        integrity.check(folder, live=who is not None, deep=True)
        with closing(Reader(folder)) as reader:
            older = reader.contradiction()
    except BatchgenError as error:
        yield Finding("ledger", "error", str(error))
        return
    if older:
        yield Finding("ledger", "error", f"{path} {older}. {schema.REMEDY}")
        return
    yield Finding("ledger", "ok", f"{path} is intact" + (f"; in use by {who}" if who else ""))
    if not (folder / journal.FILE).exists():
        yield Finding("log", "warning", f"{folder / journal.FILE} is missing; the next run writes a new one")
    elif who is None:  # a run writes both, one after the other
        yield from _agreement(folder)


def _agreement(folder: Path) -> Iterator[Finding]:
    """Compare journal and spill file with the ledger."""
    from batchgen.ledger.agreement import compare
    from batchgen.views.text import plural

    try:
        found = compare(folder)
    except (BatchgenError, OSError) as error:
        yield Finding("log", "warning", f"cannot be compared with the ledger ({error})")
        return
    if found.other:
        what = f"differs from the ledger in {plural(found.other, 'event')}: one of the two was changed"
        yield Finding("log", "error", f"{what}. To rebuild the ledger from it: move ledger.db away, `batchgen recover`")
    elif found.missing or found.damaged:
        what = f"lacks {plural(found.missing, 'event')}; {plural(found.damaged, 'line')} damaged"
        yield Finding("log", "warning", f"{what}. The ledger is complete")
    else:
        yield Finding("log", "ok", f"agrees with the ledger ({plural(found.events, 'event')})")
    if found.spilled:
        what = f"{plural(found.spilled, 'request id')} could not be written to the ledger; the next run adds them"
        yield Finding("spill", "warning", what)


async def _account(place: Path, base_url: str | None) -> list[Finding]:
    """Check the key, the balance and the clocks."""
    from batchgen.locate import find_key
    from batchgen.runner.opening import Access
    from batchgen.settings import Settings

    try:
        key = find_key(place.parent) or find_key(place)
        if key is None:
            hint = "set SEGMIND_API_KEY, or write it to .env next to the manifest"
            return [Finding("key", "error", f"not found: {hint} (--sandbox needs none)")]
        settings = Settings(base_url=base_url) if base_url else Settings()
        access = Access(settings, key, place)
    except ProxyError as error:
        return [Finding("proxy", "error", str(error))]
    except UsageError as error:
        return [Finding("key", "error", str(error))]
    async with access.connected() as provider:
        return [*_key(key), *await _balance(provider), *_clock(provider.server_time)]


def _key(key: Secret) -> Iterator[Finding]:
    import re

    if re.fullmatch(r"SG_[0-9a-f]{16,}", key.get_secret_value()):
        yield Finding("key", "ok", "found, in the documented format (it is never shown)")
    else:
        yield Finding("key", "warning", f"found, but not in the documented format ({KEY_SHAPE}); it is tried anyway")


async def _balance(provider: Provider) -> list[Finding]:
    from batchgen.money import usd

    try:
        credits_left = await provider.balance()
    except Unreachable as error:
        what = f"cannot reach {provider.origin} ({error})"
        return [Finding("balance", "error", f"{what}: check --base-url and the network")]
    except CallError as error:
        return [Finding("balance", "error", f"{provider.origin}: {error}")]
    level = "ok" if credits_left else "warning"
    return [Finding("balance", level, f"{usd(credits_left)} in credits; the service accepts the key")]


def _clock(server_time: float | None) -> Iterator[Finding]:
    if server_time is None:
        return
    off = time.time() - server_time
    if abs(off) > CLOCK_OFF_S:
        yield Finding("clock", "warning", f"{off:+.0f} s off the service's clock: set it, or expiry times are wrong")
    else:
        yield Finding("clock", "ok", "agrees with the service's clock")
