"""Bytes to data and back, and nothing else: messages, events, commands, results."""
