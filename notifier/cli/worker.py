"""`notifier worker`: a Celery worker with the settings that were measured to be safe."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--queues", default="", metavar="A,B", help="Only these queues: intake, whatsapp, sms, email, receipts, sweeps."
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Tasks at a time; one drain or sweep takes one thread.",
)
@click.option("--name", default="", help="Name of this worker, unique among them.")
def worker(queues: str, threads: int, name: str) -> None:
    """Run a worker for all queues, or for some.

    Any number of workers on any number of machines may run; they share Redis and the ledger.

    \b
      notifier worker
      notifier worker --queues whatsapp,sms --threads 32
    """
    from workers.app import run_worker, runtime
    from workers.queues import QUEUES

    wanted = [queue.strip() for queue in queues.split(",") if queue.strip()]
    unknown = [queue for queue in wanted if queue not in QUEUES]
    if unknown:
        raise click.BadParameter(
            f"no queue named {', '.join(unknown)}; there are {', '.join(QUEUES)}", param_hint="--queues"
        )
    runtime()  # what is wrong with settings or templates is said in one line, and not by each task
    click.get_current_context().exit(run_worker(wanted, threads, name))
