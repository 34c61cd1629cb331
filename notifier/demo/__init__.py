"""The demo: a week of three sample shops, played through a complete notifier in less than a minute, and judged."""
