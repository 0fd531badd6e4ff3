"""Telling the service's trouble from a clip's: streaks of submissions that nobody accepted."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.retry import CAP_S, delay

#: So many different clips refused by the API's own 500, and none accepted: it is the service, not the clips.
REFUSED_CLIPS = 4
#: So many POSTs in a row without a clear answer: send them one at a time, further and further apart ...
UNSURE_SLOW = 8
#: ... and stop at this many, before half a night's money is in doubt.
UNSURE_STOP = 25
UNSURE_CAP_S = 15.0
#: Tries, up to a minute apart, after which a run that never had a submission accepted stops.
NEVER_STOP = 20


@dataclass
class ServiceTrouble:
    """What happened since the last accepted submission. Times are the event loop's, in seconds."""

    refused: set[int] = field(default_factory=set)
    acceptances: int = 0
    first: dict[int, int] = field(default_factory=dict)  #: clip → how many were accepted before its first refusal
    unsure: int = 0
    tries: int = 0
    since: float | None = None
    until: float = 0.0

    @property
    def on(self) -> bool:
        """True while the service, not a clip, is to blame."""
        return self.since is not None

    def over(self) -> None:
        """A submission was accepted."""
        self.acceptances += 1
        self.refused.clear()
        self.unsure, self.tries, self.since, self.until = 0, 0, None, 0.0

    def met_500(self, row: int, now: float) -> bool:
        """A clip was refused by the API's own 500; True when that does not count against it.

        It does count when others were accepted since its first refusal: then the clip is to blame.
        """
        self.refused.add(row)
        if len(self.refused) >= REFUSED_CLIPS:
            self._again(now)
        return self.on and self.acceptances == self.first.setdefault(row, self.acceptances)

    def met_silence(self, now: float) -> None:
        """A POST had no clear answer."""
        self.unsure += 1
        if self.unsure >= UNSURE_SLOW:
            self._again(now, UNSURE_CAP_S)

    @property
    def hopeless(self) -> bool:
        """True when nothing was ever accepted, and so many tries far apart all met the API's own 500."""
        return self.acceptances == 0 and self.unsure == 0 and self.tries >= NEVER_STOP

    def _again(self, now: float, cap: float = CAP_S) -> None:
        self.since = now if self.since is None else self.since
        self.tries += 1
        self.until = now + delay(self.tries, cap=cap)
