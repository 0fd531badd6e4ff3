"""The completion of bash, zsh and fish: click's scripts, with what they get wrong put right.

Imported only by `batchgen completion`, and by the process that a shell starts to complete a line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

import rich_click as click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

#: Set by the shell's script: what is asked for.
VARIABLE = "_BATCHGEN_COMPLETE"


def _replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


class Bash(BashComplete):
    """A name with a blank is one word, and `--only=a` is an option and its value."""

    source_template: ClassVar[str] = _replaced(
        BashComplete.source_template,
        ("read type value", "read -r type value"),
        ("COMPREPLY+=($value)", 'COMPREPLY+=("$(printf \'%%q\' "$value")")'),
        ("bash_complete $1)", "bash_complete $1 2>/dev/null)"),
    )

    @staticmethod
    def _check_version() -> None:
        """Leave it out: it starts a bash each time, and answers on standard output."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Read the words: bash cuts them at each `=`, too."""
        cut, incomplete = super().get_completion_args()
        args: list[str] = []
        for arg in cut:
            if arg == "=" and args and args[-1].startswith("--"):
                continue  # an option's value is a word of its own
            if args and (arg == "=" or args[-1].endswith("=")):
                args[-1] += arg
            else:
                args.append(arg)
        return args, incomplete


class _WholeWord(ShellComplete):
    """A shell that replaces the whole word: of `--only=a` the option, too."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Put the option before each value."""
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        for item in found if equals and option.startswith("--") else ():
            item.value = option + equals + item.value if item.type == "plain" else item.value
        return found


class Zsh(_WholeWord, ZshComplete):
    """Works before `compinit` has run, too."""

    source_template: ClassVar[str] = _replaced(
        ZshComplete.source_template,
        ("    compdef %", "    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n    compdef %"),
        ("zsh_complete %(prog_name)s)", "zsh_complete %(prog_name)s 2>/dev/null)"),
    )


class Fish(_WholeWord, FishComplete):
    """A name may have a comma in it."""

    source_template: ClassVar[str] = _replaced(
        FishComplete.source_template,
        ('string split ","', 'string split --max 1 ","'),
        ("COMP_CWORD=(commandline -t) %(prog_name)s)", "COMP_CWORD=(commandline -t) %(prog_name)s 2>/dev/null)"),
    )


_KINDS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def script(cli: click.Command, shell: str) -> str:
    """Give the completion script of a shell, bash, zsh or fish."""
    return _KINDS[shell](cli, {}, "batchgen", VARIABLE).source()


def complete(cli: click.Command) -> int:
    """Answer a shell that completes a line; whatever is wrong with that line, there is only nothing to offer."""
    for kind in _KINDS.values():
        add_completion_class(kind)
    with suppress(Exception, SystemExit):
        cli.main(prog_name="batchgen", standalone_mode=False)
    return 0
