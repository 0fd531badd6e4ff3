"""`batchgen notify`: whom a run informs; with `--test` a message to each of them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

import rich_click as click

from batchgen.cli import output
from batchgen.cli.options import json_option, manifest_argument
from batchgen.errors import Exit

if TYPE_CHECKING:
    from batchgen.notify.addresses import Addresses


@click.command("notify")
@manifest_argument
@click.option("--test", is_flag=True, help="Send a message to every address, once.")
@json_option
def notify(manifest: str, *, test: bool, as_json: bool) -> None:
    """Show whom a run of the manifest informs; with --test, send a message to each address and show what became of it.

    Exit code 0 when every address can be used (with --test: took the message), 2 when not. Addresses are secrets: only
    their hosts are shown.
    """
    from batchgen import manifest as manifests
    from batchgen.cli.notices import addresses_of
    from batchgen.locate import find_manifest

    path = find_manifest(manifest)
    read = manifests.load(path)
    given = addresses_of(read.notify, path.parent)
    faults = asyncio.run(_test(given, read.name)) if test else {}
    rows = [
        {"number": each.number, "kind": each.kind.value, "shown": str(each), "fault": faults.get(each.number)}
        for each in given.usable
    ]
    bad = bool(given.faults or any(faults.values()))
    obj = {"schema_version": 1, "ok": not bad, "tested": test, "addresses": rows, "faults": list(given.faults)}
    code = Exit.USAGE if bad else Exit.OK
    output.answer(obj, lambda: _text(given, faults, tested=test), as_json=as_json, code=code)
    sys.exit(code)


def _text(given: Addresses, faults: dict[int, str | None], *, tested: bool) -> str:
    if not (given.usable or given.faults):
        return "Nobody is informed: the manifest has no notify: (batchgen help manifest)"
    lines = [
        f"{each}: {faults.get(each.number) or 'took the message'}" if tested else str(each) for each in given.usable
    ]
    return "\n".join([*lines, *given.faults])


async def _test(given: Addresses, name: str) -> dict[int, str | None]:
    """Send a message, or a sign of life, to each address; give what went wrong by its number."""
    from batchgen.cli.notices import message
    from batchgen.clip import State
    from batchgen.notify.addresses import AddressKind
    from batchgen.notify.conditions import Occasion
    from batchgen.notify.sender import Sender
    from batchgen.views.text import stamp_utc

    nothing = {"state": {str(state): 0 for state in State}, "spent_usd": 0, "reserved_usd": 0, "cap_usd": None}
    obj = {**nothing, "at": stamp_utc(time.time()), "next": []}
    text = json.dumps(message(name, Occasion.TEST, "batchgen notify --test", obj, "test")).encode()
    faults: dict[int, str | None] = {}
    async with Sender(pauses_s=()) as sender:
        for address in given.usable:
            sent = sender.message(address, text) if address.kind is AddressKind.WEBHOOK else sender.signal(address, "")
            faults[address.number] = await sent
    return faults
