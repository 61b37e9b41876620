"""How messages travel: one interface, native Redis, kombu for the rest, memory for tests."""
