"""Draw the README's pictures from a live cluster: `python -m tqconsole.demo.screenshots FOLDER`."""

import asyncio
import sys
from pathlib import Path

from tq import TQ
from tqconsole.demo.cluster import running
from tqconsole.demo.tasks import app as demo_app
from tqconsole.tui.app import ConsoleApp
from tqconsole.tui.config import ConsoleConfig
from tqconsole.tui.live import LiveSource

__all__ = ["main"]

SIZES = ((80, 24), (160, 48))
_WARM_UP = 14.0  # seconds of load before the first picture, so that there is something to see

# Name of a picture -> keys that lead to it from the first screen.
SCENES: dict[str, tuple[str, ...]] = {
    "overview": ("j",),
    "tasks": ("2", "j", "j", "j"),
    "failures": ("5", "j"),
    "detail": ("2", "slash", *"state:failure", "enter", "j", "enter"),
    "schedules": ("6", "j"),
    "flows": ("7", "j"),
    "flow": ("7", "j", "enter"),
    "events": ("8", "j"),
    "workers": ("3", "j"),
    "worker": ("3", "enter"),
    "help": ("question_mark",),
}


async def draw(app: TQ, folder: Path) -> list[Path]:
    """Draw every scene at every size; returns the files written."""
    files: list[Path] = []
    for width, height in SIZES:
        for scene, keys in SCENES.items():
            console = ConsoleApp(LiveSource(app, read_only=False, context="demo"), ConsoleConfig())
            async with console.run_test(size=(width, height)) as pilot:
                await pilot.pause(_WARM_UP if not files else 4.0)
                await pilot.press(*keys)
                await pilot.pause(1.0)
                path = folder / f"{scene}-{width}x{height}.svg"
                path.write_text(_anonymous(console.export_screenshot(title="tq events")))
                files.append(path)
            console.source.stop()
    return files


def _anonymous(picture: str) -> str:
    """Take the path of this checkout out of tracebacks.

    What replaces it is as long, since each text of the picture is drawn at a fixed width.
    """
    folder = str(Path(__file__).parents[2])
    return picture.replace(folder, "/home/shop".ljust(len(folder), "p")[: len(folder)])


def main() -> None:
    """Run the demo's cluster and draw it into the folder named on the command line."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    demo_app.broker.ping(10.0)
    with running(demo_app):
        for path in asyncio.run(draw(demo_app, folder)):
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
