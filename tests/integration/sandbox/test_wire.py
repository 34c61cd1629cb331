"""What only a real connection shows: resets, held requests, webhooks over HTTP, the control routes, start and stop."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from notifier.sandbox import practice_config
from notifier.sandbox.testing import SandboxClient, SandboxNotRunning, running_sandbox
from tests.unit.sandbox.bench import AUTH_TOKEN, NUMBER, SECRET, SENDER, SHIPPED, SID, TOKEN, WABA, shipped

DOCS = Path(__file__).parents[3] / "docs" / "sandbox.md"
CONFIG = practice_config(
    templates=({"waba_id": WABA, **SHIPPED},), batch_window=0.0, slow_real_seconds=0.05, hold_real_seconds=30.0
)


class Product:
    """A webhook receiver that keeps what comes and answers by script."""

    def __init__(self) -> None:
        self.seen: queue.Queue[tuple[str, dict[str, str], bytes]] = queue.Queue()
        self.replies: list[int] = []
        self.verify_token = "right"
        product = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                product.seen.put((self.path, dict(self.headers), body))
                self._answer(product.replies.pop(0) if product.replies else 200, b"")

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                right = query["hub.verify_token"] == [product.verify_token]
                self._answer(200 if right else 403, query["hub.challenge"][0].encode() if right else b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def statuses(self, wanted: int) -> list[dict[str, Any]]:
        """Waits for so many status objects. Several threads carry them: their order on the wire is nobody's promise."""
        found: list[dict[str, Any]] = []
        while len(found) < wanted:
            entries = json.loads(self.seen.get(timeout=20)[2])["entry"]
            changes = [change["value"] for entry in entries for change in entry["changes"]]
            found += [status for value in changes for status in value.get("statuses", [])]
        return found


@pytest.fixture
def product() -> Iterator[Product]:
    made = Product()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def wire(product: Product) -> Iterator[SandboxClient]:
    with running_sandbox(CONFIG) as client:
        client.webhook_url(f"{product.url}/meta")
        yield client


def send(client: SandboxClient, digits: str = "001", **more: Any) -> requests.Response:
    with requests.Session() as session:
        return session.post(
            f"{client.base_url}/v25.0/{NUMBER}/messages",
            json=shipped(f"+966500000{digits}", **more),
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        )


@contextmanager
def raw_request(client: SandboxClient, digits: str) -> Iterator[socket.socket]:
    """A request sent on a bare socket, whose answer is for the test to read."""
    address = urlsplit(client.base_url)
    body = json.dumps(shipped(f"+966500000{digits}")).encode()
    head = (
        f"POST /v25.0/{NUMBER}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with closing(socket.create_connection((address.hostname, address.port), timeout=10)) as connection:
        connection.sendall(head.encode() + body)
        yield connection


@pytest.mark.parametrize("digits, outcome", [("906", "accepted"), ("908", "broken")], ids=["after", "before"])
def test_a_reset_is_a_tcp_reset_and_not_an_orderly_close(wire: SandboxClient, digits: str, outcome: str) -> None:
    with raw_request(wire, digits) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert [arrival["outcome"] for arrival in wire.arrivals()] == [outcome]


def test_a_reset_after_accepting_still_brings_receipts_with_the_ref(wire: SandboxClient, product: Product) -> None:
    with pytest.raises(requests.ConnectionError):
        send(wire, "906", ref="d-9")
    told = {(status["status"], status["biz_opaque_callback_data"]) for status in product.statuses(3)}
    assert told == {("sent", "d-9"), ("delivered", "d-9"), ("read", "d-9")}


def test_a_request_that_is_never_answered_is_held_open_while_its_receipts_come(
    wire: SandboxClient, product: Product
) -> None:
    with raw_request(wire, "907") as connection:
        assert len(product.statuses(3)) == 3
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_held_request_is_cut_when_its_time_is_over() -> None:
    config = CONFIG.model_copy(update={"hold_real_seconds": 0.05})
    with running_sandbox(config) as client, raw_request(client, "907") as held, pytest.raises(ConnectionResetError):
        held.recv(1)


def test_a_client_that_leaves_a_held_request_leaves_the_sandbox_well(wire: SandboxClient) -> None:
    with raw_request(wire, "907"):
        pass
    assert send(wire).status_code == 200


def test_a_sandbox_with_held_requests_stops_and_lets_go_of_them() -> None:
    with running_sandbox(CONFIG) as client, raw_request(client, "907") as connection:
        while not client.arrivals():
            pass
        held = connection.dup()
    with closing(held), pytest.raises(ConnectionResetError):
        held.recv(1)


def test_a_slow_answer_comes_and_half_an_answer_is_a_whole_http_response(wire: SandboxClient) -> None:
    assert send(wire, "919").json()["messages"][0]["message_status"] == "accepted"
    half = send(wire, "918")
    assert (half.status_code, half.headers["content-length"]) == (200, str(len(half.content)))
    with pytest.raises(requests.JSONDecodeError):
        half.json()


def test_a_gateways_html_is_html(wire: SandboxClient) -> None:
    answer = send(wire, "917")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert send(wire, "917").status_code == 200


def test_webhooks_arrive_signed_over_the_bytes_that_arrive(wire: SandboxClient, product: Product) -> None:
    send(wire)
    path, headers, body = product.seen.get(timeout=20)
    assert path == "/meta"
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={digest}"


@pytest.mark.parametrize("refusal", [202, 500])
def test_a_webhook_that_is_not_answered_200_comes_again(wire: SandboxClient, product: Product, refusal: int) -> None:
    product.replies = [refusal]
    send(wire, "902")
    first, second = (product.seen.get(timeout=20)[2] for _ in range(2))
    assert first == second


def test_a_webhook_to_a_closed_port_is_tried_until_somebody_listens(wire: SandboxClient, product: Product) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        wire.webhook_url(f"http://127.0.0.1:{nobody.getsockname()[1]}/meta")
        send(wire, "902")
        while not (receipts := wire.arrivals()[0]["receipts"]) or not receipts[0]["replies"]:
            pass
    assert (receipts[0]["replies"][0], receipts[0]["state"]) == ("connect", "pending")


def test_status_callbacks_reach_the_address_of_the_message(wire: SandboxClient, product: Product) -> None:
    answer = requests.post(
        f"{wire.base_url}/2010-04-01/Accounts/{SID}/Messages.json",
        data={"To": "+966500000001", "From": SENDER, "Body": "مرحبا", "StatusCallback": f"{product.url}/sms?ref=d-3"},
        auth=(SID, AUTH_TOKEN),
        timeout=10,
    )
    assert answer.status_code == 201
    seen = [product.seen.get(timeout=20) for _ in range(3)]
    assert {path for path, _, _ in seen} == {"/sms?ref=d-3"}
    assert {parse_qs(body.decode())["MessageStatus"][0] for _, _, body in seen} == {"queued", "sent", "delivered"}
    assert [message["text"] for message in wire.phone("+966500000001")] == ["مرحبا"]
    base = f"{wire.base_url}/2010-04-01/Accounts/{SID}/Messages"
    sid = answer.json()["sid"]
    assert requests.get(f"{base}/{sid}.json", auth=(SID, AUTH_TOKEN), timeout=10).json()["status"] == "delivered"
    listed = requests.get(f"{base}.json", params={"To": "+966500000001"}, auth=(SID, AUTH_TOKEN), timeout=10).json()
    assert [message["sid"] for message in listed["messages"]] == [sid]


def test_fast_clocks_and_leaps_bring_late_receipts_at_once(wire: SandboxClient, product: Product) -> None:
    send(wire, "910")
    assert [status["status"] for status in product.statuses(1)] == ["sent"]
    wire.advance(100.0)
    assert {status["status"] for status in product.statuses(2)} == {"delivered", "read"}
    wire.clock_rate(1000.0)
    send(wire, "910")
    assert {status["status"] for status in product.statuses(3)} == {"sent", "delivered", "read"}


def test_the_control_routes_tell_and_take(wire: SandboxClient, product: Product) -> None:
    wire.faults([{"action": "throttle", "count": 1}])
    assert [send(wire).status_code for _ in range(2)] == [400, 200]
    assert len(wire.arrivals(outcome="refused")) == len(wire.arrivals(outcome="accepted")) == 1
    assert wire.arrivals(after="1")[0]["id"] == 2
    product.statuses(3)
    assert [message["ref"] for message in wire.phone("966500000001")] == ["d-1"]
    get = f"{wire.base_url}/_sandbox"
    assert requests.get(f"{get}/health", timeout=10).json()["status"] == "ok"
    assert requests.get(f"{get}/faults", timeout=10).json() == {
        "faults": [{"action": "throttle", "count": 1, "used": 1}]
    }
    assert list(requests.get(f"{get}/phones", timeout=10).json()["phones"]) == ["+966500000001"]
    assert len(requests.get(f"{get}/people", timeout=10).json()["people"]) == 20
    assert "مرحبا سارة" in requests.get(wire.base_url, timeout=10).text
    wire.template("order_shipped", status="PAUSED")
    assert send(wire).json()["error"]["code"] == 132015
    wire.writes("+966500000001", "STOP")
    wire.reset()
    assert (wire.arrivals(), wire.summary()["arrivals"], wire.phone("+966500000001")) == ([], 0, [])


@pytest.mark.parametrize(
    "method, path, body, told",
    [
        ("PUT", "faults", [{}], "needs an action"),
        ("PUT", "clock", {"advance": -1}, "advance: must be a number"),
        ("PUT", "clock", [], "an object is required"),
        ("PUT", "config/webhook_url", {"url": "ftp://x"}, "url: must be"),
        ("PUT", "config/webhook_url", {"url": "", "phone_number_id": "9"}, "phone_number_id: no such number"),
        ("PUT", "templates", {"name": "none"}, "name: no such template"),
        ("PUT", "templates", {"name": "order_shipped", "status": "GONE"}, "words of Meta"),
        ("POST", "inbound", {"from": "966", "text": "x"}, "from: must be E.164"),
        ("POST", "inbound", {"from": "+966"}, "text: is required"),
    ],
)
def test_a_wrong_control_request_is_422_and_says_why(
    wire: SandboxClient, method: str, path: str, body: Any, told: str
) -> None:
    answer = requests.request(method, f"{wire.base_url}/_sandbox/{path}", json=body, timeout=10)
    assert answer.status_code == 422
    assert told in answer.json()["error"]


def test_the_client_says_what_was_refused(wire: SandboxClient) -> None:
    with pytest.raises(SandboxNotRunning, match="PUT /_sandbox/faults answered 422"):
        wire.faults([{"action": "explode"}])


def test_metas_management_routes_answer_over_http(wire: SandboxClient, product: Product) -> None:
    base, headers = f"{wire.base_url}/v25.0", {"Authorization": f"Bearer {TOKEN}"}

    def call(method: str, path: str, **more: Any) -> Any:
        return requests.request(method, f"{base}/{path}", headers=headers, timeout=10, **more).json()

    assert call("POST", f"{WABA}/message_templates", json=SHIPPED | {"name": "b"})["status"] == "APPROVED"
    assert [one["name"] for one in call("GET", f"{WABA}/message_templates")["data"]] == ["order_shipped", "b"]
    assert call("DELETE", f"{WABA}/message_templates", params={"name": "b"}) == {"success": True}
    assert call("GET", NUMBER, params={"fields": "status"}) == {"status": "CONNECTED", "id": NUMBER}
    assert call("GET", f"{WABA}/subscribed_apps")["data"] != []
    assert call("DELETE", f"{WABA}/subscribed_apps") == {"success": True}
    wanted = {"override_callback_uri": f"{product.url}/own", "verify_token": "right"}
    assert call("POST", f"{WABA}/subscribed_apps", json=wanted) == {"success": True}
    refused = call("POST", f"{WABA}/subscribed_apps", json=wanted | {"verify_token": "wrong"})
    assert refused["error"]["message"] == "(#100) Callback verification failed"
    wire.faults([{"path": "message_templates", "action": "html_502"}])
    assert requests.get(f"{base}/{WABA}/message_templates", headers=headers, timeout=10).status_code == 502
    assert requests.get(f"{wire.base_url}/latest/{NUMBER}", headers=headers, timeout=10).status_code == 400


def test_five_hundred_messages_report_themselves_in_few_posts(product: Product) -> None:
    number = CONFIG.numbers[0].model_copy(update={"rate": 100_000, "webhook_url": f"{product.url}/meta"})
    config = CONFIG.model_copy(update={"numbers": (number,), "batch_size": 1000, "batch_window": 0.2})
    with running_sandbox(config) as client, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        for n in range(500):
            session.post(f"{client.base_url}/v25.0/{NUMBER}/messages", json=shipped(f"+96650{n:04}001"), timeout=10)
        told = product.statuses(1500)
        assert len(told) == 1500
        assert client.summary()["shown"] == {"whatsapp": 500, "sms": 0}


def test_the_fixture_is_a_running_sandbox(sandbox: SandboxClient) -> None:
    assert sandbox.summary()["arrivals"] == 0


def test_a_sandbox_that_cannot_start_says_so() -> None:
    config = practice_config(templates=({"waba_id": WABA, **SHIPPED, "name": "Bad"},))
    with pytest.raises(Exception, match=r"templates\[0\]"), running_sandbox(config):
        pass


def test_the_documented_snippet_runs() -> None:
    text = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    body = "sandbox.template('order_shipped', status='APPROVED')\n    requests.post("
    sending = (
        f"{body}f'{{sandbox.base_url}}/v25.0/{NUMBER}/messages', json=shipped('+966501234567'),"
        f" headers={{'Authorization': 'Bearer {TOKEN}'}}, timeout=10)\n    sandbox.advance(10)"
    )
    snippet = re.sub(r"^    \.\.\.", lambda _: "    " + sending, text[1], flags=re.MULTILINE)
    snippet = snippet.replace("running_sandbox()", "running_sandbox(CONFIG)")
    exec(snippet, {"requests": requests, "shipped": shipped, "CONFIG": CONFIG})  # the words of our own docs
