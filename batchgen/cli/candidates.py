"""What the shell completes: batches, clips, faults. Each answer only reads; without one the shell offers files.

A completer gets the words that were typed before: the batch, `--dir` and `--sandbox` say whose clips are meant.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import rich_click as click
from click.shell_completion import CompletionItem

from batchgen.clip import State
from batchgen.errors import BatchgenError

#: Reading a manifest is given up after so long (seconds): a table may have a million rows, and somebody waits.
PATIENCE_S = 0.7
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class _TooSlow(BaseException):
    """The time is over; no `except Exception` on the way may take it for a fault of the manifest."""


def batches(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the batches under `jobs/` by name and the manifests here by path; what is neither is a file."""
    del ctx, param
    from batchgen.locate import LEDGER, SUFFIXES

    jobs = [path for path in Path("jobs").glob("*") if path.suffix in SUFFIXES]
    ran = [path.parent.name.removesuffix(".sandbox") for path in Path("jobs").glob(f"*/{LEDGER}")]
    here = [str(path) for path in Path().glob("*") if path.suffix in SUFFIXES]
    names = sorted({*(path.stem for path in jobs), *ran}) + sorted(here)
    return _starting(names, incomplete) or [CompletionItem(incomplete, type="file")]


def clips_of(*states: State, by_prompt: bool = True, planned: bool = False, several: bool = False) -> Completer:
    """Give a completer of clips: prompt ids, and names of takes once something is typed.

    Args:
        states: only clips in these; none: all.
        by_prompt: the command takes prompt ids, too; else names alone.
        planned: also what only the manifest has.
        several: a list with commas between its parts.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        del param
        before, comma, last = incomplete.rpartition(",") if several else ("", "", incomplete)
        ids: dict[str, None] = {}
        names: dict[str, None] = {}
        for prompt_id, name in _clips(ctx, states, planned=planned):
            ids[prompt_id] = names[name] = None
        found = [*(ids if by_prompt else ()), *(names if last or not by_prompt else ())]
        return _starting(dict.fromkeys(found), last, before + comma)

    return complete


def faults(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the faults of the sandbox, each with what it does; a list may have commas."""
    del ctx, param
    from batchgen.sandbox.faults import Faults

    before, comma, last = incomplete.rpartition(",")
    named = Faults.catalogue().items()
    return [CompletionItem(before + comma + name, help=what) for name, what in named if name.startswith(last)]


def words(known: Iterable[str], then: Completer) -> Completer:
    """Give a completer of fixed words, and of what another one offers: an option with two values."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [*then(ctx, param, incomplete), *_starting(known, incomplete)]

    return complete


def _starting(names: Iterable[str], last: str, before: str = "") -> list[CompletionItem]:
    return [CompletionItem(before + name) for name in names if name.startswith(last)]


def _clips(ctx: click.Context, states: Iterable[State], *, planned: bool) -> Iterator[tuple[str, str]]:
    """Give prompt id and name of the clips of the batch that was typed, as far as they can be read."""
    manifest, folder, sandbox = (ctx.params.get(name) for name in ("manifest", "folder", "sandbox"))
    manifest = manifest or next(iter(ctx.args), "")  # click sorts none after an option whose value is missing
    for name in manifest if isinstance(manifest, tuple) else (manifest,):
        if name or folder:
            with suppress(BatchgenError):
                yield from _of_ledger(name, folder, {*states}, sandbox=bool(sandbox))
        if name and planned:
            yield from _of_manifest(name)


def _of_ledger(manifest: str, folder: Path | None, states: set[State], *, sandbox: bool) -> Iterator[tuple[str, str]]:
    from batchgen.cli.batch import ledger_folder
    from batchgen.ledger.reader import Reader

    with closing(Reader(ledger_folder(manifest, folder, sandbox=sandbox), checked=True)) as reader:
        for clip in reader.known():
            if not states or clip.state in states:
                yield clip.prompt_id, clip.name


def _of_manifest(manifest: str) -> list[tuple[str, str]]:
    from batchgen import manifest as manifests
    from batchgen.locate import find_manifest

    with suppress(BatchgenError, _TooSlow), _in_time(PATIENCE_S):
        return [(clip.prompt_id, clip.name) for clip in manifests.load(find_manifest(manifest)).wanted]
    return []


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Raise _TooSlow where the work is after so long."""

    def stop(_signum: int, _frame: object) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
