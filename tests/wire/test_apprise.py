"""Messages through apprise, with real plugins that fail, hang, raise and lie: none of it changes what the run does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from scripted_service import KEY
from test_notices import DONE, a_session, described, ended

from batchgen.cli.notices import Notices
from batchgen.errors import Exit
from batchgen.notify.addresses import addresses
from batchgen.notify.sender import Sender
from batchgen.notify.through_apprise import deliver
from batchgen.redact import Redactor
from batchgen.runner.session import Outcome

pytestmark = [pytest.mark.real_time, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
#: What a plugin says of a message: True is that it was taken.
Answer = Callable[[], bool]
HELP: list[Answer] = []  # what the plugin of these tests does now
TAKEN: list[tuple[str, str]] = []  # the messages that it got


@pytest.fixture(scope="module")
def scheme() -> str:
    """Give the scheme of a plugin of our own."""
    from apprise.decorators import notify

    @notify(on="batchgentest")  # type: ignore[no-untyped-call, untyped-decorator]  # of a library without types
    def plugin(body: str, title: str, *_args: object, **_more: object) -> bool:
        TAKEN.append((title, body))
        return HELP[-1]()

    return "batchgentest"


@pytest.fixture
def doing(scheme: str) -> Iterator[Callable[[Answer], str]]:
    """Let the plugin do something; gives an address for it."""

    def does(answer: Answer) -> str:
        HELP.append(answer)
        return f"{scheme}://sesame/topic"

    yield does
    HELP.clear()
    TAKEN.clear()


def night(listed: list[str], outcome: Outcome = DONE, *, last_s: float = 20.0) -> Outcome:
    """Run a night that ends so, with tries that follow each other at once."""
    given = addresses(listed, {}, apprise=True)
    sender, redact = Sender(pauses_s=(0.0, 0.0, 0.0)), Redactor([KEY]).redact
    notices = Notices(given, described, by_timer=False, redact=redact, sender=sender, last_s=last_s)
    return asyncio.run(notices.around(a_session(), ended(outcome)))


def test_a_message_comes_with_title_text_and_no_key(doing: Callable[[Answer], str]) -> None:
    """As people read it; what the service said may quote the key."""
    stopped = Outcome(Exit.STOPPED, f"key: {KEY} is not valid", 1.0)
    assert night([doing(lambda: True)], stopped) == stopped
    [(title, text)] = TAKEN
    assert title == "night has stopped"
    assert text.splitlines() == [
        "Reason: key: SG_… is not valid",
        "3 done.",
        "Spent $1.50, reserved $0.00, budget $20.00.",
        "Next:",
        "batchgen status night",
    ]


def broken() -> bool:
    """Raise with the address in its text."""
    raise OSError("batchgentest://sesame/topic refused")


@pytest.mark.parametrize("answer", [lambda: False, broken], ids=["fails", "raises"])
def test_what_a_plugin_does_is_not_the_runs_concern(
    doing: Callable[[Answer], str], answer: Answer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Three tries; one line without the address, and none of apprise's own."""
    assert night([doing(answer)]) == DONE
    assert len(TAKEN) == 3
    fault = "apprise could not deliver the message"
    assert caplog.messages == [f"notify 1 (batchgentest:// by apprise): {fault}; the run goes on"]
    out, err = capfd.readouterr()
    assert "sesame" not in f"{caplog.text}{out}{err}"


def test_an_address_that_apprise_does_not_know_is_one_line(
    scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """By itself apprise prints the whole address."""
    assert scheme
    assert night(["nosuch://sesame"]) == DONE
    assert caplog.messages == [
        "notify 1 (nosuch:// by apprise): apprise does not know such an address; the run goes on"
    ]
    out, err = capfd.readouterr()
    assert "sesame" not in f"{caplog.text}{out}{err}"


def test_a_plugin_that_hangs_does_not_keep_the_run(
    doing: Callable[[Answer], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its end nor the process's: nobody waits for its thread."""
    released = threading.Event()
    address = doing(lambda: released.wait(30))
    assert night([address], last_s=0.05) == DONE
    assert caplog.messages == ["not every message could be sent before the end of the run"]
    assert asyncio.run(deliver(address, "a", "b", try_s=0.05)) == ("no answer within 0.05 s", False)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "apprise")
    released.set()
