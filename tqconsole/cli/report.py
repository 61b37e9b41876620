"""`tq report`."""

import click

from tq.saferepr import safe_text
from tqconsole.cli.options import Globals, app_options, load_app

__all__ = ["command"]


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@app_options
def command(given: Globals) -> None:
    """Print versions, platform and settings for a bug report, secrets masked."""
    click.echo(safe_text(f"\n{load_app(given).bugreport()}", single_line=False))
