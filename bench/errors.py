"""What may keep a figure from being taken."""

from __future__ import annotations

from notifier.events import NotifierError


class Missing(NotifierError):
    """Something that the measurement needs is not on this machine; the message names it and how to get it."""


class Broken(NotifierError):
    """The measurement ran and did not come to an end that could be trusted."""
