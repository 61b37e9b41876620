"""A small Django project with its tasks on tq."""
