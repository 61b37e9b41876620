"""Programs that write parts of this project; not installed with it."""
