"""What the console is started with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ConsoleConfig"]


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """Options of one console.

    Attributes:
        read_only: Offer nothing that changes the cluster.
        screen: Name of the first screen.
        theme: Name of a theme, or None for the default.
        ascii_only: Use no symbols outside ASCII.
        frames: Most frames per second.
        context_colours: Colour of the header's block, by context.
        saved_filters: Texts of saved filters by name.
        protected: Patterns of contexts in which acts need unlocking and the context's name.
        clipboard: Whether `y` may use the terminal's clipboard (OSC 52).
    """

    read_only: bool = False
    screen: str = "overview"
    theme: str | None = None
    ascii_only: bool = False
    frames: int = 10
    context_colours: Mapping[str, str] = field(default_factory=dict)
    saved_filters: Mapping[str, str] = field(default_factory=dict)
    protected: tuple[str, ...] = ("*prod*",)
    clipboard: bool = True
