"""The receipt parsers against bytes that nobody would send: `python -m tests.fuzz`."""
