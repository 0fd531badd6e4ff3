"""`--json` means one object on standard output, whatever the manifest, the folder or the options are."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import STATES
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.cli import main
from batchgen.ledger import FILE, SqliteLedger
from batchgen.testing import wanted

GOOD = b"prompts:\n  - a fox\n  - {prompt: an owl, takes: 2}\n"
PIECES = [
    b"\0",
    b"\xff",
    b"{{ x",
    b": ",
    b"  - \n",
    b"takes: 0\n",
    b"[",
    b"budget: {max_usd: 1e999}\n",
    b"name: ../x\n",
]
OPTIONS = st.lists(
    st.sampled_from(["--sandbox", "--max-usd=nan", "--rpm=inf", "--rpm=-1", "--in-flight=0", "--dir=/dev/null", "-v"]),
    max_size=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def desk() -> Iterator[Path]:
    """A working folder with a batch that has run."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.chdir(folder)
        for name in ("SEGMIND_API_KEY", "SEGMIND_BASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("XDG_CONFIG_HOME", folder)
        ledger = SqliteLedger(Path(folder) / "kept")
        ledger.sync([wanted(n) for n in range(3)])
        ledger.close()
        yield Path(folder)


def said(*args: str) -> tuple[int, str, str]:
    """Run the command line in this process; gives exit code, standard output, standard error."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["batchgen", *args])
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return code, written(out), written(err)


def written(stream: io.TextIOWrapper) -> str:
    """What a stream was given."""
    stream.seek(0)
    return stream.read()


def one_object(text: str) -> dict[str, Any]:
    """The one JSON object that a text is, in JSON's own numbers."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


def bent(content: bytes, seed: int) -> bytes:
    """Bend a file a little, or a lot."""
    dice, data = random.Random(seed), bytearray(content)
    for _ in range(dice.randint(0, 4)):
        at = dice.randrange(len(data) + 1)
        data[at : at + dice.choice([0, 0, 1, 30])] = dice.choice(PIECES)
    return bytes(data)


@fuzz(120)
@given(seed=st.integers(0, 2**32), options=OPTIONS)
def test_plan_answers_with_one_object_or_tells_why_not(desk: Path, seed: int, options: list[str]) -> None:
    """A script that reads it must not have to guess."""
    (desk / "night.yaml").write_bytes(bent(GOOD, seed))
    code, out, err = said("plan", "night.yaml", "--json", *options)
    assert "Traceback" not in err
    assert code in (0, 2, 6)
    if code == 0 or out:
        assert one_object(out)["schema_version"] >= 1
    if code:
        assert err.strip()


@fuzz(120)
@given(seed=st.integers(0, 2**32), options=OPTIONS, damage=st.sampled_from(["none", "ledger", "gone", "folder"]))
def test_status_always_answers_with_one_object(desk: Path, seed: int, options: list[str], damage: str) -> None:
    """With all states, also of a batch that was never run or whose ledger was damaged."""
    batch = desk / "night"
    shutil.rmtree(batch, ignore_errors=True)
    if damage != "gone":
        shutil.copytree(desk / "kept", batch)
    if damage == "ledger":
        (batch / FILE).write_bytes(bent((batch / FILE).read_bytes()[: seed % 9000], seed))
    if damage == "folder":
        (batch / FILE).unlink()
        (batch / FILE).mkdir()
    (desk / "night.yaml").write_bytes(bent(GOOD, seed))
    code, out, err = said("status", "night", "--json", *options)
    assert "Traceback" not in err
    assert code in (0, 2, 6)
    obj = one_object(out)
    assert set(obj["state"]) == set(STATES)
    assert code == 0 or obj["stopped"]


@pytest.mark.parametrize("word", ["nan", "inf", "1e400"])
@pytest.mark.parametrize(
    "option", ["--rpm", "--expect-latency", "--grace", "--deadline", "--give-up", "--history-settle"]
)
def test_what_is_no_number_to_count_with_is_refused(desk: Path, option: str, word: str) -> None:
    """`--rpm inf` was a traceback, and `--expect-latency inf` a run that never looked."""
    (desk / "night.yaml").write_bytes(GOOD)
    code, out, err = said("run", "night.yaml", "--sandbox", "--yes", "--json", f"{option}={word}")
    assert code == 2
    assert one_object(out)["stopped"]
    assert word in err
    assert "Traceback" not in err
