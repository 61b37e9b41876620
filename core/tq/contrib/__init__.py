"""Things some projects want that no other room needs; each module is imported by its own name."""
