"""The HTTP engine against real sockets: what leaves, how often, and what the caller is told of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from notifier.channels.contract import Request
from notifier.handles import BODY_KEPT, SPARED, Exchange, Handles, NotAllowed
from notifier.transport import Transport
from tests.integration.transport.http2 import Http2
from tests.integration.transport.server import CERTIFICATE, Conversation, Script, Server, answer, polite

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=80)


@contextmanager
def engine(
    *hosts: str, timeout: timedelta = LONG, connect_timeout: timedelta = LONG, connections: int = 64
) -> Iterator[Transport]:
    handles = Handles(connect_timeout=connect_timeout, timeout=timeout, ca_bundle=str(CERTIFICATE))
    with Transport(frozenset(hosts), handles, max_connections=connections) as transport:
        yield transport


def post(url: str, body: bytes = b'{"to":"somebody"}', headers: tuple[str, ...] = ("X-Test: 1",)) -> Request:
    return Request("POST", url, headers, body)


def finish(transport: Transport) -> list[Exchange]:
    """Everything in flight, to its end."""
    ended: list[Exchange] = []
    while transport.in_flight:
        ended += transport.poll(LONG)
    return ended


def send(transport: Transport, request: Request) -> Exchange:
    transport.submit("token", request)
    [exchange] = finish(transport)
    return exchange


def outcome(exchange: Exchange) -> tuple[int | None, str | None]:
    return exchange.status, exchange.failure


# The promise: one submit is at most one request.


def test_a_request_on_a_reused_connection_that_dies_without_an_answer_is_not_sent_again() -> None:
    def answer_once_then_hang_up(conversation: Conversation) -> None:
        conversation.receive()
        if len(conversation.server.arrivals) == 1:
            conversation.send(answer())
            conversation.receive()

    with Server(answer_once_then_hang_up) as server, engine(server.host) as transport:
        first = send(transport, post(server.url, b"first"))
        second = send(transport, post(server.url, b"second"))
    assert (outcome(first), outcome(second)) == ((200, None), (None, "unknown"))
    assert server.arrivals == [b"first", b"second"]


def test_a_request_on_a_reused_connection_that_is_reset_without_an_answer_is_not_sent_again() -> None:
    def answer_once_then_reset(conversation: Conversation) -> None:
        conversation.receive()
        if len(conversation.server.arrivals) == 1:
            conversation.send(answer())
            conversation.receive()
        conversation.reset()

    with Server(answer_once_then_reset) as server, engine(server.host) as transport:
        send(transport, post(server.url, b"first"))
        second = send(transport, post(server.url, b"second"))
    assert outcome(second) == (None, "unknown")
    assert server.arrivals == [b"first", b"second"]


def test_a_body_larger_than_the_buffers_is_not_sent_again_either() -> None:
    body = b"x" * 1_000_000

    def answer_once_then_hang_up_in_the_middle(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(answer())
        conversation.take(200_000)
        conversation.server.arrivals.append(b"part")

    with Server(answer_once_then_hang_up_in_the_middle) as server, engine(server.host) as transport:
        send(transport, post(server.url, b"first"))
        second = send(transport, post(server.url, body))
    assert outcome(second) == (None, "unknown")
    assert server.arrivals == [b"first", b"part"]


def test_over_http2_a_connection_that_dies_without_an_answer_does_not_bring_a_second_copy() -> None:
    def answer_once_then_hang_up(connection: Http2, stream: int) -> None:
        if len(connection.conversation.server.arrivals) > 1:
            connection.conversation.sock.close()
        else:
            connection.answer(stream)

    with http2_server(answer_once_then_hang_up) as server, engine(server.host) as transport:
        first = send(transport, post(server.url, b"first"))
        second = send(transport, post(server.url, b"second"))
    assert (outcome(first), outcome(second)) == ((200, None), (None, "unknown"))
    assert server.arrivals == [b"first", b"second"]


@pytest.mark.parametrize("how", ["refuse", "go_away"])
def test_an_http2_stream_that_the_server_refused_is_not_sent_again(how: str) -> None:
    """Safe to repeat by the protocol, but libcurl does not tell it from a dead connection: held as unknown."""

    def refuse(connection: Http2, stream: int) -> None:
        if how == "refuse":
            connection.refuse(stream)
        else:
            connection.go_away(0)
            connection.conversation.sock.close()

    with http2_server(refuse) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url, b"once"))
    assert outcome(exchange) == (None, "unknown")
    assert server.arrivals == [b"once"]


def test_a_post_without_a_body_is_refused_because_nothing_would_stop_its_repetition() -> None:
    with Server(polite) as server, engine(server.host) as transport:
        with pytest.raises(NotAllowed, match="without a body"):
            transport.submit("token", post(server.url, b""))
        assert transport.in_flight == 0
    assert server.arrivals == []


# What the caller is told.


def test_a_refused_port_is_not_sent() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        host = f"127.0.0.1:{taken.getsockname()[1]}"
    with engine(host) as transport:
        exchange = send(transport, post(f"http://{host}/"))
    assert outcome(exchange) == (None, "not_sent")
    assert "connect" in exchange.detail.lower()


def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    with engine("nowhere.invalid") as transport:
        exchange = send(transport, post("https://nowhere.invalid/v1?token=secret"))
    assert outcome(exchange) == (None, "not_sent")
    assert "secret" not in exchange.detail


def test_a_connection_that_cannot_be_made_in_time_is_not_sent() -> None:
    """A full backlog: the kernel leaves the next connection unanswered."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        host = f"127.0.0.1:{address[1]}"
        with engine(host, connect_timeout=SHORT) as transport:
            exchange = send(transport, post(f"http://{host}/"))
        for filler in fillers:
            filler.close()
    assert outcome(exchange) == (None, "not_sent")


def test_a_certificate_that_nobody_trusts_is_not_sent() -> None:
    with (
        Server(polite, tls=True) as server,
        Transport(frozenset({server.host}), Handles(connect_timeout=LONG, timeout=LONG)) as transport,
    ):
        exchange = send(transport, post(server.url))
    assert outcome(exchange) == (None, "not_sent")
    assert server.arrivals == []


def test_a_server_that_hangs_up_during_the_tls_handshake_is_not_sent() -> None:
    with Server(lambda conversation: conversation.reset()) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url.replace("http://", "https://")))
    assert outcome(exchange) == (None, "not_sent")


def test_a_reset_before_the_server_read_anything_is_unknown() -> None:
    """Our bytes were already in its buffers; only the server knows that it did not read them."""

    def reset_when_something_is_there(conversation: Conversation) -> None:
        conversation.sock.recv(1, socket.MSG_PEEK)
        conversation.reset()

    with Server(reset_when_something_is_there) as server, engine(server.host) as transport:
        assert outcome(send(transport, post(server.url))) == (None, "unknown")


def test_a_reset_after_the_server_read_everything_is_unknown() -> None:
    def reset_after_reading(conversation: Conversation) -> None:
        conversation.receive()
        conversation.reset()

    with Server(reset_after_reading) as server, engine(server.host) as transport:
        assert outcome(send(transport, post(server.url, b"once"))) == (None, "unknown")
    assert server.arrivals == [b"once"]


def test_a_server_that_never_answers_is_unknown_after_the_timeout() -> None:
    def say_nothing(conversation: Conversation) -> None:
        conversation.receive()
        conversation.wait_for_end()

    with Server(say_nothing) as server, engine(server.host, timeout=SHORT) as transport:
        exchange = send(transport, post(server.url, b"once"))
    assert outcome(exchange) == (None, "unknown")
    assert exchange.seconds >= SHORT.total_seconds()
    assert server.arrivals == [b"once"]


def test_half_an_answer_is_unknown() -> None:
    def answer_half(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"messages":[')

    with Server(answer_half) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url, b"once"))
    assert (outcome(exchange), exchange.body) == ((None, "unknown"), b"")
    assert server.arrivals == [b"once"]


def test_an_answer_cut_in_its_headers_has_a_status_and_no_body() -> None:
    """The status line is an answer; a 200 without a message id is then UNKNOWN to every adapter."""

    def answer_a_status_line(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(b"HTTP/1.1 200 OK\r\nContent-Le")

    with Server(answer_a_status_line) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url))
    assert (outcome(exchange), exchange.body) == ((200, None), b"")


def test_something_that_is_not_http_is_unknown() -> None:
    def speak_another_language(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(b"220 mail.example ESMTP\r\n")

    with Server(speak_another_language) as server, engine(server.host) as transport:
        assert outcome(send(transport, post(server.url))) == (None, "unknown")


def test_an_html_error_page_is_an_answer_for_the_adapter_to_judge() -> None:
    page = b"<html><h1>502 Bad Gateway</h1></html>"

    def bad_gateway(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(answer(page, "502 Bad Gateway", b"Content-Type: text/html\r\n"))

    with Server(bad_gateway) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url))
    assert (outcome(exchange), exchange.body, exchange.detail) == ((502, None), page, "")


def test_a_redirect_is_not_followed() -> None:
    def redirect(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(answer(b"", "307 Temporary Redirect", b"Location: http://127.0.0.1:1/\r\n"))

    with Server(redirect) as server, engine(server.host) as transport:
        assert outcome(send(transport, post(server.url))) == (307, None)


def test_of_a_huge_answer_only_the_beginning_is_kept() -> None:
    def flood(conversation: Conversation) -> None:
        conversation.receive()
        conversation.send(answer(b"a" * (BODY_KEPT + 70_000)))

    with Server(flood) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url))
    assert (exchange.status, len(exchange.body)) == (200, BODY_KEPT)


# What the server sees.


def test_the_request_arrives_as_it_was_built() -> None:
    with Server(polite) as server, engine(server.host) as transport:
        exchange = send(transport, post(server.url, b'{"a":1}', ("Authorization: Bearer t", "Content-Type: text/x")))
    assert (exchange.token, exchange.status, exchange.body) == ("token", 200, b'{"a":1}')
    lines = server.heads[0].decode().split("\r\n")
    assert lines[0] == "POST /v25.0/1/messages HTTP/1.1"
    assert {"Authorization: Bearer t", "Content-Type: text/x", "Content-Length: 7"} <= set(lines)
    assert not any(line.lower().startswith("expect") for line in lines)


def test_a_pooled_handle_carries_nothing_of_the_request_before() -> None:
    with Server(polite) as server, engine(server.host) as transport:
        send(transport, post(server.url, b"the longer first body", ("X-First: 1",)))
        second = send(transport, Request("GET", server.url + "?a=b", ("X-Second: 2",), b""))
        third = send(transport, post(server.url, b"third", ("X-Third: 3",)))
    assert [second.status, third.status] == [200, 200]
    assert server.arrivals == [b"the longer first body", b"", b"third"]
    assert server.heads[1].startswith(b"GET /v25.0/1/messages?a=b HTTP/1.1\r\n")
    assert b"X-Second: 2" in server.heads[1] and b"X-First" not in server.heads[1]
    assert b"X-Third: 3" in server.heads[2] and b"X-Second" not in server.heads[2]


def test_one_after_another_share_a_connection() -> None:
    with Server(polite) as server, engine(server.host) as transport:
        assert [send(transport, post(server.url)).status for _ in range(20)] == [200] * 20
    assert server.connections == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_two_hundred_in_flight_each_get_their_own_answer(tls: bool) -> None:
    everybody = threading.Barrier(200)

    def wait_for_the_others(conversation: Conversation) -> None:
        body = conversation.receive()
        everybody.wait(timeout=60)
        conversation.send(answer(body))

    with Server(wait_for_the_others, tls=tls) as server, engine(server.host, connections=200) as transport:
        for index in range(200):
            transport.submit(index, post(server.url, b"%d" % index))
        assert transport.in_flight == 200
        exchanges = finish(transport)
    assert {exchange.token: exchange.body for exchange in exchanges} == {i: b"%d" % i for i in range(200)}
    assert len(exchanges) == len(server.arrivals) == 200


def in_company_of(everybody: threading.Barrier) -> Script:
    """Answers when as many requests are there as the barrier wants."""

    def wait_for_the_others(conversation: Conversation) -> None:
        while True:
            body = conversation.receive()
            everybody.wait(timeout=60)
            conversation.send(answer(body))

    return wait_for_the_others


def test_a_burst_on_open_connections_does_not_wait_for_the_answer_to_its_first_request() -> None:
    with Server(in_company_of(threading.Barrier(5))) as server, engine(server.host) as transport:
        for _ in range(2):
            for index in range(5):
                transport.submit(index, post(server.url))
            assert [exchange.status for exchange in finish(transport)] == [200] * 5
    assert server.connections == 5


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("notifier.handles.time.monotonic", lambda: now[0])
    return now


def burst(transport: Transport, url: str, count: int) -> None:
    for index in range(count):
        transport.submit(index, post(url))
    assert [exchange.status for exchange in finish(transport)] == [200] * count


def test_engines_share_their_handles_and_each_keeps_its_connections() -> None:
    handles = Handles(connect_timeout=LONG, timeout=LONG)
    with Server(in_company_of(threading.Barrier(20))) as server:
        hosts = frozenset({server.host})
        with Transport(hosts, handles) as first, Transport(hosts, handles) as second:
            for transport in (first, second, first, second):
                burst(transport, server.url, 20)
    assert (len(handles), server.connections) == (20, 40)


def test_handles_that_nobody_needed_for_a_while_are_freed(moment: list[float]) -> None:
    handles = Handles(connect_timeout=LONG, timeout=LONG)
    held = []
    with Server(polite) as server, Transport(frozenset({server.host}), handles) as transport:
        for most in (30, 5, 1):
            burst(transport, server.url, most)
            moment[0] += SPARED.total_seconds()
            handles.free()
            held.append(len(handles))
    assert held == [30, 5, 1]


def test_handles_are_kept_between_two_looks_and_while_they_are_lent(moment: list[float]) -> None:
    handles = Handles(connect_timeout=LONG, timeout=LONG)
    with Server(polite) as server, Transport(frozenset({server.host}), handles) as transport:
        burst(transport, server.url, 30)
        handles.free()
        assert len(handles) == 30
        moment[0] += SPARED.total_seconds()
        handles.free()
        for index in range(7):
            transport.submit(index, post(server.url))
        moment[0] += SPARED.total_seconds()
        handles.free()
        assert len(handles) == 7
        assert [exchange.status for exchange in finish(transport)] == [200] * 7


def test_what_was_under_way_as_an_engine_closed_is_not_used_again() -> None:
    handles = Handles(connect_timeout=LONG, timeout=LONG)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with Transport(frozenset({host}), handles) as transport:
            for index in range(3):
                transport.submit(index, post(f"http://{host}/"))
            transport.poll(SHORT)
            assert len(handles) == 3
    assert len(handles) == 0


def test_more_requests_than_connections_wait_for_their_turn() -> None:
    with Server(polite) as server, engine(server.host, connections=3) as transport:
        for index in range(50):
            transport.submit(index, post(server.url, b"%d" % index))
        exchanges = finish(transport)
    assert sorted(exchange.body for exchange in exchanges) == sorted(b"%d" % i for i in range(50))
    assert server.connections <= 3


def test_http2_carries_many_requests_over_one_connection() -> None:
    with http2_server(Http2.answer) as server, engine(server.host) as transport:
        for index in range(30):
            transport.submit(index, post(server.url, b"%d" % index))
        exchanges = finish(transport)
    assert {exchange.token: (exchange.status, exchange.body) for exchange in exchanges} == {
        i: (200, b"%d" % i) for i in range(30)
    }
    assert server.connections == 1


def test_a_proxy_named_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Server(polite) as server, engine(server.host) as transport:
        assert send(transport, post(server.url)).status == 200


def test_a_configured_proxy_is_used() -> None:
    with Server(polite) as proxy:
        handles = Handles(connect_timeout=LONG, timeout=LONG, proxy=f"http://{proxy.host}")
        with Transport(frozenset({"shop.invalid"}), handles) as transport:
            assert send(transport, post("http://shop.invalid/x")).status == 200
    assert proxy.heads[0].startswith(b"POST http://shop.invalid/x HTTP/1.1\r\n")


# What is refused, and when poll returns.


@pytest.mark.parametrize(
    "url",
    [
        "https://graph.example.evil/x",
        "https://graph.example:8443/x",
        "https://graph.example@evil.example/x",
        "https://evil.example\\@graph.example/x",
        "ftp://graph.example/x",
        "file:///etc/passwd",
        "https://graph.example/a b",
        "https://graph.example/\r\nX-Evil: 1",
        "https://gräph.example/x",
    ],
)
def test_a_url_that_is_not_a_configured_senders_is_refused(url: str) -> None:
    with engine("graph.example") as transport:
        with pytest.raises(NotAllowed):
            transport.submit("token", post(url))
        assert (transport.in_flight, transport.poll(LONG)) == (0, [])


def test_a_header_with_a_line_break_is_refused_without_showing_its_value() -> None:
    with engine("graph.example") as transport:
        with pytest.raises(NotAllowed) as refused:
            transport.submit("token", post("https://graph.example/", headers=("Authorization: Bearer s3cret\r\nX: y",)))
        assert transport.in_flight == 0
    assert "Authorization" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_poll_with_nothing_in_flight_returns_at_once() -> None:
    with engine() as transport:
        assert transport.poll(timedelta(days=1)) == []


def test_poll_returns_empty_when_the_wait_is_over_and_the_request_stays_in_flight() -> None:
    release = threading.Event()

    def answer_when_told(conversation: Conversation) -> None:
        conversation.receive()
        release.wait(timeout=60)
        conversation.send(answer())

    with Server(answer_when_told) as server, engine(server.host) as transport:
        transport.submit("token", post(server.url))
        assert transport.poll(timedelta(0)) == []
        assert transport.poll(timedelta(milliseconds=20)) == []
        assert transport.in_flight == 1
        release.set()
        assert [outcome(exchange) for exchange in finish(transport)] == [(200, None)]


def test_an_interrupt_ends_a_poll_that_waits_and_costs_no_answer() -> None:
    release = threading.Event()

    def answer_when_told(conversation: Conversation) -> None:
        conversation.receive()
        release.wait(timeout=60)
        conversation.send(answer())

    with Server(answer_when_told) as server, engine(server.host) as transport:
        transport.submit("token", post(server.url))
        transport.poll(timedelta(milliseconds=20))
        bell = threading.Timer(0.02, transport.interrupt)
        bell.start()
        assert transport.poll(timedelta(days=1)) == []
        bell.join()
        release.set()
        assert [outcome(exchange) for exchange in finish(transport)] == [(200, None)]


def test_close_drops_what_is_in_flight_and_may_be_called_twice() -> None:
    def say_nothing(conversation: Conversation) -> None:
        conversation.receive()
        conversation.wait_for_end()

    with Server(say_nothing) as server, engine(server.host) as transport:
        transport.submit("started", post(server.url))
        transport.submit("held back", post(server.url))
        transport.close()
        assert transport.in_flight == 0


def test_an_exchange_does_not_show_the_answer_in_its_repr() -> None:
    exchange = Exchange("token", 200, b'{"input":"+16505551234"}', None, "", 0.1)
    assert "16505551234" not in repr(exchange)


def http2_server(reply: object) -> Server:
    assert callable(reply)
    return Server(lambda conversation: Http2(conversation, reply).serve(), tls=True, protocols=("h2",))
