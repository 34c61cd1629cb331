"""The whole peer: an app, a task, and what fills its queue. Nothing of notifier is imported."""

from __future__ import annotations

import os
import threading
from typing import Any

import requests
from celery import Celery
from requests.adapters import HTTPAdapter

app = Celery("peer", broker=os.environ["PEER_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_track_started=False,
    task_serializer="json",
    accept_content=["json"],
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_send_sent_event=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=True,
    worker_task_log_format="",
    broker_connection_retry_on_startup=True,
)

URL = os.environ["PEER_URL"]
HEADERS = {"Authorization": "Bearer " + "bench-token-of-about-the-length-that-tokens-of-meta-have" * 3}
BODY = (
    "Hi {first_name},\n\nYour order {order_number} from {shop} has shipped.\n\nCarrier: {carrier}\n"
    "Tracking number: {tracking}\n\nYou can follow it with the button below."
)

_own = threading.local()  # one a process, a thread, or (patched) a greenlet


def session() -> requests.Session:
    """The session of this worker: connections are kept open between messages."""
    mine: requests.Session | None = getattr(_own, "session", None)
    if mine is None:
        mine = _own.session = requests.Session()
        mine.trust_env = False  # looks for proxies and .netrc at every request otherwise
        mine.headers.update(HEADERS)
        mine.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
    return mine


@app.task(autoretry_for=(requests.ConnectionError,), retry_backoff=True, max_retries=5)
def send(phone: str, values: dict[str, Any]) -> None:
    """Renders the message and posts it."""
    parameters = [{"type": "text", "parameter_name": name, "text": text} for name, text in values.items()]
    text = BODY.format(**values)
    message = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": phone,
        "type": "template",
        "template": {
            "name": "order_shipped",
            "language": {"code": "en"},
            "components": [{"type": "body", "parameters": parameters}],
        },
        "biz_opaque_callback_data": str(len(text)),
    }
    answer = session().post(URL, json=message, timeout=(5, 20))
    answer.raise_for_status()
    answer.json()["messages"][0]["id"]


def fill(count: int) -> None:
    """Puts messages into the queue."""
    for number in range(count):
        values = {
            "first_name": "Sara",
            "order_number": f"B-{number:08d}",
            "shop": "Bench & Sons",
            "carrier": "Swift Couriers",
            "tracking": f"SA{number:08d}77",
        }
        send.apply_async((f"+9665{number:08d}", values), retry=False)
