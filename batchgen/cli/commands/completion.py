"""`batchgen completion`: the shell's completion script."""

from __future__ import annotations

import rich_click as click

from batchgen.cli import output


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell: commands, options, batches, clips, faults.

    Put one line into your shell's start file.

    bash, in ~/.bashrc: eval "$(batchgen completion bash)"

    zsh, in ~/.zshrc: eval "$(batchgen completion zsh)"

    fish, in ~/.config/fish/config.fish: batchgen completion fish | source
    """
    from batchgen.cli import shells

    output.put(shells.script(ctx.find_root().command, shell))
