"""Carries webhooks to the product from a few threads, and asks a callback URL for the verification handshake."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests
from urllib3.exceptions import ProtocolError

from notifier.sandbox.record import Reply
from notifier.sandbox.webhooks import Post

TIMEOUT = (3.05, 10.0)  # seconds to connect, seconds to answer; real time


class ThreadCourier:
    """A session a thread, kept alive; replies come back in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(threads, "sandbox-webhooks")
        self._local = threading.local()

    def carry(self, post: Post, done: Callable[[Post, Reply], None]) -> None:
        """Send it soon; `done` is called with the reply."""
        with contextlib.suppress(RuntimeError):  # the pool is closed: the sandbox stops, nobody waits for the reply
            self._pool.submit(self._work, post, done)

    def close(self) -> None:
        """Take no more; what has not started is dropped, as on any provider that goes away."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, post: Post, done: Callable[[Post, Reply], None]) -> None:
        reply = send(self._session(), post)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(done, post, reply)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # a proxy of the environment must not see loopback traffic
        session: requests.Session = self._local.session
        return session


def send(session: requests.Session, post: Post) -> Reply:
    """One try. The HTTP status, or where it got stuck: `connect` (nothing arrived) or `read` (no answer)."""
    try:
        return session.post(
            post.url, data=post.body, headers=post.headers, timeout=TIMEOUT, allow_redirects=False
        ).status_code
    except requests.ReadTimeout:
        return "read"
    except requests.RequestException as error:
        # A connection that broke under the request had been made: the product may have read it.
        broke = bool(error.args) and isinstance(error.args[0], ProtocolError)
        return "read" if broke else "connect"


def handshake(url: str, verify_token: str) -> bool:
    """Meta's verification GET (§4.1): the callback must answer 200 and the challenge, and nothing else."""
    challenge = str(secrets.randbelow(10**10))
    query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token}
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(url, params=query, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException:
            return False
    return answer.status_code == 200 and hmac.compare_digest(answer.text.strip().encode(), challenge.encode())
