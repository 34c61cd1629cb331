"""notifier: order events in, exactly one message to the customer out.

The door for backends. Importing it needs redis and pydantic, and neither Celery nor a web framework:

    from notifier import OrderEvent, notify
    ticket = notify(OrderEvent(shop="nile", event="order.shipped", order_id="1001", customer={"phone": "+20..."}))

What is public is in `__all__`; everything else may move unannounced.
"""

from notifier.door import notify, notify_many
from notifier.events import InvalidEvent, NotifierError, OrderEvent
from notifier.inbox import InboxFull, RoadUnavailable, Ticket

__all__ = [
    "InboxFull",
    "InvalidEvent",
    "NotifierError",
    "OrderEvent",
    "RoadUnavailable",
    "Ticket",
    "notify",
    "notify_many",
]
