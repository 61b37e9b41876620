"""tq: tasks, results, canvas, workers, remote control, events, beat, in Celery's wire formats."""
