"""Whatever is in a manifest and its files: a clean load, or faults with their places; never anything else.

Real manifests are bent at random. What once went wrong stands below as a plain example.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz import fuzz
from hypothesis import given
from hypothesis import strategies as st

from batchgen.cli.error_text import source_lines
from batchgen.errors import ManifestError
from batchgen.manifest import load

EXAMPLES = Path(__file__).parents[3] / "examples"
MANIFESTS = sorted(path.read_bytes() for path in EXAMPLES.glob("*.yaml"))
TABLES = [
    (EXAMPLES / "postcards.csv").read_bytes(),
    b'{"prompt": "a fox", "seed": 7, "vars": {"a": [1]}}\n{"prompt": "an owl", "takes": 2, "id": "owl"}\n',
    b"a fox\n# a note\nan owl\n",
    b'sep=;\nprompt;seed\n"a ""fox""";7\n',
]  # fmt: skip
#: Lines that people write, each of which YAML refuses or reads as something else.
MISTAKES = """prompts:
  - Scene: a cat
  - "Run!" she yells
  - [x] y
\t- {a|b} car
   - *b* c
  - prompt: a
     size: 832*480
  - > 5 cars
  - "a\\ud83d\\ude80"
budget:
"""
#: Pieces that readers of YAML, CSV, JSON and Jinja2 stumble over.
NASTY = [
    *(b"\0", b"\t", b"\r", b"\xff\xfe", b"\xef\xbb\xbf", b"\x85", b"\xed\xa0\x80", "\u2028".encode(), b"\x1b[2J"),
    *(b"&a ", b"*a ", b"!!binary ", b"!!python/name:os.system ", b"<<: ", b"? ", b"--- ", b"...\n", b"%YAML 9.9\n"),
    *(b": ", b" #", b"- ", b"[", b"{", b"]", b"}", b'"', b"'", b"|\n", b">-\n", b",", b"\\", b"\\ud800", b"\\x00"),
    *(b"{{ ", b" }}", b"{% for i in range(1000) %}", b"{% endfor %}", b"{% if ", b"{# ", b"|round(99999999)"),
    *(b"9" * 5000, b"1e999", b".nan", b"-.inf", b"NaN", b"Infinity", b"null", b"~", b"true", b"-1", b"0x10"),
    *(b"prompts:\n", b"matrix: {a: [1, 2]}\n", b"takes: 1001\n", b"file: .\n", b"file: /dev/zero\n", b"audio: /\n"),
    *(b"vars: {x: 1}\n", b"defaults: {size: 7}\n", b"prices: {a: -1}\n", b"limits: {rpm: 1e400}\n", b'sep="\n'),
]  # fmt: skip


def bent(content: bytes, seed: int) -> bytes:
    """Bend a file: flip bytes, lose, double and swap pieces, put in what readers stumble over, change the encoding."""
    dice = random.Random(seed)
    data = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data) + 1)
        to = min(len(data), at + dice.choice([1, 5, 40]))
        match dice.choice(["flip", "lose", "double", "nasty", "nasty", "nasty", "swap", "cut"]):
            case "flip" if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case "lose":
                del data[at:to]
            case "double":
                data[at:at] = data[at:to] * dice.choice([1, 2, 50])
            case "nasty":
                data[at:at] = dice.choice(NASTY) * dice.choice([1, 1, 1, 200])
            case "swap":
                data[at:to] = data[at:to][::-1]
            case "cut" if dice.random() < 0.2:
                del data[at:]
    return data.decode("latin-1").encode("utf-16") if dice.random() < 0.02 else bytes(data)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for thousands of manifests, in memory where the machine has one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        (Path(made) / "postcards.csv").write_bytes(TABLES[0])
        yield Path(made)


def loads_or_tells(path: Path) -> list[str]:
    """Load a manifest and look at what came; gives the faults."""
    try:
        manifest = load(path)
    except ManifestError as error:
        assert error.faults
        for fault in error.faults:
            assert fault.what
            assert fault.line >= 0
            assert not any(char in line for line in source_lines(fault) for char in "\n\r\x1b")
        str(error).encode()
        return [fault.what for fault in error.faults]
    for clip in manifest.wanted:
        json.loads(clip.params)
        f"{clip.params}{clip.name}{clip.prompt_id}{clip.label}{clip.key}".encode()
        assert Path(clip.name).name == clip.name
    assert len({clip.key for clip in manifest.wanted}) == len(manifest.wanted)
    assert len({clip.name.casefold() for clip in manifest.wanted}) == len(manifest.wanted)
    return []


@fuzz(400)
@given(manifest=st.sampled_from(MANIFESTS), seed=st.integers(0, 2**32))
def test_any_manifest_loads_or_tells_its_faults(folder: Path, manifest: bytes, seed: int) -> None:
    """A traceback at bedtime is a night without clips."""
    path = folder / "night.yaml"
    path.write_bytes(bent(manifest, seed))
    loads_or_tells(path)


@pytest.mark.slow
@fuzz(5000)
@given(manifest=st.sampled_from([*MANIFESTS, MISTAKES.encode()]), seed=st.integers(2**32, 2**48))
def test_many_more_manifests_load_or_tell_their_faults(folder: Path, manifest: bytes, seed: int) -> None:
    """As the short one, and also of texts that YAML reads as something else."""
    path = folder / "night.yaml"
    path.write_bytes(bent(manifest, seed))
    loads_or_tells(path)


@fuzz(100)
@given(seed=st.integers(0, 2**32))
def test_any_mistake_of_yaml_is_told(folder: Path, seed: int) -> None:
    """The cause is searched for in the text: on any line, at any mark."""
    path = folder / "night.yaml"
    path.write_bytes(bent(MISTAKES.encode(), seed))
    loads_or_tells(path)


@fuzz(300)
@given(
    table=st.sampled_from(TABLES),
    kind=st.sampled_from(["csv", "tsv", "jsonl", "txt", "CSV"]),
    seed=st.integers(0, 2**32),
)
def test_any_prompt_file_loads_or_tells_its_faults(folder: Path, table: bytes, kind: str, seed: int) -> None:
    """Excel, a script or a colleague wrote it."""
    (folder / f"shots.{kind}").write_bytes(bent(table, seed))
    path = folder / "night.yaml"
    path.write_text(
        f"vars: {{name: x}}\nprompts:\n  - file: shots.{kind}\n  - {{file: shots.{kind}, prompt: '{{{{ a }}}}'}}\n"
    )
    loads_or_tells(path)


VALUES = ["1", "x", "'a'", "1e999", "9" * 5000, "[]", "{}", "range(9)", "none", "'\\ud800'", "loop", "self"]
SHAPES = [
    *("({0})", "{0} + {0}", "{0} * {0}", "{0} // {0}", "{0} % {0}", "{0} ~ {0}", "[{0}]", "{{{0}: {0}}}", "{0}[{0}]"),
    *("{0}|round({0})", "{0}|int({0}, {0})", "{0}|join({0})", "{0}|sort", "{0}|max", "{0}|list", "{0}.x", "not {0}"),
    *("{0}|replace({0}, {0})", "{0}.split({0})", "{0}.items()", "-{0}", "{0} if {0} else {0}", "{0} in {0}"),
    *("{0} < {0}", "range({0})", "{0}|first", "{0}|default({0})", "{0} is divisibleby({0})", "{0}|unique", "{0}:{0}"),
]
TEMPLATES = st.recursive(
    st.sampled_from(VALUES), lambda inner: st.builds(str.format, st.sampled_from(SHAPES), inner), max_leaves=8
)


@fuzz(300)
@given(
    text=TEMPLATES,
    frame=st.sampled_from(
        ["{{{{ {0} }}}}", "{{% if {0} %}}a{{% endif %}}", "{{% for i in {0} %}}{{{{ {0} }}}}{{% endfor %}}"]
    ),
)
def test_any_template_is_filled_in_or_told(folder: Path, text: str, frame: str) -> None:
    """Jinja2 makes Python of it, which has errors of its own."""
    path = folder / "night.yaml"
    path.write_text(json.dumps({"vars": {"x": 3}, "prompts": [frame.format(text)]}))
    loads_or_tells(path)


# --- found so -------------------------------------------------------------------------------------------------

PROMPTS = {
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "blocks nested deeper than Python's own": "{% if 1 %}" * 120 + "{% endif %}" * 120,
    "brackets nested deeper than Python's own": "{{ " + "(" * 150 + "1" + ")" * 150 + " }}",
    "a list in lists": "{{ " + "[" * 150 + "]" * 150 + " }}",
    "infinity as an index": "{{ [1][1e999|int] }}",
    "a template of a book": "{{ 1 }}" * 5000,
}


@pytest.mark.parametrize("name", PROMPTS)
def test_a_text_that_once_broke_the_templates_is_told(folder: Path, name: str) -> None:
    """Each ended in a traceback, or made the plan wait."""
    path = folder / "night.yaml"
    path.write_text(json.dumps({"prompts": [PROMPTS[name]]}))
    assert loads_or_tells(path)


def test_half_of_a_character_in_a_name_can_be_told(folder: Path) -> None:
    """JSON can write it, and no terminal can show it."""
    (folder / "shots.jsonl").write_text('{"prompt": "x", "audio": "\\ud800.wav"}\n')
    path = folder / "night.yaml"
    path.write_text("prompts:\n  - file: shots.jsonl\n")
    assert "can't be read" in loads_or_tells(path)[0]


def test_a_table_of_a_thousand_columns_is_no_table(folder: Path) -> None:
    """Each column's name is held against all others and all parameters."""
    (folder / "wide.csv").write_text(",".join(f"c{n}" for n in range(30_000)) + "\nx\n")
    path = folder / "night.yaml"
    path.write_text("prompts:\n  - file: wide.csv\n")
    assert loads_or_tells(path)[0] == "the table has over 1,000 columns"


def test_a_matrix_with_too_many_exclusions_is_told(folder: Path) -> None:
    """900,000 cells, each held against 500 lines."""
    axes = f"a: {list(range(1000))}, b: {list(range(900))}"
    exclude = ", ".join(f"{{a: {n}}}" for n in range(500))
    path = folder / "night.yaml"
    path.write_text(f"matrix: {{{axes}, exclude: [{exclude}]}}\nprompts: [x]\n")
    assert "too many for this many lines" in loads_or_tells(path)[0]


def test_ten_thousand_faulty_prompts_are_enough(folder: Path) -> None:
    """A thousand wrong prompts in a thousand cells each: a minute and a half to say the same a million times."""
    path = folder / "night.yaml"
    path.write_text(f"matrix: {{a: {list(range(1000))}}}\nprompts:\n" + "  - {prompt: x, size: odd}\n" * 1002)
    assert any("over 10,000 prompts" in what for what in loads_or_tells(path))
