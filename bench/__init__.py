"""The bench: how fast, how exact, how dear. `make bench` runs it; docs/performance.md says how it measures."""
