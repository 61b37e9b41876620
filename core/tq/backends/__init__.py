"""Where results rest: one interface, Redis in Celery's format, rpc, memory, none."""
