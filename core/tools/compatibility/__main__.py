"""`python -m tools.compatibility` writes core/docs/compatibility.md."""

import sys
from pathlib import Path

from tools.compatibility.page import page, problems

TARGET = Path(__file__).parents[2] / "docs" / "compatibility.md"


def main() -> int:
    """Write the table; returns 1 when it contradicts itself, after saying how."""
    TARGET.write_text(page(), encoding="utf-8")
    for problem in (found := problems()):
        sys.stderr.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
