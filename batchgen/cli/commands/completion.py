"""`batchgen completion`: the shell's completion script."""

from __future__ import annotations

import rich_click as click
from click.shell_completion import get_completion_class

from batchgen.cli import output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, as in: eval "$(batchgen completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:  # the choice above forbids it
        raise click.UsageError(f"no completion for {shell}")
    output.put(kind(ctx.find_root().command, {}, "batchgen", "_BATCHGEN_COMPLETE").source())
