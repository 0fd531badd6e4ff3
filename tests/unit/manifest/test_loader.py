"""The manifest: what a writer of YAML is promised."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchgen.billing.budget import Caps
from batchgen.errors import ManifestError
from batchgen.manifest import Manifest, json_schema, load, template
from batchgen.settings import merge
from batchgen.window import Window

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, **files: str) -> Path:
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content, encoding="utf-8", newline="")
        path = tmp_path / "night.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def faults_of(path: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(path)
    return [str(fault).removeprefix(f"{path.parent}/") for fault in caught.value.faults]


def sent(manifest: Manifest) -> list[dict[str, Any]]:
    return [json.loads(wanted.params) for wanted in manifest.wanted]


def test_every_parameter_is_sent_so_that_the_services_defaults_never_apply(write: Write) -> None:
    """Left out, the service would use seed 42 and the negative prompt "No rainy scenes."."""
    [params] = sent(load(write("prompts: [rain]\n")))
    assert set(params) == {"prompt", "negative_prompt", "size", "duration", "enable_prompt_expansion", "seed"}
    assert params["negative_prompt"] == ""
    assert params["seed"] != 42


def test_all_faults_come_at_once_each_with_its_place_and_how_to_fix_it(write: Write) -> None:
    """A night can't be fixed one fault a try."""
    path = write(
        "modle: x\nlimits: {in_flight: 0}\nprompts:\n  - {prompt: a, duration: 7}\n"
        "  - {prompt: b, promt: c}\n  - 5\n  - '{{ ctiy }}'\n  - {file: nope.csv}\n"
    )
    assert faults_of(path) == [
        "night.yaml:1:1: unknown key modle: did you mean model?",
        "night.yaml:2:21: limits.in_flight can't be 0: write 1 or more",
        "night.yaml:4:27: duration can't be 7: write 5 or 10 (seconds)",
        "night.yaml:5:24: unknown parameter promt: did you mean prompt? (or write it under extra:, unchecked)",
        "night.yaml:6:5: prompt 3 must be a text, not 5: write it in quotes if it looks like something else",
        "night.yaml:7:5: prompt: '{{ ctiy }}': 'ctiy' is undefined: known variables: none",
        "night.yaml:8:12: nope.csv: there is no such file: check the name; paths start at the manifest's folder",
    ]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("", "night.yaml: the manifest is empty"),
        ("- a\n", "1:1: the manifest is not a mapping"),
        ("prompts: []\n", "1:10: prompts is empty"),
        ("name: a\n", "prompts is missing"),
        ("prompts: [a]\n---\nb: 1\n", "2:1: there are several documents"),
        ("prompts:\n\t- a\n", "2:1: this line is indented with a tab: indent with spaces"),
        ("prompts:\n  - prompt: She yells: hi\n", "2:22: a text with “: ” in it"),
        ("prompts:\n  - prompt: {{ x }} y\n", "quote the text"),
        ("prompts:\n  - prompt: @x\n", "2:13: a text can't begin with @"),
        ("prompts: [a]\nname: x\nname: y\n", "3:1: name is written twice, first on line 2"),
        ("prompts:\n  - &brand run\n", "2:5: a prompt can't have an anchor"),
        ("vars: {a: &x hi}\nprompts:\n  - *x\n", "a prompt can't have an anchor"),
        ("prompts:\n  - !wow hi\n", "2:5: a prompt can't have an anchor"),
        ("prompts: [a]\nvars: &a {b: *a}\n", "an anchor contains itself"),
        ("prompts: " + "[" * 300_000, "nested over 100 deep"),
        ("a: " + "{b: " * 3000 + "}" * 3000, "nested over 100 deep"),
        ("a: " + "{b: [" * 200 + "]}" * 200, "nested over 100 deep"),
        ("defaults: {model: y}\nprompts: [a]\n", "1:19: model is not allowed under defaults"),
        ("prompts: [a]\nvars: {? [x] : y}\n", "a key must be a text"),
        ("prompts: ['a\x01']\n", "1:13: a control character"),
        ("prompts:\n  - {prompt: a, seed: 2147483648}\n", "2:23: a seed can't be '2147483648'"),
        ("prompts:\n  - {prompt: a, seed: 5, takes: 2}\n", "one seed for 2 takes"),
        ("prompts:\n  - {prompt: a, seeds: [5, 5]}\n", "seed 5 is given twice"),
        ("prompts:\n  - {prompt: a, takes: 1001}\n", "takes can't be 1001"),
        ("prompts:\n  - {prompt: a, priority: 1.5}\n", "priority can't be 1.5"),
        ("prompts:\n  - {prompt: ' '}\n", "prompt is empty"),
        ("prompts:\n  - {prompt: a, enable_prompt_expansion: no}\n", "write true or false"),
        ("prompts:\n  - {prompt: a, extra: {size: 1}}\n", "write size: next to extra:"),
        ("prompts: [a]\nwindow: {start: 9pm}\n", "'9pm' is not a time of day"),
        ("prompts: [a]\nwindow:\n", "window has no value, so it would never close"),
        ("prompts: [a]\nwindow: {start: , stop_submitting: 06:30}\n", "window.start has no value"),
        ("prompts: [a]\nwindow: {start: 22:00}\n", "window has a start and no end: write stop_submitting"),
        ("prompts: [a]\nwindow: {days: [fri, someday]}\n", "'someday' is not a day of the week: write one of mon"),
        ("prompts: [a]\nwindow: {days: []}\n", "window.days is empty"),
        ("prompts: [a]\nwindow: {days: fri}\n", "window.days must be a list"),
        ("prompts: [a]\nwindow: {timezone: Europe/Berlni}\n", "not known on this machine: did you mean Europe/Berlin"),
        ("prompts: [a]\nwindow: {timezone: ../../etc/passwd}\n", "not known on this machine: write a name"),
        ("prompts: [a]\nnotify: ['http://example.com/x']\n", "over http can be read"),
        ("prompts: [a]\nbudget: {max_usd: .inf}\n", "not an amount of USD"),
        ("prompts: [a]\nname: ../x\n", "can't be a folder's name"),
        ("prompts: [a]\nsize: 832*480\n", "write size under defaults:"),
        ("matrix: {a: [1], exclude: [{a: 2}]}\nprompts: [a]\n", "1:32: exclude: no cell has a: 2"),
        ("matrix: {a: [1], exclude: [{a: 1}]}\nprompts: [a]\n", "exclude removes every cell"),
        ("matrix: {a: 1}\nprompts: [a]\n", "matrix.a must be a list, not 1: write [a, b]"),
        ("prompts:\n  - {id: x, prompt: a}\n  - {id: x, prompt: b}\n", "3:5: the id x is also that of"),
        ("prompts: [a, b]\noutput: {name: same}\n", "the file name same is also that of"),
        ("prompts:\n  - fle: shots.csv\n", "2:5: prompt 1: unknown key fle: write - file: shots.csv"),
        ("prompts: [a]\noutput: {name: '{{ nope }}'}\n", "2:16: output name: '{{ nope }}': 'nope' is undefined"),
    ],
)
def test_one_clear_fault_with_its_place(write: Write, text: str, sign: str) -> None:
    """Each of these was a silent change or a traceback somewhere."""
    assert any(sign in fault for fault in faults_of(write(text))), faults_of(write(text))


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ('prompts:\n  - a\n  - "Run!" she yells\n', "3:5: a text that begins with a quote ends at the next one"),
        ("prompts:\n  - prompt: 'don't do it'\n", "2:13: a text that begins with a quote ends at the next one"),
        ("prompts:\n  - {a|b} car\n", "2:5: a text that begins with { is read as a mapping: quote the text"),
        ("prompts:\n  - {{ city }} at dawn\n", "2:5: a text that begins with { is read as a mapping"),
        ("prompts:\n  - [x] y\n", "2:5: a text that begins with [ is read as a list"),
        ("prompts:\n  - *b* c\n", "2:5: a text that begins with * is read as an alias"),
        ("prompts:\n  - & b\n", "2:5: a text that begins with & is read as an anchor"),
        ("prompts:\n  - > 5 cars\n", "2:5: a text that begins with > is read as a block"),
        ("prompts:\n  - % off\n", "2:5: a text can't begin with %"),
        ("prompts:\n  - Scene: a cat\n", "2:5: prompt 1: a text with “: ” in it is read as a mapping: quote"),
        ("prompts:\n  - Scene: a: b\n", "2:13: a text with “: ” in it looks like a mapping"),
        ("prompts:\n  - prompt: a\n\tsize: 832*480\n", "3:1: this line is indented with a tab"),
        ("prompts:\n  - \ta\n", "2:5: a tab stands before a value"),
        ("prompts:\n    - a\n   - b\n", "3:4: this line is indented by 3 spaces, and the list above it by 4"),
        (
            "prompts:\n  - prompt: a\n   size: 832*480\n",
            "3:4: this line is indented by 3 spaces, and the line",
        ),
        ("prompts:\n  - prompt: a\n     size: 832*480\n", "3:6: this line is indented by 5 spaces, and the line above"),
        ("prompts:\n  - prompt: a\n    size 832*480\n    takes: 2\n", "3:5: a line is neither “key: value”"),
        ('prompts:\n  - "a\n  - b\n', "2:5: a quote that opens here is not closed"),
        ("prompts: [a, b\nname: x\n", "1:10: a [ that opens here is not closed"),
        ("prompts:\n  - promt: A bird\n", "2:5: prompt 1: unknown key promt: did you mean prompt?"),
        ("prompts:\n  - {id: x, text: A bird}\n", "2:13: prompt 1: unknown key text: did you mean prompt?"),
        ("prompts:\n  - {size: 832*480}\n", "2:5: prompt 1 has no prompt: add prompt:"),
        ("prompts:\n  - # a note\n", "prompt 1 is empty: write a text; a # begins a comment"),
        ("prompts:\n  -a\n", "2:3: prompts must be a list, not '-a': write a space after each -"),
        ("name: x\nprompts:\n", "prompts is missing"),
        ("prompt: [a]\n", "1:1: unknown key prompt: did you mean prompts?"),
        ("budget: 20\nprompts: [a]\n", "1:9: budget must be a mapping, not 20: write budget: {max_usd: 20}"),
        ('prompts:\n  - "a\\ud83db"\n', "2:9: this escape is half of a character"),
        ("prompts:\r  - a\r  - @b\r", "3:5: a text can't begin with @"),
        ("prompts:\n  - a\u2028b\n  - @c\n", "2:7: a line is neither"),
        ('prompts: ["a\u2028b", {prompt: c, takes: 0}]\n', "1:37: takes can't be 0"),
    ],
)
def test_the_real_cause_of_a_mistake_is_named_once_at_its_place(write: Write, text: str, sign: str) -> None:
    """The parser names the token where it gave up; the writer needs the quote that is missing."""
    [fault] = faults_of(write(text))
    assert sign in fault


def test_a_fault_that_hides_others_says_so(write: Write) -> None:
    """Only the parser's first error can be known."""
    assert faults_of(write("prompts:\n  - @a\n  - @b\n"))[0].endswith("(fix this first, there may be more)")


def test_characters_that_json_writes_as_two_escapes_are_read(write: Write) -> None:
    """`json.dumps` writes emoji so; in single quotes nothing is an escape."""
    text = '{"prompts": ["a \\ud83d\\ude80", "b \\\\ud83d\\\\ude80"]}'
    assert [params["prompt"] for params in sent(load(write(text)))] == ["a 🚀", "b \\ud83d\\ude80"]


def test_faults_carry_their_line_unless_it_may_hold_a_secret(write: Write) -> None:
    """Messages are mailed and pasted."""
    path = write(
        "prompts:\n  - {prompt: a, size: 7}\n  - {prompt: b, size: SG_0123456789abcdef}\nvars: {api_key: sesame}\n"
        "notify: ['ntfy:sesame']\nlimits: {rpm: x}  # https://sesame\n"
    )
    with pytest.raises(ManifestError) as caught:
        load(path)
    assert {fault.source for fault in caught.value.faults} == {"  - {prompt: a, size: 7}", ""}


def test_aliases_that_explode_are_refused(write: Write) -> None:
    """A "billion laughs" file is ten lines long."""
    laughs = "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    path = write(f"vars:\n  a0: &a0 [x]\n{laughs}prompts: [a]\n")
    assert "aliases repeat too much" in faults_of(path)[0]


@pytest.mark.parametrize("raw", [b"\xff\xfea\0", b"a\0b", b"prompts: [\xe9]\n"])
def test_a_file_that_is_no_utf8_text_is_one_fault(tmp_path: Path, raw: bytes) -> None:
    """Excel and Notepad save in other encodings."""
    path = tmp_path / "night.yaml"
    path.write_bytes(raw)
    assert len(faults_of(path)) == 1
    assert len(faults_of(tmp_path)) == len(faults_of(tmp_path / "none.yaml")) == 1


def test_words_that_yaml_would_change_stay_text(write: Write) -> None:
    """YAML 1.1 reads no, 16:9, 0123 and dates as False, 969, 83 and a date."""
    path = write(
        "vars: {a: no, b: 16:9, c: 0123, d: 2026-11-22, e: 0x10}\nprompts: ['{{a}} {{b}} {{c}} {{d}} {{e}}']\n"
    )
    assert sent(load(path))[0]["prompt"] == "no 16:9 0123 2026-11-22 0x10"


def test_an_api_key_is_refused_and_not_shown(write: Write) -> None:
    """A manifest is mailed and committed."""
    secret = "SG_0123456789abcdef"
    path = write(f"vars: {{api_key: {secret}}}\nprompts:\n  - {{prompt: a, size: {secret}}}\n")
    faults = faults_of(path)
    assert any("an API key is written here" in fault for fault in faults)
    assert any("API key must not be" in fault for fault in faults)
    assert secret not in "".join(faults)


def test_a_prompt_that_a_comment_cuts_is_warned_of(write: Write) -> None:
    """`shot #4 of rain` is sent as `shot`."""
    warnings = [str(w) for w in load(write("prompts:\n  - shot #4 of rain\n")).warnings]
    assert len(warnings) == 1
    assert ":2:5: YAML drops '#4 of rain' here" in warnings[0]


def test_texts_that_the_service_cuts_silently_are_warned_of(write: Write) -> None:
    """1500 and 500 characters pass, one more is cut."""
    fine = load(write(f"prompts:\n  - {{prompt: {'a' * 1500}, negative_prompt: {'b' * 500}}}\n"))
    cut = load(write(f"prompts:\n  - {{prompt: {'a' * 1501}, negative_prompt: {'b' * 501}}}\n"))
    assert fine.warnings == []
    assert ["1500" in str(w) or "500" in str(w) for w in cut.warnings] == [True, True]


def test_golden_keys_of_a_manifest_leave_built_in_defaults_out(write: Write) -> None:
    """A default that is written out, or that the API gains, must not buy the clip again."""
    path = write("prompts:\n  - {prompt: rain, seed: 7}\n  - {prompt: rain, seed: 7, size: 832x480}\n")
    assert [wanted.key for wanted in load(path).wanted] == [
        "c1-2577e0f97d0fc82c00d3e120a29736b4",
        "c1-4163273b336d19d1d24e80d69511ea0a",
    ]


def test_two_identical_clips_are_one_with_a_warning_that_names_both(write: Write) -> None:
    """Nobody pays twice for a line copied by accident."""
    manifest = load(write("prompts:\n  - rain\n  - {prompt: rain, size: 1280x720, duration: '5'}\n"))
    assert len(manifest.wanted) == 1
    [warning] = manifest.warnings
    assert (warning.line, ":2:5" in warning.what) == (3, True)


def test_precedence_is_row_prompt_cell_manifest(write: Write) -> None:
    """The nearer to the clip, the stronger."""
    path = write(
        "vars: {a: vars, b: vars, c: vars, d: vars}\nmatrix: {b: [cell], c: [cell], d: [cell]}\n"
        "prompts:\n  - {file: p.csv, vars: {c: prompt, d: prompt}, prompt: '{{a}} {{b}} {{c}} {{d}}'}\n",
        p_csv="d\nrow\n",
    )
    assert sent(load(path))[0]["prompt"] == "vars cell prompt row"


def test_a_matrix_variable_named_as_a_parameter_sets_it(write: Write) -> None:
    """`matrix: {size: [...]}` is what people write first."""
    manifest = load(write("matrix: {size: [832x480, 1920x1080]}\nprompts:\n  - {id: a, prompt: rain}\n"))
    assert [params["size"] for params in sent(manifest)] == ["832*480", "1920*1080"]
    assert [wanted.name for wanted in manifest.wanted] == ["a-832x480_1", "a-1920x1080_1"]
    assert len({params["seed"] for params in sent(manifest)}) == 1


def test_null_takes_a_default_away(write: Write) -> None:
    """A default audio must be avoidable."""
    path = write("defaults: {audio: 'https://h/a.mp3'}\nprompts: [a, {prompt: b, audio: null}]\n")
    assert ["audio" in params for params in sent(load(path))] == [True, False]


def test_ids_do_not_depend_on_the_place_in_the_manifest(write: Write) -> None:
    """Sorting the prompts must not rename a night's files."""
    first = "the same eight words begin both of these prompts, one"
    other = "the same eight words begin both of these prompts, two"
    one = {w.key: w.name for w in load(write(f"prompts: ['{first}', '{other}']\n")).wanted}
    two = {w.key: w.name for w in load(write(f"prompts: ['{other}', '{first}']\n")).wanted}
    assert one == two
    assert len(set(one.values())) == 2


def test_unknown_models_run_with_a_warning_and_all_that_was_written(write: Write) -> None:
    """A new model need not wait for a release."""
    path = write("model: kling-9\nprompts:\n  - {id: a, prompt: rain, steps: 30, mode: pro, seed: 7}\n")
    manifest = load(path)
    assert sent(manifest) == [{"prompt": "rain", "steps": 30, "mode": "pro", "seed": 7}]
    assert "kling-9 is not known" in str(manifest.warnings[0])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("model: wan2.5\nprompts: [rain]\n", "1:8"),
        ("model: wan-2.5-t2\nprompts: [rain]\n", "1:8"),
        ("prompts:\n  - {prompt: rain, model: wan-2.5-tv2}\n", "2:27"),
        ("vars: {m: Wan-2.5-T2V}\nprompts:\n  - prompt: rain\n    model: '{{ m }}'\n", "4:12"),
    ],
)
def test_a_misspelt_model_is_a_fault_that_names_the_nearest_one(write: Write, text: str, place: str) -> None:
    """It would be refused by the service, or run unchecked and unpriced."""
    [fault] = faults_of(write(text))
    assert fault.startswith(f"night.yaml:{place}: the model ")
    assert "did you mean wan-2.5-t2v?" in fault


def test_a_model_near_a_known_one_runs_when_its_price_shows_that_it_is_meant(write: Write) -> None:
    """The services have families of models, whose names differ in a letter."""
    [warning] = load(write("model: wan-2.7-t2v\nprices: {wan-2.7-t2v: 0.5}\nprompts: [rain]\n")).warnings
    assert "the model wan-2.7-t2v is not known here: its parameters are not checked" in str(warning)


def test_extra_passes_on_unchecked_with_a_warning(write: Write) -> None:
    """The API may learn a parameter before we do."""
    manifest = load(write("prompts:\n  - {prompt: rain, extra: {watermark: false}}\n"))
    assert sent(manifest)[0]["watermark"] is False
    assert "watermark is passed on unchecked" in str(manifest.warnings[0])


def test_caps_are_read_to_the_micro_dollar_and_a_flag_beats_them(write: Write) -> None:
    """A large cap is a cap too, and a fraction of a micro-dollar is not given away."""
    budget = "max_usd: 5000000, max_usd_per_day: 1.0000019, max_clips: 7, allow_unknown_price: true"
    manifest = load(write(f"prompts: [a]\nbudget: {{{budget}}}\n"))
    assert merge({}, manifest).caps == Caps(5_000_000_000_000, 1_000_001, 7, unknown_ok=True)
    assert merge({"max_clips": 0, "max_usd": None}, manifest).caps.clips == 0
    assert merge({}, load(write("prompts: [a]\n"))).caps == Caps()


@pytest.mark.parametrize("word", ["max_usd", "max_usd_per_day", "max_clips", "allow_unknown_price"])
@pytest.mark.parametrize("value", ["", " ~", " null", "   # 20"])
def test_a_cap_without_a_value_is_a_fault(write: Write, word: str, value: str) -> None:
    """Under cron nobody would see that the night has no budget."""
    [fault] = faults_of(write(f"prompts: [a]\nbudget:\n  {word}:{value}\n"))
    assert f"night.yaml:3:3: budget.{word} has no value" in fault


@pytest.mark.parametrize("budget", ["budget:", "budget: ~", "budget:\n  # max_usd: 20"])
def test_a_budget_without_a_value_is_a_fault(write: Write, budget: str) -> None:
    """A comment took its last line away."""
    assert "night.yaml:2:1: budget has no value" in faults_of(write(f"prompts: [a]\n{budget}\n"))[0]


def test_a_limit_without_a_value_is_a_fault_and_an_empty_part_is_not(write: Write) -> None:
    """A limit that is named is meant; `limits:` alone names none."""
    assert "limits.in_flight has no value" in faults_of(write("prompts: [a]\nlimits: {in_flight: }\n"))[0]
    assert load(write("prompts: [a]\nlimits:\n")).limits.in_flight is None


def test_the_parts_that_are_obeyed_elsewhere_are_read(write: Write) -> None:
    """Money is exact, and 0 is a cap, not none."""
    path = write(
        "prompts: [a]\nlimits: {rpm: 0, in_flight: 32, downloads: 8, count_polls: false}\n"
        "budget: {max_usd: 0}\nprices: {wan-2.5-t2v: {1280x720/5: 0.62}}\n"
        "window: {start: 22:00, stop_submitting: '06:30', days: [Friday, sat], timezone: UTC}\nnotify: ['https://h/x', 'ntfy://topic']\n"
    )
    manifest = load(path)
    assert manifest.limits.rpm == 0
    assert manifest.budget.max_usd == 0
    assert manifest.prices.of("wan-2.5-t2v", {"size": "1280*720", "duration": 5}) == 620_000
    assert manifest.window == Window("22:00", "06:30", ("fri", "sat"), "UTC")
    assert manifest.notify == ("https://h/x", "ntfy://topic")
    assert (manifest.name, manifest.path.is_absolute(), len(manifest.sha256)) == ("night", True, 64)


def test_an_address_for_apprise_without_apprise_is_warned_of(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its text, while somebody is there to install it."""
    path = write("prompts: [a]\nnotify: ['https://h/x', 'ntfys://sesame']\n")
    assert not load(path).warnings
    monkeypatch.setitem(sys.modules, "apprise", None)
    [warning] = load(path).warnings
    assert "notify 2: ntfys:// needs apprise, which is not installed" in str(warning)
    assert "sesame" not in str(warning)


def test_an_expansion_without_end_is_a_fault(write: Write) -> None:
    """A matrix of a few long axes is a trillion clips."""
    axis = list(range(1001))
    path = write(f"matrix: {{a: {axis}, b: {axis}}}\nprompts: [a]\n")
    assert "over 1,000,000 clips" in faults_of(path)[0]


def test_the_template_of_init_loads_without_a_warning(write: Write) -> None:
    """The first thing that a newcomer runs must work."""
    text = template("my-night")
    manifest = load(write(text))
    assert text.startswith("# yaml-language-server: $schema=./batchgen.schema.json\n")
    assert (manifest.name, manifest.warnings, len(manifest.wanted)) == ("my-night", [], 5)


def test_the_schema_describes_every_field_for_editors() -> None:
    """Hover texts are the manual that people read."""
    schema: Any = json_schema()
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in json.dumps(schema)
    fields = {**schema["properties"], **schema["definitions"]["PromptShape"]["properties"]}
    assert [name for name, field in fields.items() if "description" not in field] == []
    assert {"size", "duration", "seed", "takes", "prompt"} <= set(fields)
