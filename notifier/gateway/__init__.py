"""The gateway: the HTTP side of notifier. Providers' receipts come in, health and metrics go out."""

from notifier.gateway.factory import app, create_gateway

__all__ = ["app", "create_gateway"]
