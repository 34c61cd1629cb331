"""How much of everything a run takes: the full one, and the short one that only shows that the bench works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts and seconds of one run."""

    rounds: int
    peer_rounds: int  # against peers: more, for a ratio moves by a fifth from one round to the next
    backlog: int  # messages of one deliver round
    celery: int  # the same for the peers, so that a round of each takes some seconds
    bullmq: int
    bare: int
    tuning: int  # messages of one try while a peer is tuned, as a share of its round: 1 in this many
    door_calls: int
    door_posts: int  # events of one round over HTTP, one by one
    door_batches: int  # the same in lists of a thousand: how many lists
    door_webhooks: float  # seconds of webhooks at a steady rate
    ramp_from: float  # messages a second that the search for the sustainable rate begins at
    ramp_to: float  # and the last that it tries
    ramp_step: float  # seconds that each rate of the ramp is held
    too_old: float  # seconds: a queue whose first entry is older is not kept up with
    kept_up: float  # share of what is fed that must come out meanwhile
    steady: float  # seconds that a rate must hold
    limiter: float  # seconds of counting
    throttled: float
    latency: float  # seconds of 5 events each
    waiting_bulk: int
    old_rows: int
    lanes: int
    memory: tuple[int, int]  # messages: first look, last look


FULL = Sizes(
    rounds=3,
    peer_rounds=7,
    backlog=30_000,
    celery=1_500,
    bullmq=12_000,
    bare=60_000,
    tuning=3,
    door_calls=5_000,
    door_posts=30_000,
    door_batches=100,
    door_webhooks=10,
    ramp_from=500,
    ramp_to=20_000,
    ramp_step=6,
    too_old=2,
    kept_up=0.98,
    steady=60,
    limiter=61,
    throttled=45,
    latency=60,
    waiting_bulk=200_000,
    old_rows=5_000_000,
    lanes=1_000,
    memory=(100_000, 1_000_000),
)
SHORT = Sizes(
    rounds=1,
    peer_rounds=1,
    backlog=1_000,
    celery=60,
    bullmq=400,
    bare=1_000,
    tuning=2,
    door_calls=200,
    door_posts=200,
    door_batches=4,
    door_webhooks=0.5,
    ramp_from=50,
    ramp_to=60,
    ramp_step=1,
    too_old=60,
    kept_up=0.01,
    steady=3,
    limiter=3,
    throttled=3,
    latency=3,
    waiting_bulk=2_000,
    old_rows=5_000,
    lanes=20,
    memory=(500, 2_000),
)
