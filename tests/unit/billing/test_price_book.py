"""The estimate of a clip: manifest, table and charges put together, and learned while a run goes on."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from batchgen.billing.prices import PriceBook, PriceSource
from batchgen.clip import Clip, Wanted
from batchgen.events import Event, Generated, Lost, SubmitStarted, Submitted
from batchgen.providers.models import Prices
from batchgen.states import advance

PARAMS = {"prompt": "x", "size": "1280*720", "duration": 5, "seed": 1}
WANTED = Wanted("k", "p", 1, "wan-2.5-t2v", json.dumps(PARAMS), "clip")


def charged(tariff: PriceBook, *costs: int | None) -> None:
    """Let clips complete at these charges."""
    for row, cost in enumerate(costs):
        clip = Clip(row, WANTED)
        for event in (SubmitStarted(1.0), Submitted("r", 1.0), Generated("https://f.example/a", 9.0, cost)):
            clip = advance(clip, event)
            tariff.learn(clip, event)


def test_the_table_of_the_model_is_the_first_word() -> None:
    """Every size and length of the known model has a price, with its source."""
    quote = PriceBook(Prices()).quote("wan-2.5-t2v", {"size": "1920*1080", "duration": 10})
    assert (quote.each, quote.source) == (1_875_000, PriceSource.TABLE)
    assert PriceBook(Prices()).estimate(WANTED) == 625_000
    assert PriceBook(Prices()).estimate(replace(WANTED, model="unheard-of")) is None


def test_a_price_that_nobody_has_proven_comes_with_what_others_paid() -> None:
    """A table is an estimate: the night may cost more, and the plan says how much."""
    book = PriceBook(Prices())
    assert book.quote("wan-2.5-t2v", PARAMS).high == 800_000
    assert book.quote("wan-2.5-t2v", {"size": "1920*1080", "duration": 10}).high is None  # more than the mean as it is
    assert PriceBook(Prices({"wan-2.5-t2v": 700_000})).quote("wan-2.5-t2v", PARAMS).high is None
    charged(book, *[625_000] * 3)
    assert book.quote("wan-2.5-t2v", PARAMS).high is None


def test_the_manifest_overrides_the_table() -> None:
    """One price for all of a model, or one for each cell."""
    assert PriceBook(Prices({"wan-2.5-t2v": 700_000})).estimate(WANTED) == 700_000
    assert PriceBook(Prices({"wan-2.5-t2v": {"1280*720/5": 620_000}})).estimate(WANTED) == 620_000


def test_what_is_charged_is_learned_while_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """The fourth clip is estimated at what three were charged, and a person is told so once."""
    tariff = PriceBook(Prices())
    with caplog.at_level(logging.WARNING):
        charged(tariff, *[800_000] * 9)
    assert tariff.estimate(WANTED) == 800_000
    told = "prices: wan-2.5-t2v 1280*720 5 is charged $0.80 a clip (median of the last 3), 28 % more than the table's"
    assert [r.getMessage() for r in caplog.records] == [f"{told} $0.63; estimates follow what is charged"]


def test_a_charge_as_told_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """A warning every night is none."""
    charged(PriceBook(Prices()), *[625_000] * 9)
    assert not caplog.records


def test_a_free_clip_says_nothing_of_the_price() -> None:
    """A promotion's three clips for nothing would else make the night an estimate of $0."""
    tariff = PriceBook(Prices())
    charged(tariff, 0, 0, 0, 0)
    assert tariff.quote("wan-2.5-t2v", PARAMS).source is PriceSource.TABLE


def test_a_new_price_is_learned_within_a_few_dozen_clips() -> None:
    """What was charged a thousand clips ago says little of tonight."""
    tariff = PriceBook(Prices(), {WANTED.price_class: [625_000] * 1000})
    assert tariff.quote("wan-2.5-t2v", PARAMS).charges == 50
    charged(tariff, *[800_000] * 26)
    assert tariff.estimate(WANTED) == 800_000


def test_an_unknown_charge_teaches_nothing() -> None:
    """None is not 0."""
    tariff = PriceBook(Prices())
    charged(tariff, None, None, None)
    assert tariff.quote("wan-2.5-t2v", PARAMS).source is PriceSource.TABLE


def test_a_renewed_link_is_no_second_charge() -> None:
    """One clip with three links was charged once."""
    tariff = PriceBook(Prices())
    charged(tariff, 800_000)
    clip: Clip = Clip(1, WANTED)
    again: list[Event] = [Generated("https://f.example/b", at, 800_000) for at in (9.0, 10.0, 11.0)]
    for event in [SubmitStarted(1.0), Submitted("r", 1.0), *again]:
        clip = advance(clip, event)
        tariff.learn(clip, event)
    assert tariff.quote("wan-2.5-t2v", PARAMS).charges == 2


def test_a_lost_clip_that_was_charged_teaches_its_price() -> None:
    """It was paid for all the same."""
    tariff = PriceBook(Prices())
    for row in range(3):
        clip = advance(advance(Clip(row, WANTED), SubmitStarted(1.0)), Submitted("r", 1.0))
        tariff.learn(advance(clip, Lost("gone", cost=800_000)), Lost("gone", cost=800_000))
    assert tariff.estimate(WANTED) == 800_000
