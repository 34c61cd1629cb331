"""`notifier dead`: what reached nobody and what could not be planned, and a new try for it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from notifier import replay as movement
from notifier.cli.exits import LEFT_OVER, Refused
from notifier.cli.opened import open_for_command, open_stores_for_command, surroundings
from notifier.cli.printing import say_json, say_table
from notifier.ledger import replays
from notifier.replay import Fed, Verdict
from notifier.runtime import Runtime
from notifier.streams import Quarantined
from notifier.telling.story import sentence
from notifier.telling.words import masked, plain, stamp

MOST = 100_000  # what one `--all` takes: the quarantine holds no more, and more than that wants a second thought


@click.group()
def dead() -> None:
    """List what reached nobody and what was set aside as unreadable, and try it again."""


@dead.command(name="list")
@click.option("--shop", help="Notifications of this shop only.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Most rows of each table.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: notifications, quarantine.")
def list_command(shop: str | None, limit: int, as_json: bool) -> None:
    """Show notifications that were tried and reached nobody, and quarantined events, with their reasons.

    Exit status 1 when there are none. It changes nothing.

    \b
      notifier dead list --shop qamar-books
    """
    runtime = open_stores_for_command()
    with runtime.ledger.read() as conn:
        found = replays.unreached(conn, limit, shop)
    set_aside = runtime.quarantine.list(limit)
    if as_json:
        say_json({"notifications": [_as_json(one) for one in found], "quarantine": [_item(one) for one in set_aside]})
    else:
        _say_lists(found, set_aside)
    if not found and not set_aside:
        raise click.exceptions.Exit(LEFT_OVER)


def _as_json(one: replays.Unreached) -> dict[str, object]:
    names = ("notification_id", "shop", "order_id", "event", "state", "reason", "detail", "finished_at")
    told = {name: plain(getattr(one, name)) for name in names}
    return {**told, "sentence": sentence(one.reason), "phone": masked(one.phone), "may_have_arrived": one.lost}


def _item(one: Quarantined) -> dict[str, object]:
    door = one.fields.get(b"door", b"").decode()
    return {"id": one.id.decode(), "at": plain(one.at), "door": door, "reason": one.reason, "detail": one.detail}


def _say_lists(found: Sequence[replays.Unreached], set_aside: Sequence[Quarantined]) -> None:
    if found:
        head = ("notification", "shop", "order", "event", "to", "ended", "reason", "detail")
        say_table(head, [_cells(one) for one in found])
        click.echo(
            "\n`notifier why ORDER` tells the story; `notifier dead replay NOTIFICATION` tries it again", err=True
        )
    if set_aside:
        rows = [(one.id.decode(), stamp(one.at), one.reason, one.detail) for one in set_aside]
        click.echo()
        say_table(("quarantined", "set aside", "reason", "detail"), rows)
        click.echo("\n`notifier dead replay --quarantine ID` hands it to the inbox again", err=True)
    if not found and not set_aside:
        click.echo("nothing is dead: every notification was told, silenced by decision, or is under way")


def _cells(one: replays.Unreached) -> tuple[str, ...]:
    ended = stamp(one.finished_at)
    lost = "may have arrived" if one.lost else ""
    detail = ", ".join(part for part in (one.detail, lost) if part)
    return (
        *(one.notification_id, one.shop, one.order_id, one.event),
        *(masked(one.phone), ended, one.reason or "", detail),
    )


@dead.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "everything", is_flag=True, help="All that `notifier dead list` would show.")
@click.option("--shop", help="With --all: notifications of this shop only.")
@click.option("--quarantine", is_flag=True, help="Quarantined events, in place of notifications.")
@click.option(
    "--allow-double", is_flag=True, help="Also where an answer was lost and the customer may have it already."
)
@click.option("--yes", is_flag=True, help="Do it; without it --all only shows what it would do.")
def replay(
    ids: tuple[str, ...], everything: bool, shop: str | None, quarantine: bool, allow_double: bool, yes: bool
) -> None:
    """Give unreached notifications a new delivery, or (--quarantine) hand quarantined events to the inbox again.

    The new delivery takes the first allowed channel and is worth sending for the event's shelf life from now on.
    Consent, staleness and routes are asked again; what they forbid stays as it is, with the reason, and the exit
    status is 1.

    \b
      notifier dead replay 0198c0de00000000
      notifier dead replay --all --shop qamar-books --yes
      notifier dead replay --quarantine --all --yes
    """
    _check(ids, everything, shop, quarantine, allow_double)
    runtime, dry = open_for_command(), everything and not yes
    if quarantine:
        left = _replay_items(runtime, ids, everything, dry)
    else:
        left = _replay_notifications(runtime, ids, everything, shop, allow_double, dry)
    if dry:
        raise Refused("nothing was changed: add --yes to do it")
    if left:
        raise click.exceptions.Exit(LEFT_OVER)


def _check(ids: Sequence[str], everything: bool, shop: str | None, quarantine: bool, allow_double: bool) -> None:
    if bool(ids) == everything:
        raise click.UsageError("name the ids, or say --all")
    if shop and not everything:
        raise click.UsageError("--shop goes with --all")
    if quarantine and (shop or allow_double):
        raise click.UsageError("--shop and --allow-double are about notifications, not about the quarantine")


def _replay_notifications(
    runtime: Runtime, ids: Sequence[str], everything: bool, shop: str | None, allow_double: bool, dry: bool
) -> int:
    """How many were left as they are."""
    now = runtime.clock()
    if everything:
        with runtime.ledger.read() as conn:
            ids = [one.notification_id for one in replays.unreached(conn, MOST, shop)]
    if dry:
        with runtime.ledger.read() as conn:
            verdicts = movement.judge(conn, runtime, ids, now, allow_double=allow_double)
        _say_verdicts("would be tried again", verdicts)
        return 0
    with runtime.ledger.begin() as conn:
        report = movement.replay(conn, runtime, ids, now, surroundings().by, allow_double=allow_double)
    runtime.wake(report.lanes)
    _say_verdicts("tried again", [*report.opened, *report.refused])
    return len(report.refused)


def _say_verdicts(word: str, verdicts: Sequence[Verdict]) -> None:
    opened = [one for one in verdicts if not one.refused]
    if verdicts:
        head = ("notification", "shop", "order", "event", "verdict")
        say_table(head, [_verdict_cells(one) for one in verdicts])
    click.echo(f"{len(opened)} {word}, {len(verdicts) - len(opened)} left as they are")


def _verdict_cells(one: Verdict) -> tuple[str, ...]:
    about = (one.notification_id, one.shop or "-", one.order_id or "-", one.event or "-")
    if one.refused:
        return (*about, f"left: {one.refused.sentence}")
    return (*about, f"{one.channel} through {one.lane}")


def _replay_items(runtime: Runtime, ids: Sequence[str], everything: bool, dry: bool) -> int:
    found = list(runtime.quarantine.list(MOST))
    wanted = [one for one in found if everything or one.id.decode() in ids]
    unknown = [Fed(one, "no quarantined item has this id") for one in ids if one not in {i.id.decode() for i in found}]
    fed = _foreseen(runtime, wanted) if dry else movement.feed_again(runtime, wanted)
    results = [*fed, *unknown]
    if results:
        say_table(
            ("quarantined", "verdict"), [(one.id, f"left: {one.problem}" if one.problem else "in") for one in results]
        )
    left = sum(1 for one in results if one.problem)
    click.echo(f"{len(results) - left} {'would be handed' if dry else 'handed'} in again, {left} left as they are")
    return left


def _foreseen(runtime: Runtime, items: Sequence[Quarantined]) -> list[Fed]:
    checked = [(item.id.decode(), movement.check_item(runtime, item)) for item in items]
    return [Fed(found, problem if isinstance(problem, str) else None) for found, problem in checked]
