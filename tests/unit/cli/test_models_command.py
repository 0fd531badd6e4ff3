"""`batchgen models`: what is known of models, and the service's catalogue as a file; on loopback, never by a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen import load
from batchgen.cli import cli
from batchgen.errors import BatchgenError
from batchgen.planning.inputs import plan_folder
from batchgen.providers.models import Catalogue, find, known_names
from batchgen.providers.models.model_file import read_model
from batchgen.providers.models.pulled import CatalogueError, file_of
from batchgen.settings import Settings
from batchgen.views.plan import plan_object, plan_text

SCHEMA = {
    "type": "object",
    "required": ["prompt", "seconds"],
    "properties": {
        "prompt": {"type": "string", "description": "What it shows."},
        "seconds": {"type": "integer", "enum": [5, 10], "default": 5},
        "strength": {"type": "number", "minimum": 0, "maximum": 1.5},
        "loop": {"type": "boolean"},
        "first_image": {"type": "string", "format": "uri"},
        "ratio": {"type": "string", "enum": ["16:9", "9:16"]},
        "odd": {"type": "integer", "enum": ["a", None]},
    },
}
ENTRY = {
    "slug": "new-model",
    "type": "textToVideo",
    "title": "New",
    "is_depreciated": False,
    "parameters_schema": SCHEMA,
}
#: The envelopes that have been seen, or are assumed by the vendor's SDK and by other programs.
ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "as the vendor's SDK is tested with": lambda entries: {"data": entries},
    "as other programs read it": lambda entries: {"Inference Segmind Model Information List With Details": entries},
    "bare": lambda entries: entries,
}


def ran(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(cli, ["models", *args, "--jobs", str(folder)])


@contextmanager
def serving(body: bytes, status: int = 200) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve one answer on loopback; give its address, and the headers of every request."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/list", asked
        finally:
            server.shutdown()
            thread.join()


# --- list and show --------------------------------------------------------------------------------------


def test_every_known_model_is_listed_as_a_line_and_as_an_object(tmp_path: Path) -> None:
    """What nobody published is null, and never 0."""
    rows = json.loads(ran(tmp_path, "--json").stdout)["models"]
    lines = ran(tmp_path).stdout.splitlines()
    assert [row["slug"] for row in rows] == [line.split()[0] for line in lines[1 : 1 + len(rows)]] == [*known_names()]
    by_slug = {row["slug"]: row for row in rows}
    assert by_slug["wan-2.5-t2v"]["usd_low"] == 0.3125
    assert (by_slug["seedream-4.5"]["kind"], by_slug["seedream-4.5"]["usd_low"]) == ("image", None)
    assert by_slug["wan-2.6-i2v"]["inputs"] == ["text", "image", "audio"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("slug", known_names())
def test_one_model_is_shown_with_all_of_its_facts(tmp_path: Path, slug: str) -> None:
    """Each parameter with what is allowed, each price, and where it all comes from."""
    model = find(slug)
    assert model is not None
    text, found = ran(tmp_path, slug).stdout, json.loads(ran(tmp_path, slug, "--json").stdout)
    assert [each["name"] for each in found["parameters"]] == [*model.parameters]
    assert len((found["prices"] or {"usd": []})["usd"]) == (len(model.table.prices) if model.table else 0)
    assert (found["sources"], found["as_of"], found["from"]) == ([*model.sources], str(model.as_of), "built in")
    for word in (*model.parameters, str(model.as_of)):
        assert word in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["wan-2.5-tv"], "did you mean wan-2.5-t2v?"),
        (["nothing-like-it"], "batchgen models pull nothing-like-it"),
        (["pull"], "name the model to pull"),
        (["a", "b"], "name one model"),
        (["pull", "../x"], "can't be a model's name"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(tmp_path: Path, args: list[str], said: str) -> None:
    """And with where to look for it."""
    result = ran(tmp_path, *args)
    error = result.exception
    assert said in (f"{error} {error.tip}" if isinstance(error, BatchgenError) else result.output)


def test_the_shell_completes_models_and_pull() -> None:
    """Nobody remembers a slug."""
    complete = ShellComplete(cli, {}, "batchgen", "_X")
    assert [each.value for each in complete.get_completions(["models"], "veo")] == ["veo-3.1-fast"]
    assert [each.value for each in complete.get_completions(["models"], "pu")] == ["pull"]
    assert not complete.get_completions(["models", "pull"], "pu")


# --- pull -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_pulled_model_is_a_dated_file_that_counts(tmp_path: Path, envelope: str) -> None:
    """What the catalogue says is checked before anything is spent; what it does not say is not."""
    body = json.dumps(ENVELOPES[envelope]([{"slug": "other"}, ENTRY])).encode()
    with serving(body) as (url, asked):
        result = ran(tmp_path, "pull", "new-model", "--catalogue-url", url, "--json")
        assert ran(tmp_path, "pull", "new-model", "--catalogue-url", url).exit_code != 0  # a person may have edited it
    assert result.exit_code == 0, result.output
    assert len(asked) == 1
    assert "x-api-key" not in asked[0]
    model = Catalogue(tmp_path / "models").find("new-model")
    assert model is not None
    kinds = {name: (each.type, each.values, each.required) for name, each in model.parameters.items()}
    assert kinds == {
        "prompt": ("any", None, True),
        "seconds": ("whole", (5, 10), True),
        "strength": ("number", None, False),
        "loop": ("switch", None, False),
        "first_image": ("any", None, False),
        "ratio": ("text", ("16:9", "9:16"), False),
        "odd": ("whole", None, False),
    }
    assert (model.parameters["strength"].high, model.defaults, model.complete) == (1.5, {}, False)
    assert json.loads(result.stdout)["age_days"] == 0
    (tmp_path / "night.yaml").write_text("model: new-model\nprompts:\n  - {prompt: a, seconds: 7}\n")
    with pytest.raises(BatchgenError, match="seconds can't be 7: write 5 or 10"):
        load(tmp_path / "night.yaml")


def test_what_a_built_in_file_knows_beyond_the_catalogue_is_kept(tmp_path: Path) -> None:
    """Prices, limits of texts and sound, and the defaults that are sent."""
    entry = {"slug": "wan-2.5-t2v", "parameters": {"prompt": "a", "camera": "b"}}
    with serving(json.dumps({"data": [entry]}).encode()) as (url, _):
        assert ran(tmp_path, "pull", "wan-2.5-t2v", "--catalogue-url", url).exit_code == 0
    model, known = Catalogue(tmp_path / "models").find("wan-2.5-t2v"), find("wan-2.5-t2v")
    assert model is not None
    assert known is not None
    assert (model.table, dict(model.defaults), model.text_limits) == (known.table, known.defaults, known.text_limits)
    assert model.parameters["camera"].type == "any"
    assert model.as_of > known.as_of


def test_prices_of_a_pulled_file_are_as_old_as_they_were() -> None:
    """The catalogue has none."""
    entry = {"slug": "wan-2.5-t2v", "parameters": {"prompt": "a"}}
    model, known = read_model(file_of([entry], "wan-2.5-t2v", "x", date(2027, 3, 1)), "x"), find("wan-2.5-t2v")
    assert known is not None
    assert (model.price_note, model.as_of) == (known.price_note, date(2027, 3, 1))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"<html>", 200, "its answer is no JSON"),
        (b"{}", 500, "HTTP 500"),
        (b"[1, 2", 200, "its answer is no JSON"),
        (b"{}", 200, "has no list of models"),
        (b'{"data": [{"slug": "new-modle"}]}', 200, "did you mean new-modle?"),
        (b'{"data": [{"slug": "new-model", "is_depreciated": true}]}', 200, "is retired"),
        (b'{"data": [{"slug": "new-model"}]}', 200, "does not say whether"),
        (b'{"data": [{"slug": "new-model", "type": "textToVideo", "parameters_schema": {}}]}', 200, "says nothing of"),
    ],
)
def test_a_catalogue_of_another_shape_is_a_clear_error(tmp_path: Path, body: bytes, status: int, said: str) -> None:
    """Its host is not documented: it may change on any day. Nothing is written."""
    with serving(body, status) as (url, _):
        error = ran(tmp_path, "pull", "new-model", "--catalogue-url", url).exception
    assert isinstance(error, BatchgenError)
    assert said in f"{error} {error.tip}"
    assert not (tmp_path / "models").exists()


_NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["string", "integer", "number", "boolean", "textToVideo", "16:9"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*ENTRY, *SCHEMA, "enum", "minimum", "maximum", "x"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@fuzz(60)
@given(st.dictionaries(st.sampled_from([*ENTRY]), _NOISE), _NOISE, st.sampled_from(["new-model", "wan-2.5-t2v"]))
def test_noise_in_the_catalogue_is_an_error_or_a_sound_file(entry: dict[str, Any], schema: object, slug: str) -> None:
    """Never a crash, and never a file that a run can't read."""
    answer = {"x": {"y": [None, entry, {**entry, "slug": slug, "parameters_schema": schema}]}}
    try:
        text = file_of(answer, slug, "noise", date(2026, 11, 28))
    except CatalogueError:
        return
    assert read_model(text, "x.json").slug == slug


# --- a file in place of the built-in one ----------------------------------------------------------------


def own(folder: Path, slug: str, **changes: object) -> None:
    """Write a model's file next to a manifest."""
    data: dict[str, Any] = {
        "slug": slug,
        "kind": "video",
        "as_of": "2026-11-01",
        "sources": ["a person"],
        "complete": False,
        "parameters": {"prompt": {"type": "text", "description": "."}, **changes},
    }
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / f"{slug}.json").write_text(json.dumps(data))


NUMBER = {"type": "any", "description": "."}


@pytest.mark.parametrize("slug", ["wan-2.5-t2v", "veo-3.1-fast", "nobody-knows-it"])
def test_no_key_changes_with_a_file(tmp_path: Path, slug: str) -> None:
    """A finished batch would be paid for again by whoever pulls a model, or removes its file."""
    (tmp_path / "rows.csv").write_text("prompt,seed,duration\nrain,7,10\n")
    text = f"model: {slug}\nprices: {{{slug}: 1}}\nprompts:\n  - file: rows.csv\n"
    (tmp_path / "night.yaml").write_text(text.replace("10", "8") if slug == "veo-3.1-fast" else text)
    if slug == "veo-3.1-fast":
        (tmp_path / "rows.csv").write_text("prompt,seed,duration\nrain,7,8\n")
    before = load(tmp_path / "night.yaml").wanted[0].key
    own(tmp_path, slug, duration={"type": "text", "description": "."}, size=NUMBER)
    assert load(tmp_path / "night.yaml").wanted[0].key == before


@pytest.mark.parametrize(
    ("slug", "changes", "said"),
    [
        (
            "veo-3.1-fast",
            {"duration": {"type": "whole", "default": 8, "description": "."}},
            "only a built-in model has",
        ),
        (
            "wan-2.5-t2v",
            {"duration": {"type": "whole", "default": 10, "description": "."}},
            "only a built-in model has",
        ),
        ("new", {"x": {"type": "odd", "description": "."}}, "parameters.x.type: this must be one of"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_fault_of_the_manifest_that_needs_it(
    tmp_path: Path, slug: str, changes: dict[str, object], said: str
) -> None:
    """A default is left out of keys, so it can't come and go with a file. Other manifests are not concerned."""
    own(tmp_path, slug, **changes)
    (tmp_path / "night.yaml").write_text(f"model: {slug}\nprices: {{{slug}: 1}}\nprompts: [a]\n")
    with pytest.raises(BatchgenError, match=said):
        load(tmp_path / "night.yaml")
    (tmp_path / "night.yaml").write_text("model: seedance-2.0-mini\nprompts: [a]\n")
    assert load(tmp_path / "night.yaml").wanted
    assert json.loads(ran(tmp_path, "--json").stdout)["faults"][0]["slug"] == slug


def test_adding_a_model_is_adding_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """List, completion, check, price, run time, takes and the editor's schema follow from that file alone."""
    monkeypatch.chdir(tmp_path)
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "night.yaml").write_text("model: new-model\nprompts:\n  - {prompt: a, duration: 10, takes: 2}\n")
    data = {
        "slug": "new-model",
        "kind": "video",
        "as_of": "2026-11-01",
        "sources": ["a person"],
        "complete": True,
        "parameters": {
            "prompt": {"type": "text", "required": True, "max_chars": 5, "description": "."},
            "duration": {"type": "whole", "values": [5, 10], "description": "Seconds of it."},
            "seed": {"type": "seed", "range": [0, 9], "description": "."},
        },
        "prices": {"axes": ["duration"], "source": "a page", "usd": {"5": 0.1, "10": 0.2}},
        "mean_run_s": 30,
    }
    (jobs / "models").mkdir()
    (jobs / "models" / "new-model.json").write_text(json.dumps(data))
    assert "new-model" in ran(jobs).stdout
    complete = ShellComplete(cli, {}, "batchgen", "_X")
    assert [each.value for each in complete.get_completions(["models"], "new")] == ["new-model"]
    manifest = load(jobs / "night.yaml")
    plan = plan_object(plan_folder(manifest, Settings(), jobs / "night"))
    assert (plan["estimated_usd"], plan["models"][0]["run_s"], plan["unpriced"]) == (0.4, 30.0, 0)
    assert "estimate of 2026-11: a page" in plan["price_source"]
    schema = json.loads(CliRunner().invoke(cli, ["schema"]).stdout)
    assert schema["properties"]["by_model"]["properties"]["new-model"]["properties"]["duration"]["anyOf"][0] == {
        "enum": [5, 10, "5", "10"]
    }
    assert "new-model" in schema["properties"]["model"]["examples"]
    for wrong, said in (
        ("duration: 7", "duration can't be 7: write 5 or 10"),
        ("duraton: 5", "did you mean duration?"),
        ("model: new-modle", "did you mean new-model?"),
    ):
        (jobs / "night.yaml").write_text(f"model: new-model\nprompts:\n  - {{prompt: a, {wrong}}}\n")
        with pytest.raises(BatchgenError) as found:
            load(jobs / "night.yaml")
        assert said in str(found.value)


def test_a_pulled_model_is_in_the_schema_of_the_editor(tmp_path: Path) -> None:
    """Where `init` wrote one."""
    (tmp_path / "batchgen.schema.json").write_text("{}")
    with serving(json.dumps([ENTRY]).encode()) as (url, _):
        ran(tmp_path, "pull", "new-model", "--catalogue-url", url)
    schema = json.loads((tmp_path / "batchgen.schema.json").read_text())
    assert "strength" in schema["properties"]["defaults"]["properties"]


def test_what_is_not_known_of_a_model_is_not_known(tmp_path: Path) -> None:
    """Neither its price nor its run time is 0."""
    own(tmp_path, "new-model")
    found = json.loads(ran(tmp_path, "new-model", "--json").stdout)
    assert [found[name] for name in ("usd_low", "mean_usd", "mean_run_s", "has_seed", "prices")] == [None] * 5
    assert ran(tmp_path, "new-model").stdout.count("not known") == 3


def test_the_plan_says_how_old_a_models_own_file_is(tmp_path: Path) -> None:
    """Prices and limits of another year are no plan."""
    own(tmp_path, "new-model")
    (tmp_path / "night.yaml").write_text("model: new-model\nprices: {new-model: 1}\nprompts: [a]\n")
    plan = plan_folder(load(tmp_path / "night.yaml"), Settings(), tmp_path / "night")
    [found] = plan_object(plan)["models"]
    assert (found["model"], found["as_of"], found["from"]) == ("new-model", "2026-11-01", "models/new-model.json")
    assert found["age_days"] >= 27
    assert "models/new-model.json" in plan_text(plan)
