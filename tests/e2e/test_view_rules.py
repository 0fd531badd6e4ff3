"""The rules of the views, in a browser: frames, axes, differences, tournament, order, swipes, sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from browsing import Served, opened
from film_batch import TAKES, make
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.real_time]


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for all rules: none of them changes it."""
    films = dict.fromkeys(("dawn_1", "dawn_2", "dawn_3", "dawn_4"), b"")
    with (
        closing(Served(make(tmp_path_factory.mktemp("rules"), TAKES, films))) as server,
        opened(browser, server.url) as page,
    ):
        yield page


def rule(page: Page, module: str, script: str) -> Any:
    """Evaluate an expression with a module of the page as `it`."""
    return page.evaluate(f"async () => {{ const it = await import('/assets/{module}.js'); return {script}; }}")


CLIPS = """const clip = (name, city, time, take, more = {}) => ({
  key: name, name, prompt_id: `p-${city}`, group: 'p', take, order: 0, cell: {city, time}, model: 'wan', size: '832*480',
  prompt: `In ${city} at ${time}`,
  seed: take, state: 'done', file: `${name}.mp4`, flags: [], check: {}, cost_usd: '0.25', ...more,
  choice: {pick: 0, stars: 0, order: null, ...more.choice} });"""


def with_clips(page: Page, module: str, script: str) -> Any:
    """Evaluate statements with `clip(name, city, time, take, more)` that makes one."""
    return page.evaluate(f"async () => {{ const it = await import('/assets/{module}.js'); {CLIPS} {script} }}")


# --- frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "fps"),
    [("24", 24), ("'24/1'", 24), ("'30000/1001'", 30000 / 1001), ("30", 30), ("null", 24), ("0", 24), ("'x/0'", 24)],
)
def test_the_rate_of_a_film_is_read_from_its_facts(page: Page, got: str, fps: float) -> None:
    assert rule(page, "frames", f"it.fpsOf({{got: {{fps: {got}}}}})") == fps


@pytest.mark.parametrize("fps", ["24", "25", "30", "30000/1001", "60"])
def test_a_seek_to_the_middle_of_a_frame_is_read_as_that_frame(page: Page, fps: str) -> None:
    """As Firefox reports it (the time that was asked for), and as Chromium does (the frame's own, rounded down)."""
    frames = "Array.from({length: 300}, (_, frame) => frame)"
    wrong = f"{frames}.filter(frame => it.frameAt(it.middleOf(frame, {fps}), {fps}) !== frame)"
    assert rule(page, "frames", wrong) == []
    wrong = f"{frames}.filter(frame => it.frameAt(Math.floor(frame / ({fps}) * 1e6) / 1e6, {fps}) !== frame)"
    assert rule(page, "frames", wrong) == []


def test_a_frame_outside_of_the_film_is_its_first_or_last(page: Page) -> None:
    assert rule(page, "frames", "[-5, 0, 119, 120, 500].map(frame => it.withinFilm(frame, 120))") == [
        0,
        0,
        119,
        119,
        119,
    ]
    assert rule(page, "frames", "[it.frameCount(5.04, 24), it.frameCount(NaN, 24), it.timecode(84, 24)]") == [
        121,
        1,
        "03:12",
    ]


# --- one clock ----------------------------------------------------------------------------------------------------


def test_only_a_film_that_is_more_than_two_frames_off_is_sent_after_the_others(page: Page) -> None:
    assert rule(page, "clock", "it.offBy([1, 1 + 2 / 24, 1 - 2 / 24], 24)") == []
    assert rule(page, "clock", "it.offBy([1, 1 + 3 / 24, 1, 1 - 3 / 24], 24)") == [1, 3]


@pytest.mark.parametrize(
    ("aspects", "size", "columns"),
    [
        ([16 / 9] * 2, (1400, 700), 2),
        ([16 / 9] * 2, (390, 600), 1),
        ([16 / 9] * 4, (1400, 800), 2),
        ([9 / 16] * 4, (1400, 700), 4),
    ],
)
def test_tiles_are_laid_out_so_that_films_are_largest(
    page: Page, aspects: list[float], size: tuple[int, int], columns: int
) -> None:
    assert rule(page, "compare", f"it.bestColumns({aspects}, {size[0]}, {size[1]})") == columns


# --- what differs -------------------------------------------------------------------------------------------------


def test_only_fields_that_differ_are_listed(page: Page) -> None:
    script = """const clips = [clip('a', 'Tokyo', 'dawn', 1), clip('b', 'Tokyo', 'dusk', 2)];
      return it.differing(clips, OPTIONS).map(({label, values}) => [label, values]);"""
    found = with_clips(page, "differing", script.replace("OPTIONS", "{}"))
    assert found == [
        ["Prompt", ["In Tokyo at dawn", "In Tokyo at dusk"]],
        ["time", ["dawn", "dusk"]],
        ["Take", ["1", "2"]],
        ["Seed", ["1", "2"]],
    ]
    blind = with_clips(page, "differing", script.replace("OPTIONS", "{blind: true}"))
    assert [label for label, _ in blind] == ["Prompt", "time"], "take, seed and model give away which is which"


# --- tournament -----------------------------------------------------------------------------------------------------


def test_n_takes_need_one_decision_less_and_the_winner_stays_on_the_left(page: Page) -> None:
    script = """(() => { const game = new it.Tournament(['a', 'b', 'c', 'd']); const pairs = [];
      for (const side of ['right', 'left', 'left']) { pairs.push(game.pair); game.keep(side); }
      return [pairs, game.pair, game.winner, game.progress]; })()"""
    assert rule(page, "tournament", script) == [[["a", "b"], ["b", "c"], ["b", "d"]], None, "b", {"made": 3, "of": 3}]


def test_a_decision_of_a_tournament_can_be_taken_back(page: Page) -> None:
    script = """(() => { const game = new it.Tournament(['a', 'b']); game.keep('right'); const won = game.winner;
      return [won, game.undo(), game.pair, game.winner, game.undo()]; })()"""
    assert rule(page, "tournament", script) == ["b", True, ["a", "b"], None, False]


def test_shuffling_keeps_every_clip(page: Page) -> None:
    assert rule(page, "tournament", "it.shuffled(['a', 'b', 'c', 'd'], () => 0)") == ["b", "c", "d", "a"]


# --- matrix -----------------------------------------------------------------------------------------------------


def test_cells_have_their_takes_with_the_best_on_top(page: Page) -> None:
    script = """const clips = [clip('a', 'Tokyo', 'dawn', 1), clip('b', 'Tokyo', 'dawn', 2, {choice: {stars: 3}}),
        clip('c', 'Tokyo', 'dawn', 3, {choice: {pick: 1}}), clip('d', 'Tokyo', 'dawn', 4, {choice: {pick: -1}}),
        clip('e', 'Oslo', 'dusk', 1)];
      const [city, time] = it.axesOf([], clips);
      const lines = it.table(clips, time, city, {});
      return lines.map(line => line.map(cell => cell.clips.map(({name}) => name).join('')));"""
    assert with_clips(page, "axes", script) == [["cbad", ""], ["", "e"]]


def test_a_third_axis_chooses_which_clips_the_table_has(page: Page) -> None:
    script = """const one = (model, city, time) => clip(`${model}${city}${time}`, city, time, 1, {model});
      const times = (model, city) => ['dawn', 'dusk'].map(time => one(model, city, time));
      const clips = ['wan', 'seed'].flatMap(model => ['Tokyo', 'Oslo'].flatMap(city => times(model, city)));
      const axes = it.axesOf([], clips);
      const cells = it.table(clips, axes[0], axes[1], {model: 'seed'}).flat();
      return [axes.map(({name}) => name), cells.map(({clips}) => clips.map(({name}) => name).join())];"""
    names, cells = with_clips(page, "axes", script)
    assert names == ["city", "time", "model"]
    assert cells == ["seedTokyodawn", "seedTokyodusk", "seedOslodawn", "seedOslodusk"]


def test_a_batch_without_a_matrix_has_prompts_by_takes(page: Page) -> None:
    script = """const one = (id, take) => clip(id + take, '', '', take, {cell: {}, prompt_id: id, group: id});
      const clips = [1, 2].flatMap(take => ['a', 'b'].map(id => one(id, take)));
      return it.axesOf([], clips).map(({name, values}) => [name, values]);"""
    assert with_clips(page, "axes", script) == [["prompt", ["a", "b"]], ["take", ["1", "2"]]]


def test_a_cell_without_a_film_says_why(page: Page) -> None:
    script = """const without = (state, reason) => clip('b', '', '', 1, {file: null, state, reason});
      const words = {pending: 'not made yet'};
      const all = [undefined, clip('a', '', '', 1), without('pending', ''), without('failed', 'refused')];
      return all.map(each => it.missing(each, words));"""
    assert with_clips(page, "axes", script) == ["not in the manifest", "", "not made yet", "refused"]


# --- how many films play ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "playing", "total", "dropped", "then"),
    [
        (6, 6, 300, 8, 7),  # under 3 % dropped: one more may play
        (6, 6, 300, 9, 5),  # 3 %: too many
        (6, 3, 300, 0, 6),  # fewer play than may: nothing is known of more
        (12, 4, 300, 100, 3),  # what plays is already too much
        (2, 2, 300, 300, 2),
        (24, 24, 900, 0, 24),
        (6, 6, 29, 29, 6),  # too short to say
    ],
)
def test_as_many_films_play_as_the_machine_carries(
    page: Page, cap: int, playing: int, total: int, dropped: int, then: int
) -> None:
    assert rule(page, "player", f"it.nextCap({cap}, {playing}, {total}, {dropped})") == then


@pytest.mark.parametrize(
    ("flag", "badge"),
    [
        ("silent", "silent"),
        ("cut", "hard cut"),
        ("near_duplicate:dawn_1", "like take 1"),
        ("near_duplicate:a:b", "like a:b"),
    ],
)
def test_a_card_has_its_flags_in_words(page: Page, flag: str, badge: str) -> None:
    assert rule(page, "words", f"it.flagBadge({flag!r}, {{prompt_id: 'dawn'}})") == badge


# --- order of the picks -------------------------------------------------------------------------------------------


def test_a_move_between_numbered_picks_changes_one_of_them(page: Page) -> None:
    script = """const pick = (order, index) => clip(`c${index}`, '', '', index, {choice: {pick: 1, order}});
      const clips = [1000, 2000, 3000].map(pick);
      return [...it.renumbered(it.moved(clips, 2, 1), 1)];"""
    assert with_clips(page, "order", script) == [["c2", 1500]]


@pytest.mark.parametrize("orders", ["[null, null, null]", "[1, 2, 3]"])
def test_where_there_is_no_room_all_are_numbered(page: Page, orders: str) -> None:
    script = f"""const pick = (order, index) => clip(`c${{index}}`, '', '', index, {{choice: {{pick: 1, order}}}});
      const clips = {orders}.map(pick);
      const wanted = it.moved(clips, 2, 1); const numbers = it.renumbered(wanted, 1);
      for (const each of wanted) each.choice.order = numbers.get(each.key) ?? each.choice.order;
      return it.picksInOrder(clips).map(({{key}}) => key);"""
    assert with_clips(page, "order", script) == ["c0", "c2", "c1"]


def test_picks_without_a_number_come_last_and_what_has_no_film_not_at_all(page: Page) -> None:
    script = """const pick = (name, order, more = {}) => clip(name, '', '', 1, {choice: {pick: 1, order}, ...more});
      const none = {file: null};
      const clips = [pick('a', null), pick('b', 5), clip('c', '', '', 1), pick('d', null, none), pick('e', null)];
      return it.picksInOrder(clips).map(({key}) => key);"""
    assert with_clips(page, "order", script) == ["b", "a", "e"]


# --- touch, zoom, sums ------------------------------------------------------------------------------------------------


def test_a_swipe_is_long_and_straight(page: Page) -> None:
    moves = "[[90, 5], [-90, 10], [4, -80], [0, 80], [40, 0], [80, 70], [0, 0]]"
    assert rule(page, "touch", f"{moves}.map(([dx, dy]) => it.swipeOf(dx, dy))") == [
        "right",
        "left",
        "up",
        "down",
        None,
        None,
        None,
    ]


def test_at_full_size_a_pixel_of_the_film_is_one_of_the_screen(page: Page) -> None:
    film = "{videoWidth: 832, videoHeight: 480}"
    assert rule(page, "zoom", f"it.fullScale({film}, {{width: 416, height: 480}})") == 2
    assert rule(page, "zoom", f"it.fullScale({film}, {{width: 416, height: 480}}, 2)") == 1
    assert rule(page, "zoom", f"it.fullScale({film}, {{width: 4000, height: 480}})") == 1


def test_drafting_pays_only_up_to_some_final_takes(page: Page) -> None:
    """60 drafts at $0.3125, finals at $0.9375: the figures of two price classes of Wan 2.5."""
    sums = "[24, 40, 41].map(finals => it.draftSum({spent: 18750000, made: 60, finals, price: 937500}))"
    found = rule(page, "draft_sum", sums)
    assert found[0] == {"finals": 22_500_000, "together": 41_250_000, "straight": 56_250_000, "worthUpTo": 40}
    assert found[1]["together"] == found[1]["straight"]
    assert found[2]["together"] > found[2]["straight"]


def test_an_answer_in_words_for_each_kind_of_line(page: Page) -> None:
    lines = "[{kind: 'takes', count: 1}, {kind: 'edit', count: 4}, {kind: 'final', count: 2, size: '1920*1080'}]"
    assert rule(page, "cart", f"{lines}.map(line => it.lineWords(line, 'dawn_1'))") == [
        "dawn_1: 1 more take",
        "dawn_1, edited prompt: 4 new takes",
        "dawn_1 at 1920*1080: 2 new takes",
    ]
