"""The life of one clip in one function, read from top to bottom: submit → collect → download."""

from __future__ import annotations

import logging

from batchgen.clip import Clip, State
from batchgen.errors import AccountError, DiskFullError, LedgerError, LedgerWriteError
from batchgen.ledger import FencedError
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.collect import Collector
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.fetch import Fetcher
from batchgen.runner.history_lookup import HistoryLookup
from batchgen.runner.submit import Submitter

log = logging.getLogger("batchgen.runner.worker")


class ClipWorker:
    """Carries clips through their life with the tools of a run."""

    def __init__(self, tools: RunContext) -> None:
        self._tools = tools
        self.submitter = Submitter(tools)
        recall = HistoryLookup(tools)
        self._collector = Collector(tools, recall)
        self._fetcher = Fetcher(tools, recall)

    async def carry(self, clip: Clip, place: InFlightSlot) -> None:
        """See one clip through, from whatever state it is in."""
        try:
            while not clip.state.settled:
                if clip.state is State.PENDING:
                    if clip.unwanted:
                        return
                    clip = await self.submitter.submit(clip)
                elif clip.state is State.GENERATING:
                    self._tools.at_work.add(clip.row)
                    clip = await self._collector.collect(clip, place)
                else:
                    self._tools.settled(clip)
                    place.give_back()  # so that slow downloads don't hold up submission
                    clip = await self._fetcher.download(clip)
        except SubmissionStoppedError:
            return  # it stays pending for the next run
        except FencedError as error:
            log.warning("%s", error)  # another one carries it
        except AccountError as error:
            self._tools.account_trouble(error)
        except (LedgerError, LedgerWriteError, DiskFullError) as error:
            self._tools.disk_trouble(error)
        finally:
            self._tools.settled(clip)
            place.give_back()
