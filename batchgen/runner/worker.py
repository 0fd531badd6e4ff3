"""The life of one clip in one function, read from top to bottom: submit → collect → download."""

from __future__ import annotations

import logging

from batchgen.clip import Clip, State
from batchgen.errors import AccountError, DiskFullError, LedgerError, LedgerWriteError
from batchgen.ledger import FencedError, SkippedError
from batchgen.ratelimit.base import SubmissionStoppedError
from batchgen.runner.collect import Collector
from batchgen.runner.context import InFlightSlot, RunContext
from batchgen.runner.cross_check import CrossCheck
from batchgen.runner.fetch import Fetcher
from batchgen.runner.file_hosts import FileHosts
from batchgen.runner.history_lookup import HistoryLookup
from batchgen.runner.submit import Submitter

log = logging.getLogger("batchgen.runner.worker")


class ClipWorker:
    """Sees clips through their life, one task each."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        hosts, lookup = FileHosts(context), HistoryLookup(context)
        cross_check = CrossCheck(context, lookup)
        self.submitter = Submitter(context, cross_check, hosts)
        self._collector = Collector(context, lookup, cross_check)
        self._fetcher = Fetcher(context, lookup, hosts)

    async def run(self, clip: Clip, slot: InFlightSlot) -> None:
        """See one clip through, from whatever state it is in."""
        try:
            while not clip.state.settled:
                if clip.state is State.PENDING:
                    if clip.unwanted or clip.row in self._context.aside:
                        return
                    clip = await self.submitter.submit(clip)
                elif clip.state is State.GENERATING:
                    self._context.in_flight[clip.row] = clip.wanted.price_class
                    clip = await self._collector.collect(clip, slot)
                else:
                    self._context.not_in_flight(clip)
                    slot.release()  # so that slow downloads don't hold up submission
                    clip = await self._fetcher.download(clip)
        except SubmissionStoppedError:
            return  # it stays pending for the next run
        except SkippedError as error:
            log.info("%s", error)
        except FencedError as error:
            log.warning("%s", error)  # another worker has it
        except AccountError as error:
            self._context.account_trouble(error)
        except (LedgerError, LedgerWriteError, DiskFullError) as error:
            self._context.disk_trouble(error)
        finally:
            self._context.not_in_flight(clip)
            slot.release()
