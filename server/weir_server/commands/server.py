"""`weir server`: one gRPC server process."""

import asyncio
import gc
from collections.abc import Callable

import click

from weir_core import logs
from weir_core.config import Settings


@click.command("server")
@click.option("--listen", help="HOST:PORT of the gRPC port; default: WEIR_LISTEN, else 127.0.0.1:7443.")
@click.option("--http-listen", help="HOST:PORT for metrics and liveness over HTTP; default: none.")
@click.option("--insecure", is_flag=True, help="Allow plain text on an address that is not loopback.")
def command(listen: str | None, http_listen: str | None, *, insecure: bool) -> None:
    """Serve the gRPC API until SIGTERM."""
    # Nothing of what imports make is ever garbage; looking for some costs a sixth of the start.
    gc.disable()
    from weir_core.datasets.allocating import settle_allocator
    from weir_server.app import serve

    gc.freeze()
    gc.enable()
    given = {"listen": listen, "http_listen": http_listen, "insecure": insecure or None}
    settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
    logs.configure(settings)
    settle_allocator()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(settings))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
