"""`tq completion`."""

import click
from click.shell_completion import get_completion_class

from tqconsole.cli import exits
from tqconsole.cli.main import cli

__all__ = ["command"]


@click.command("completion", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print a script that makes SHELL complete tq's commands and options.

    bash: eval "$(tq completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc.
    fish: tq completion fish > ~/.config/fish/completions/tq.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, "tq", "_TQ_COMPLETE").source())
    return exits.OK
