from __future__ import annotations

import hashlib
import hmac
from itertools import pairwise

import pytest

from notifier.sandbox.faults import read_rules
from notifier.sandbox.record import Reply
from notifier.sandbox.webhooks import Update, envelope, meta_bytes, meta_signature, twilio_signature
from tests.unit.sandbox.bench import SECRET, Bench, shipped

WEEK = 7 * 24 * 3600.0


def test_the_bytes_are_escaped_as_meta_escapes_them() -> None:
    assert meta_bytes({"name": "سارة ä", "href": "/docs"}) == (
        b'{"name":"\\u0633\\u0627\\u0631\\u0629 \\u00e4","href":"\\/docs"}'
    )


def test_the_signature_is_over_the_raw_escaped_bytes_of_a_body_with_arabic_in_it() -> None:
    bench = Bench()
    bench.send()
    bench.advance(1.0)
    post = bench.script.carried[0]
    digest = hmac.new(SECRET.encode(), post.body, hashlib.sha256).hexdigest()
    assert post.headers["X-Hub-Signature-256"] == f"sha256={digest}"
    assert post.body.isascii()
    assert b"\\u0645" in post.body
    assert post.json["entry"][0]["changes"][0]["value"]["contacts"][0]["profile"]["name"].startswith("مستخدم")


def test_twilio_signs_the_address_and_the_sorted_parameters() -> None:
    # The worked example of Twilio's security page.
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    assert (
        twilio_signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    )


@pytest.mark.parametrize("reply", [201, 202, 204, 302, 400, 403, 500, "connect", "read"])
def test_anything_but_exactly_200_is_repeated(reply: Reply) -> None:
    bench = Bench()
    bench.script.replies = [reply, 200]
    bench.send(shipped("+966500000902"))
    bench.advance(30.0)
    first, second = bench.script.carried
    assert (first.body, first.headers, first.at, second.at) == (second.body, second.headers, 1.0, 1.0)
    assert (bench.last.receipts[0].replies, bench.last.receipts[0].state) == ([reply, 200], "taken")


def test_pauses_grow_to_the_cap_and_meta_gives_up_after_seven_days() -> None:
    bench = Bench()
    bench.script.replies = [500] * 1000
    bench.send(shipped("+966500000901"))
    bench.advance(WEEK + 1.0)
    times = [post.at for post in bench.script.carried]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:6] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]
    assert (max(pauses), pauses == sorted(pauses)) == (6 * 3600.0, True)
    assert WEEK - 6 * 3600.0 < times[-1] - times[0] <= WEEK
    assert bench.last.receipts[0].state == "given_up"
    bench.advance(WEEK)
    assert len(bench.script.carried) == len(times)


def test_a_batch_leaves_when_it_is_full_and_the_rest_when_its_window_is_over() -> None:
    bench = Bench(batch_size=4, batch_window=0.5, entry_size=3)
    for n in range(6):
        bench.send(shipped(f"+96650000000{n}"))
    bench.advance(1.7)
    posts = bench.script.carried
    sizes = [
        [len(change["value"]["statuses"]) for change in entry["changes"]]
        for post in posts
        for entry in post.json["entry"]
    ]
    assert ([post.at for post in posts], sizes) == ([1.0, 1.5], [[3], [1], [2]])


def test_a_thousand_updates_fit_into_one_post() -> None:
    bench = Bench(
        batch_size=1000,
        batch_window=0.5,
        numbers=(Bench().app.world.config.numbers[0].model_copy(update={"rate": 5000}),),
    )
    for n in range(1000):
        bench.send(shipped(f"+9665{n:04}001"))
    bench.advance(1.0)
    assert len(bench.script.carried) == 1
    assert len(bench.statuses()) == 1000


def test_failures_have_a_change_of_their_own_without_contacts() -> None:
    bench = Bench(batch_window=0.5)
    bench.send(shipped("+966500000001"))
    bench.send(shipped("+966500000901"))
    bench.advance(1.5)
    changes = bench.script.carried[0].json["entry"][0]["changes"]
    seen = [(change["value"]["statuses"][0]["status"], "contacts" in change["value"]) for change in changes]
    assert seen == [("sent", True), ("failed", False)]


def test_each_account_has_entries_of_its_own() -> None:
    updates = [
        Update(waba, "statuses", {"id": str(index)}, {"phone_number_id": "1"}) for index, waba in enumerate("aab")
    ]
    entries = envelope(updates, 25, 0)["entry"]
    assert [(entry["id"], len(entry["changes"][0]["value"]["statuses"])) for entry in entries] == [("a", 2), ("b", 1)]
    assert all("time" not in entry for entry in entries)


@pytest.mark.parametrize("reply, forged_accepted", [(403, 0), (200, 1)], ids=["refused", "taken"])
def test_a_forged_post_is_repeated_with_the_right_signature_whatever_it_was_answered(
    reply: Reply, forged_accepted: int
) -> None:
    bench = Bench()
    bench.app.world.faults.put(read_rules([{"receipts": "wrong_signature"}]), 0.0)
    bench.script.replies = [reply]
    bench.send(shipped("+966500000902"))
    bench.advance(30.0)
    forged, true = bench.script.carried
    assert forged.headers["X-Hub-Signature-256"] != meta_signature(SECRET, forged.body)
    assert true.headers["X-Hub-Signature-256"] == meta_signature(SECRET, true.body)
    assert (forged.body == true.body, bench.last.receipts[0].state) == (True, "taken")
    assert bench.app.world.record.summary()["receipts"]["forged_accepted"] == forged_accepted


def test_a_reply_to_a_post_from_before_a_reset_changes_nothing() -> None:
    bench = Bench()
    waiting = []
    bench.script.carry = lambda post, done: waiting.append((post, done))  # type: ignore[method-assign]
    bench.send(shipped("+966500000902"))
    bench.advance(1.0)
    bench.app.reset()
    post, done = waiting[0]
    done(post, 500)
    bench.advance(WEEK)
    assert len(waiting) == 1
