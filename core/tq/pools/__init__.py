"""How jobs run: one interface, prefork, threads, asyncio, solo."""
