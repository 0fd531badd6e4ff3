"""What a shell completes: batches, clips, faults; from what was typed, read-only, and never with a traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchgen import manifest as manifests
from batchgen.cli import candidates, cli, main, shells
from batchgen.events import AnswerLost, Event, Failed, SubmitStarted
from batchgen.ledger import SqliteLedger

MANIFEST = """
defaults: {size: "832*480"}
prompts:
  - {id: cat, prompt: a cat, takes: 2}
  - {id: dog, prompt: a dog}
"""
Offered = Callable[..., list[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the batch `night`: cat_1 failed, cat_2 unconfirmed, the manifest edited since; others broken."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "jobs").mkdir()
    (folder / "here.yaml").write_text("prompts: [{id: hare, prompt: a hare}]")
    manifest = folder / "jobs" / "night.yaml"
    manifest.write_text(MANIFEST)
    with closing(SqliteLedger(folder / "jobs" / "night")) as ledger:
        ledger.sync(manifests.load(manifest).wanted)
        asyncio.run(_ended(ledger, Failed("no"), AnswerLost("reset")))
    manifest.write_text(f"{MANIFEST}  - {{id: fox, prompt: a fox}}\n")
    (folder / "jobs" / "my night.yml").write_text("prompts: [")
    (folder / "jobs" / "broken").mkdir()
    (folder / "jobs" / "broken" / "ledger.db").write_bytes(b"no ledger")
    return folder


async def _ended(ledger: SqliteLedger, *ends: Event) -> None:
    """Submit the first clips, each with one end."""
    for clip, end in zip([*ledger.clips()], ends, strict=False):
        await ledger.record(await ledger.record(clip, SubmitStarted(1.0, reserved=1)), end)
    await ledger.settle()


@pytest.fixture
def offered(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    """Complete a line in that folder."""
    monkeypatch.chdir(folder)

    def complete(*words: str, shell: str = "bash") -> list[str]:
        monkeypatch.setenv(shells.VARIABLE, f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", "\n".join(["batchgen", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out.split("\n")[:-1]

    return complete


ROWS = [
    (["run", ""], ["plain,broken", "plain,my night", "plain,night", "plain,here.yaml"]),
    (["status", "n"], ["plain,night"]),
    (["plan", "my"], ["plain,my night"]),
    (["run", "jobs/n"], ["file,jobs/n"]),
    (["check", "examples/"], ["file,examples/"]),
    (["doctor", "h"], ["plain,here.yaml"]),
    (["run", "night", "--only", ""], ["plain,cat", "plain,dog", "plain,fox"]),
    (["run", "night", "--only", "f"], ["plain,fox", "plain,fox_1"]),
    (["run", "night", "--only", "=", "f"], ["plain,fox", "plain,fox_1"]),
    (["run", "--sandbox", "night", "--only", "dog,ca"], ["plain,dog,cat", "plain,dog,cat_1", "plain,dog,cat_2"]),
    (["plan", "here.yaml", "--only", ""], ["plain,hare"]),
    (["retry", "night", "--only", "c"], ["plain,cat", "plain,cat_1"]),
    (["forget", "night", ""], ["plain,cat_2"]),
    (["reroll", "night", ""], ["plain,cat", "plain,dog"]),
    (["reroll", "night", "cat", "d"], ["plain,dog", "plain,dog_1"]),
    (["picks", "night", "--set", "do"], ["plain,dog", "plain,dog_1"]),
    (["picks", "night", "--set", "dog", "rej"], ["plain,reject"]),
    (["reroll", "--dir", "jobs/night", "night", "dog_"], ["plain,dog_1"]),
    (["run", "night", "--sandbox", "--fault", "los"], ["plain,lost"]),
    (["sandbox", "--fault", "lost,han"], ["plain,lost,hang"]),
    (["help", "mon"], ["plain,money"]),
    (["run", "night", "--plan", "p"], ["file,p"]),
]


@pytest.mark.parametrize(("typed", "known"), ROWS, ids=[" ".join(typed) for typed, _ in ROWS])
def test_the_shell_completes_batches_clips_and_faults(offered: Offered, typed: list[str], known: list[str]) -> None:
    """Names of batches and clips are long: nobody types them right at 3 a.m."""
    assert offered(*typed) == known


@pytest.mark.parametrize(
    "typed",
    [
        ["nosuch", ""],
        ["run", "nosuch", "--only", "a"],
        ["run", "my\\ night", "--only", "a"],  # its YAML is broken
        ["reroll", "broken", "a"],
        ["run", "night", "--rpm", ""],
        ["run", "--only", "a"],
        ["plan", "'ni", "--only", "a"],
    ],
)
def test_what_cannot_be_read_offers_nothing_and_says_nothing(offered: Offered, typed: list[str]) -> None:
    """A traceback in the middle of a line would be worse than no completion."""
    assert [line for line in offered(*typed) if line] == []


def test_a_manifest_that_takes_long_is_given_up(offered: Offered, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table may have a million rows. The ledger's clips are offered all the same."""

    def endless(_: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(candidates, "PATIENCE_S", 0.01)
    monkeypatch.setattr(manifests, "load", endless)
    assert offered("run", "night", "--only", "") == ["plain,cat", "plain,dog"]


def test_completion_changes_nothing(offered: Offered, folder: Path) -> None:
    """It runs at every press of a key, next to a run."""

    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = files()
    for typed in (["run", "night", "--only", "c"], ["forget", "night", ""], ["run", "here.yaml", "--only", ""]):
        offered(*typed)
    assert files() == before


def test_a_shell_that_replaces_the_whole_word_gets_the_option_too(offered: Offered) -> None:
    """Zsh would else write `singer` over `--only=sin`."""
    assert offered("retry", "night", "--only=c", shell="zsh")[1::3] == ["--only=cat", "--only=cat_1"]
    assert offered("retry", "night", "--only=c", shell="fish") == ["plain,--only=cat", "plain,--only=cat_1"]


@pytest.mark.parametrize(
    ("shell", "part"),
    [("bash", "printf '%q' \"$value\""), ("zsh", "autoload -Uz compinit"), ("fish", 'split --max 1 ","')],
)
def test_the_scripts_have_what_clicks_lack(shell: str, part: str) -> None:
    """A blank in a name (bash), no `compinit` yet (zsh), a comma in a name (fish)."""
    assert part in shells.script(cli, shell)
