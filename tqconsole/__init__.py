"""The console and command line of tq: what a person touches."""
