"""Tells results and canvas, which know no application, where to find the current one."""

from typing import Any, cast

from tq.app.current import get_current_app
from tq.canvas.sender import set_default_sender
from tq.results.guard import set_default_app

__all__: list[str] = []

# A running request has an id; `Context` says `str | None` because tasks called directly have none.
set_default_sender(cast(Any, get_current_app))
set_default_app(get_current_app)
