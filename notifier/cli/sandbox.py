"""`notifier sandbox`: providers to practise on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON or TOML file: numbers, accounts, timings.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="Port to listen on.")
def sandbox(config: Path | None, host: str, port: int) -> None:
    """Run a sandbox that answers like the WhatsApp Cloud API and like Twilio, and shows what each phone would show.

    \b
      notifier sandbox --port 8090
    """
    import uvicorn

    from notifier.sandbox.app import create_app
    from notifier.sandbox.config import load_config, practice_config

    app = create_app(load_config(config) if config else practice_config())
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=5)
