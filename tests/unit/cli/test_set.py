"""`batchgen set`: what can be typed, what is written, and what people read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from batchgen.cli import cli
from batchgen.cli.commands.set import read_settings
from batchgen.errors import UsageError
from batchgen.ledger import SqliteLedger
from batchgen.ledger.wishes import CONTROL, Control, Retune, retunes


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (["rpm=30"], Retune(rpm=30.0)),
        (["RPM = 0.5 "], Retune(rpm=0.5)),
        (["rpm=0"], Retune(rpm=0.0)),
        (["in-flight=8"], Retune(in_flight=8)),
        (["in_flight=8"], Retune(in_flight=8)),
        (["max-usd=$12.50", "paused=Yes"], Retune(max_usd=12_500_000, paused=True)),
        (["max-usd=0", "paused=no"], Retune(max_usd=0, paused=False)),
    ],
)
def test_settings_are_read_as_the_options_of_run_are(typed: Sequence[str], asked: Retune) -> None:
    """With either dash; amounts in whole micro-dollars."""
    assert read_settings(typed) == asked


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ([], "nothing to set"),
        (["rmp=30"], "'rmp' is not a setting of a run did you mean rpm?"),
        (["downloads=3"], "'downloads' is not a setting of a run there are: rpm, in-flight, max-usd, paused"),
        (["rpm"], "'rpm': rpm takes calls a minute: 0 (no limit) or more"),
        (["rpm="], "'rpm=': rpm takes"),
        (["rpm=nan"], "'rpm=nan': rpm takes"),
        (["rpm=inf"], "rpm takes"),
        (["rpm=-1"], "rpm takes"),
        (["in-flight=0"], "in-flight takes a whole number of clips, 1 or more"),
        (["in-flight=2.5"], "in-flight takes"),
        (["in-flight=\u0663"], "in-flight takes"),
        (["max-usd="], "max-usd takes an amount of USD, as in 25 or 12.50"),
        (["max-usd=none"], "max-usd takes"),
        (["max-usd=-3"], "max-usd takes"),
        (["paused=maybe"], "paused takes yes or no"),
        (["rpm=3", "rpm=4"], "rpm is set twice"),
    ],
)
def test_what_cannot_be_set_is_named(typed: Sequence[str], fault: str) -> None:
    """A value that is dropped in silence would be money or a night."""
    with pytest.raises(UsageError) as raised:
        read_settings(typed)
    assert fault in f"{raised.value.message} {raised.value.tip}"


def call(folder: Path, *args: str) -> Result:
    """Type it about the batch in a folder."""
    return CliRunner().invoke(cli, ["set", "night", *args, "--dir", str(folder)], catch_exceptions=False)


def test_with_no_run_at_work_it_says_when_it_takes_effect_and_is_kept(tmp_path: Path) -> None:
    """The next run takes it up; `status` shows it until then."""
    SqliteLedger(tmp_path).close()
    assert "no run is at work; the next run takes it up." in call(tmp_path, "rpm=30").stdout
    told = json.loads(call(tmp_path, "paused=yes", "--json").stdout)
    assert (told["takes_effect"], told["live"], told["set"]["paused"]) == ("next run", False, True)
    with closing(SqliteLedger(tmp_path)) as ledger:
        assert retunes(ledger.wishes()) == Retune(rpm=30.0, paused=True)
    shown = CliRunner().invoke(cli, ["status", "night", "--dir", str(tmp_path)]).stdout
    assert "Set, and the next run takes it up: rpm=30 paused=yes." in shown
    obj = json.loads(CliRunner().invoke(cli, ["status", "--dir", str(tmp_path), "--json"]).stdout)["set"]
    waiting = {"rpm": 30.0, "in_flight": None, "max_usd": None, "paused": True}
    assert obj == {"now": None, "waiting": waiting, "text": "Set, and the next run takes it up: rpm=30 paused=yes."}


@pytest.mark.parametrize(("control", "effect"), [(Control.RUNNING, "now"), (Control.STOPPING, "next run")])
def test_next_to_a_run_it_is_queued_for_it(tmp_path: Path, control: Control, effect: str) -> None:
    """One that stops does not hear it any more."""
    with closing(SqliteLedger(tmp_path)) as ledger:
        ledger.remember(CONTROL, control)
        told = json.loads(call(tmp_path, "in-flight=2", "--json").stdout)
        assert (told["takes_effect"], told["live"]) == (effect, True)
        assert retunes(ledger.wishes()) == Retune(in_flight=2)


def test_a_cap_below_what_is_spent_says_what_it_does(tmp_path: Path) -> None:
    """Nothing is taken back: it stops submissions."""
    SqliteLedger(tmp_path).close()
    assert "Nothing more is submitted under this cap: $0.00 are spent" in call(tmp_path, "max-usd=0").stdout
    assert "Nothing more" not in call(tmp_path, "max-usd=1").stdout
