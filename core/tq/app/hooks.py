"""Tells results and canvas, which know no application, where to find the current one."""

from tq.app.current import get_current_app
from tq.canvas.sender import set_default_sender
from tq.results.guard import set_default_app

__all__: list[str] = []

set_default_sender(get_current_app)
set_default_app(get_current_app)
