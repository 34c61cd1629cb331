"""`notifier gateway`: the HTTP side."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", default=None, help="Address to listen on; the setting gateway_host by default.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port; the setting gateway_port by default.")
def gateway(host: str | None, port: int | None) -> None:
    """Run the gateway: receipts of providers, health and metrics.

    \b
      notifier gateway --port 8080
    """
    import uvicorn

    from notifier.gateway.patience import PatientProtocol
    from notifier.settings import load_settings

    settings = load_settings()
    uvicorn.run(
        "notifier.gateway:app",
        factory=True,
        http=PatientProtocol,
        host=host or settings.gateway_host,
        port=settings.gateway_port if port is None else port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the caller's address: signatures are checked over public_url
        timeout_graceful_shutdown=20,
    )
