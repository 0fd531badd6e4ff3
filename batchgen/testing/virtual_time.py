"""An event loop whose clock jumps to the next timer when nothing else can run.

It reaches `asyncio.sleep`, `asyncio.timeout` and aiolimiter with no clock parameter anywhere: a night of two
thousand clips takes seconds, and takes the same course each time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

#: A clock that stands still between turns lets a timer that re-arms itself for "now" spin without end.
TURN_S = 1e-6
#: What a call in another thread takes, by the virtual clock.
THREAD_S = 0.002
#: The epoch seconds at virtual time 0.
EPOCH = 1_790_000_000.0


class DeadlockError(RuntimeError):
    """All wait, and nothing is left that could ever wake them."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop in virtual time.

    A call to an executor runs in the loop's own thread, `thread_s` later: others get their turns between the
    asking and the doing, as with a real thread, but always the same ones, and time stands still meanwhile.
    """

    def __init__(self, start: float = 0.0, *, thread_s: float = THREAD_S) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._now = start
        self._thread_s = thread_s
        real_select = selector.select

        def select(timeout: float | None = None) -> list[Any]:
            events = real_select(0)
            self._now += TURN_S
            if events or timeout == 0:
                return events
            if timeout is None:
                events = real_select(1.0)
                if not events:
                    raise DeadlockError(f"at {self._now:.3f} s")
                return events
            self._now += timeout
            return events

        selector.select = select  # type: ignore[method-assign]

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def run_in_executor(  # type: ignore[override] # the pair of type variables says nothing that a test needs
        self,
        executor: Executor | None,  # noqa: ARG002 - of the protocol
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - those of `func`
    ) -> asyncio.Future[Any]:
        """Run a call a little later, and in this thread."""
        done = self.create_future()

        def call() -> None:
            if done.cancelled():
                return
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
                done.set_exception(error)
            else:
                done.set_result(result)

        self.call_later(self._thread_s, call)
        return done


def wall() -> float:
    """The wall's clock in virtual time: epoch seconds."""
    return EPOCH + asyncio.get_running_loop().time()
