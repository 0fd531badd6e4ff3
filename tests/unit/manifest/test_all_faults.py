"""All faults of a manifest in one pass: one with a fault of structure is checked as far as it can be read."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from batchgen.errors import ManifestError
from batchgen.manifest import load

#: By what is wrong: a manifest, a line of dashes, and what each of its faults begins with.
CASES = {
    "vars as a whole": """
        vars: [a]
        prompts:
          - {prompt: '{{ city }}', sise: 1}
          - '{{ city | nope }}'
          - {prompt: b, vars: 5, takes: 0}
        ------
        1:7: vars must be a mapping
        3:34: unknown parameter sise
        4:5: prompt: '{{ city | nope }}'
        5:23: prompt 3.vars must be a mapping
        5:33: takes can't be 0
    """,
    "the matrix as a whole, and the name's template": """
        matrix: 5
        prompts:
          - {prompt: '{{ city }}', duration: 7}
        output: {name: '{{ city }}_{{ x y }}'}
        ------
        1:9: matrix must be a mapping
        3:38: duration can't be 7
        4:16: output name: '{{ city }}_{{ x y }}'
    """,
    "axes, a line of exclude, a prompt's own matrix": """
        matrix: {size: 9, exclude: [5], city: []}
        prompts:
          - {prompt: '{{ city }} {{ x', matrix: {a: 1}}
          - b
        ------
        1:16: matrix.size must be a list
        1:16: size can't be 9
        1:29: matrix.exclude 1 must be a mapping
        1:39: matrix.city is empty
        3:14: prompt: '{{ city }} {{ x'
        3:45: prompt 1.matrix.a must be a list
    """,
    "a model that is no text, and another prompt's own": """
        model: 5
        prompts:
          - {prompt: a, takes: 0}
          - {prompt: b, model: wan-2.5-t2v, sise: 1}
        ------
        1:8: model must be a text
        3:24: takes can't be 0
        4:43: unknown parameter sise
    """,
    "a misspelt model": """
        model: wan2.5
        prompts:
          - {prompt: a, sise: 1}
        ------
        1:8: the model wan2.5 is not known here
        3:23: unknown parameter sise
    """,
    "prompts that are one prompt": """
        prompts: {prompt: a, sise: 1, takes: 0}
        ------
        1:10: prompts must be a list
        1:10: takes can't be 0
        1:10: unknown parameter sise
    """,
    "prompts that are a text, and a misspelt matrix": """
        prompts: 'a {{ b }}'
        matirx: {c: 1}
        ------
        1:10: prompt: 'a {{ b }}': 'b' is undefined
        1:10: prompts must be a list
        2:1: unknown key matirx: did you mean matrix?
        2:13: matrix.c must be a list
    """,
    "misspelt prompts": """
        promts:
          - {prompt: a, size: 9}
          - 5
        ------
        1:1: unknown key promts: did you mean prompts?
        2:23: size can't be 9
        3:5: prompt 2 must be a text
    """,
    "no prompts": """
        defaults: {size: 9}
        matrix: {a: 5}
        ------
        1:1: prompts is missing
        1:18: size can't be 9
        2:13: matrix.a must be a list
    """,
    "several in one prompt, and ids given twice": """
        prompts:
          - {id: x, prompt: 5, size: 9, seed: -3, takes: 0}
          - {id: x, size: 1, priority: z}
          - {id: x, prompt: a}
          - {id: '///', prompt: b, size: 2, audio: nope.wav}
        ------
        2:21: prompt 1.prompt must be a text
        2:30: size can't be 9
        2:39: a seed can't be '-3'
        2:50: takes can't be 0
        3:5: prompt 2 has no prompt
        3:5: the id x is also that of night.yaml:2:5
        3:19: size can't be 1
        3:32: priority can't be 'z'
        4:5: the id x is also that of night.yaml:2:5
        5:10: the id '///' has no character
        5:34: size can't be 2
        5:44: the audio file nope.wav
    """,
    "what is next to a file that can't be read": """
        prompts:
          - {file: nope.csv, sise: 1, takes: 0}
        ------
        2:12: nope.csv: there is no such file
        2:28: unknown parameter sise
        2:38: takes can't be 0
    """,
    "a matrix without a cell": """
        matrix: {a: [1], exclude: [{a: 1}]}
        prompts: [{prompt: b, size: 9}]
        ------
        1:9: exclude removes every cell
        2:29: size can't be 9
    """,
    "ids that clash, and a name that can't be made": """
        prompts: [{id: x, prompt: a}, {id: x, prompt: b}]
        output: {name: '{{ n }}'}
        ------
        1:31: the id x is also that of night.yaml:1:11
        2:16: output name: '{{ n }}': 'n' is undefined
    """,
    "a table of prices": """
        prompts: [a]
        prices: {m: {big: 1, small: 2, '1*1/5': x}}
        ------
        2:13: prices.m: 'big', 'small' is not a size and duration; 'x' is not an amount of USD
    """,
}


def faults_of(folder: Path, text: str) -> list[str]:
    path = folder / "night.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        load(path)
    return [str(fault).replace(f"{folder}/", "").removeprefix("night.yaml:") for fault in caught.value.faults]


@pytest.mark.parametrize("case", CASES)
def test_a_fault_hides_no_other(tmp_path: Path, case: str) -> None:
    """Fix one, and the next appears: a manifest took three rounds."""
    lines = dedent(CASES[case]).strip().splitlines()
    at = lines.index("------")
    text, expected = "\n".join(lines[:at]) + "\n", lines[at + 1 :]
    faults = faults_of(tmp_path, text)
    assert len(faults) == len(expected), faults
    assert all(any(fault.startswith(sign) for fault in faults) for sign in expected), faults


@pytest.mark.parametrize("text", ["vars: 5\nprompts: [a]\n", "model: 5\nprompts: [a]\n", "[a, b]\n"])
def test_a_fault_that_hides_others_says_so(tmp_path: Path, text: str) -> None:
    """What depends on it can't be checked before it can be read."""
    [fault] = faults_of(tmp_path, text)
    assert fault.endswith("(fix this first, there may be more)")
