"""Celery only: the app, its queues, one thin task per movement, the schedule. No rule of the domain lives here."""
