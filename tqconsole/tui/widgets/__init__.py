"""Widgets that draw only what changed; they know nothing of tasks or workers."""
