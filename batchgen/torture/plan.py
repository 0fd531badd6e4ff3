"""What is done to the command, round by round, from a seed. Pure: the same seed gives the same plan, timing aside."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

#: The service's moods: doses of the sandbox's faults.
MOODS: Final[Mapping[str, str]] = {
    "calm": "",
    "lost answers": "lost=0.15,gateway504=0.1,cutjson=0.1,hang=0.03",
    "storm": "rate429=0.15,rate429_after=0.05,rate429_reset=0.03",
    "sick": "http500=0.15,http502=0.08,poll_trouble=0.3,history_down=0.3",
    "bad jobs": "failed=0.1,failed_bad=0.02,blocked=0.03,no_output=0.02,odd_state=0.2,vanish=0.15",
    "bad files": (
        "expired_link=0.3,truncated=0.3,garbage=0.1,slow=0.1,stall=0.03,no_length=0.1,no_range=0.1,"
        "etag_changes=0.1,redirect=0.1"
    ),
    "all at once": (
        "lost=0.05,gateway504=0.03,cutjson=0.03,rate429=0.05,http500=0.05,http502=0.03,poll_trouble=0.1,"
        "history_down=0.1,failed=0.05,vanish=0.1,expired_link=0.1,truncated=0.15,no_range=0.05,redirect=0.05"
    ),
    "host in trouble": "forbidden=0.5,private=0.1,mislabelled=0.1",
    "odd files": "odd_link=0.3,stray_bytes=0.3,mislabelled=0.3,forbidden=0.1",
    "contradictions": "accepted500=0.15,early_failed=0.1,contradicts=0.15,failed=0.05",
    "charged failures": "failed_charged=0.1,failed=0.1",
    "maintenance": "maintenance=0.3",
    "all refused": "overdue=0.7,filtered=0.5,redirected=0.5",
}
#: Rounds that the service's mood lasts.
MOOD_ROUNDS: Final = 4
#: What may happen to a connection on its way, and in which direction the bytes are counted.
CUTS: Final = ("dropped", "cut up", "cut down", "stalled up", "stalled down")
_SECOND_RUN: Final = 6
#: What people and backups do to a ledger between two runs.
LOCK_DELETED, LEDGER_DELETED, LEDGER_ROLLED_BACK = "lock file deleted", "ledger deleted", "older ledger brought back"
_DAMAGES: Final = (LOCK_DELETED, LEDGER_DELETED, LEDGER_ROLLED_BACK)
#: Where a kill leaves the most to be found out.
_OFTEN: Final = ("commit.before", "commit.after", "post.before", "post.after", "rename.before", "rename.after")
#: Besides what the plan strikes at: the spill file is only written when a commit has failed.
_LEAD: Final = {"spill.before": "eio@commit.before:{n}+", "spill.after": "eio@commit.before:{n}+"}

#: Steps that are reached only where the service is in the right mood.
_NEEDS: Final = {"doubt.": "calm", "note.": "bad files", "block.": "bad files"}


@dataclass(frozen=True, slots=True)
class Wire:
    """The network of a round: which share of the connections meets what, after how many bytes."""

    rate: float = 0.0
    cuts: tuple[str, ...] = ()
    after_bytes: int = 0  #: at most
    stall_s: float = 0.0
    down_s: float = 0.0  #: nobody listens for so long at the start


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the command, and what is done to it.

    Attributes:
        failpoint: what strikes inside (`BATCHGEN_FAILPOINT`); empty: nothing.
        kill_s: seconds after which it is killed from outside, in any case.
        gentle: the end from outside is SIGTERM first.
        second: a second command at the same time: "run", "reconcile", "status", or "".
        reconcile_first: `reconcile` is called before the run, and is what is struck.
        wanted: how many clips the manifest asks for.
        edit: the manifest's order changes too, and one clip is no longer wanted for a while.
        word: the user's word is given for what a whole history does not have.
        service_dies: the service is killed in its middle, and started again.
        limit: clips that this run may submit.
        cap: the budget, as a share of what all that is wanted costs.
        damage: what happened to the ledger's files since the last round; empty: nothing.
    """

    n: int
    mood: str
    skew_s: float
    wire: Wire
    failpoint: str
    kill_s: float
    gentle: bool
    second: str
    reconcile_first: bool
    wanted: int
    edit: bool
    word: bool
    service_dies: bool
    limit: int
    cap: float
    damage: str


def rounds(seed: int, steps: Mapping[str, str], *, clips: int, kills: int) -> Iterator[Round]:
    """Give round after round, without end.

    Args:
        seed: of all choices.
        steps: the steps of the command, and whether each can fail as a write (as `failpoints.STEPS`).
        clips: that are wanted in the end; they are spread over the rounds, so that there is always something to do.
        kills: that are wanted.
    """
    dice = random.Random(f"torture:{seed}")
    deck: list[str] = []
    moods: list[str] = []
    mood, skew = "calm", 0.0
    pace = clips / max(1, 1.4 * kills)  # some seven rounds of ten end in a kill
    for n in range(1_000_000):
        if n % MOOD_ROUNDS == 0:
            moods = moods or dice.sample(sorted(MOODS), len(MOODS))
            mood, skew = moods.pop(), dice.choice((0.0, 0.0, -120.0, 120.0))
        deck = deck or [card for hand in _deck(dice, steps, first=n == 0) for card in hand]
        # In one early round nothing strikes but a second run.
        failpoint = deck.pop() if n != _SECOND_RUN else ""
        yield Round(
            n=n,
            mood=next((needed for step, needed in _NEEDS.items() if f"@{step}" in failpoint), mood),
            skew_s=skew,
            wire=_wire(dice),
            failpoint=failpoint,
            kill_s=round(dice.uniform(0.4, 1.8), 2) if not failpoint else 5.0,
            gentle=not failpoint and n != _SECOND_RUN and dice.random() < 0.2,
            second="run" if n == _SECOND_RUN else dice.choice(("", "", "", "run", "reconcile", "status")),
            reconcile_first="doubt." in failpoint and dice.random() < 0.5,
            wanted=3 + math.ceil(n * pace),
            edit=n > 0 and dice.random() < 0.15,
            word=dice.random() < 0.1,
            service_dies=dice.random() < 0.05,
            limit=max(2, round(2 * pace)),
            cap=dice.choice((0.7, 1.0, 1.3, 2.0)),
            damage=dice.choice(_DAMAGES) if n > _SECOND_RUN and dice.random() < 0.1 else "",
        )


def _deck(dice: random.Random, steps: Mapping[str, str], *, first: bool) -> list[list[str]]:
    """Strike once at each step by a kill, once at each write by a full and a broken disk, and as often by the clock.

    Cards that only bite one after the other are one hand; all are dealt from the end.
    """
    hands = [_hand("kill", step, dice) for step in steps]
    hands += [_hand(fault, step, dice) for step, fails in steps.items() if fails for fault in ("enospc", "eio")]
    hands += [_hand("kill", step, dice) for step in _OFTEN for _ in range(4)] + [[""]] * 12
    dice.shuffle(hands)
    if first:  # the tables are made but once
        hands += [["kill@tables.after:1", "eio@tables.before:1", "enospc@tables.before:1", "kill@tables.before:1"]]
    return hands


def _hand(fault: str, step: str, dice: random.Random) -> list[str]:
    """A spill file is cleared, and an unconfirmed clip resolved, by the run after the one that made it."""
    before = {"spill.clear": "spill.after", "doubt.before": "post.after", "doubt.after": "post.after"}.get(step)
    return [_card(fault, step, dice), *([_card("kill", before, dice)] if before else [])]


def _card(fault: str, step: str, dice: random.Random) -> str:
    lead = _LEAD.get(step, "").format(n=dice.randint(9, 13))
    ever = "+" if fault == "enospc" else ""
    return f"{lead}{lead and ','}{fault}@{step}:{_nth(step, dice)}{ever}"


def _nth(step: str, dice: random.Random) -> int:
    """Choose how often a step is passed before it is struck: most are passed once a clip, commits more often."""
    if step.startswith("commit."):
        return dice.randint(9, 18) if dice.random() < 0.8 else 1
    return dice.choice((1, 1, 2)) if step in _OFTEN else 1


def _wire(dice: random.Random) -> Wire:
    if dice.random() < 0.6:
        return Wire()
    cuts = tuple(dice.sample(CUTS, dice.randint(1, 3)))
    down = dice.choice((0.0, 0.0, 0.0, 0.6))
    return Wire(dice.choice((0.05, 0.2)), cuts, dice.choice((0, 300, 2_000, 40_000)), dice.choice((0.3, 1.5)), down)
