"""Colours: two themes of our own, and the styles that model cells name."""

from collections.abc import Mapping

from rich.style import Style
from textual.color import Color
from textual.theme import Theme

__all__ = ["DARK", "LIGHT", "STYLE_NAMES", "THEMES", "context_colour", "make_palette"]

DARK = Theme(
    name="tq-dark",
    primary="#5fafff",
    secondary="#87d7ff",
    accent="#5fd7d7",
    foreground="#d0d4dc",
    background="#101418",
    surface="#161b22",
    panel="#1f2630",
    success="#5fd787",
    warning="#ffd75f",
    error="#ff6b6b",
    dark=True,
    variables={
        "tq-muted": "#7d8794",
        "tq-retry": "#d787ff",
        "tq-cursor": "#26384d",
        "tq-rule": "#3a4450",
        "tq-dim": "#5a6572",
        "input-selection-background": "#5fafff 35%",
    },
)
LIGHT = Theme(
    name="tq-light",
    primary="#005faf",
    secondary="#0087af",
    accent="#007a7a",
    foreground="#20262e",
    background="#ffffff",
    surface="#f4f6f8",
    panel="#e4e9ee",
    success="#00783c",
    warning="#8a5a00",
    error="#c0202a",
    dark=False,
    variables={
        "tq-muted": "#6a7480",
        "tq-retry": "#8a2be2",
        "tq-cursor": "#cfe3f7",
        "tq-rule": "#c0c8d0",
        "tq-dim": "#98a2ac",
    },
)
THEMES = (DARK, LIGHT)

STYLE_NAMES = (
    "", "accent", "alert", "bar", "bold", "brand", "chart-both", "cursor", "dim", "error",
    "failure", "frame", "heading", "heading-sorted", "key", "muted", "name", "retry", "revoked",
    "rule", "started", "success",
    "tab", "tab-here", "title", "track", "warning", "warning-bold",
)  # fmt: skip


def make_palette(theme: Theme, contexts: str = "") -> dict[str, Style]:
    """Return the rich style of each name for a theme.

    Args:
        theme: Any Textual theme; ours define a few variables more, others get near equivalents.
        contexts: The context's colour, for the brand block of the header.
    """
    variables = theme.variables
    foreground = theme.foreground or ("#e0e0e0" if theme.dark else "#1f1f1f")
    panel = theme.panel or ("#24292f" if theme.dark else "#d8dde2")
    muted = variables.get("tq-muted", "ansi_bright_black" if theme.ansi else "#808890")
    retry = variables.get("tq-retry", "ansi_magenta" if theme.ansi else "#b070e0")
    rule = variables.get("tq-rule", muted)
    cursor = variables.get("tq-cursor", "ansi_bright_black" if theme.ansi else panel)
    success, warning, error = (
        theme.success or "ansi_green",
        theme.warning or "ansi_yellow",
        theme.error or "ansi_red",
    )
    accent = theme.accent or theme.primary
    background = "ansi_black" if theme.ansi else (theme.background or "#000000")
    strong = _style(foreground, bold=True)
    return {
        "": _style(foreground),
        "bold": strong,
        "name": strong,
        "muted": _style(muted),
        "dim": _style(variables.get("tq-dim", muted)),
        "accent": _style(accent),
        "started": _style(warning, bold=True),
        "success": _style(success),
        "failure": _style(error, bold=True),
        "error": _style(error),
        "warning": _style(warning),
        "warning-bold": _style(warning, bold=True),
        "retry": _style(retry),
        "chart-both": _style(error, theme.success or "ansi_green"),
        "revoked": _style(muted, strike=True),
        "alert": _style(background, error, bold=True),
        "heading": _style(muted, bold=True),
        "heading-sorted": _style(theme.primary, bold=True),
        "rule": _style(rule),
        "title": _style(theme.primary, bold=True),
        "key": _style(theme.primary, bold=True),
        "tab": _style(muted),
        "tab-here": _style(background, theme.primary, bold=True),
        "brand": _style(background, contexts or theme.primary, bold=True),
        "bar": _style(muted),
        "track": _style(rule),
        "cursor": Style(bgcolor=Color.parse(cursor).rich_color),
        "frame": Style(bgcolor=Color.parse(panel).rich_color),
    }


def _style(
    colour: str,
    background: str | None = None,
    *,
    bold: bool | None = None,
    strike: bool | None = None,
    dim: bool | None = None,
) -> Style:
    return Style(
        color=Color.parse(colour).rich_color,
        bgcolor=Color.parse(background).rich_color if background else None,
        bold=bold,
        strike=strike,
        dim=dim,
    )


def context_colour(context: str, theme: Theme, configured: Mapping[str, str] | None = None) -> str:
    """Return the colour of a context's block in the header: red where the name says production."""
    if configured and context in configured:
        return configured[context]
    if "prod" in context.lower():
        return theme.error or "ansi_red"
    return theme.primary
