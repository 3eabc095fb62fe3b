"""A child process as its worker sees it: start, talk, kill."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from pydantic import SecretStr

from weir_core.config import Settings
from weir_workers.packs import BUILTIN
from weir_workers.pipe import Pipe
from weir_workers.wards import processes
from weir_workers.wards.ward import Ward, Wards

_HELLO_SECONDS: Final = 30.0
# What a pack of one's own has no business with: every secret setting, and what is not in the settings.
_HIDDEN: Final = {
    f"WEIR_{name.upper()}" for name, field in Settings.model_fields.items() if field.annotation is SecretStr
} | {"WEIR_ADMIN_PASSWORD", "NOTIFY_SOCKET"}
# pyarrow gives freed memory back at once: pages of all sizes come and go, and it would keep 20 MB for later.
_ALLOCATING: Final = {"MIMALLOC_PURGE_DELAY": "0"}


class ChildGone(Exception):
    """The child has ended, or did not come up."""


class Child:
    """One running child, under a warden."""

    def __init__(self, pack: str, ward: Ward, pipe: Pipe) -> None:
        self.pack = pack
        self._ward = ward
        self._pipe = pipe
        self.tasks: list[dict[str, Any]] = []
        self.connectors: list[dict[str, Any]] = []
        self.gone = False

    @classmethod
    async def start(cls, pack: str, wards: Wards) -> "Child":
        """Start a child and wait for its introduction."""
        ours, theirs = socket.socketpair()
        with theirs:
            environment = _ALLOCATING | os.environ if pack == BUILTIN else clean_environment()
            ward = await Ward.start(
                wards, theirs, "weir_workers.handlers.runner", pack, environment=environment
            )
        child = cls(pack, ward, await Pipe.open(ours))
        try:
            await child._introduce()
        except BaseException:
            await child.kill()
            raise
        return child

    async def _introduce(self) -> None:
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                hello = await self._pipe.receive()
        except TimeoutError:
            hello = None
        if hello is None:
            raise ChildGone(f"pack {self.pack!r} did not start; its error stands above")
        self.tasks, self.connectors = hello["tasks"], hello["connectors"]

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; ChildGone where nobody takes it."""
        if self.gone:
            raise ChildGone(f"pack {self.pack!r}: its process has ended")
        try:
            await self._pipe.send(message)
        except OSError as error:
            raise ChildGone(f"pack {self.pack!r}: {error}") from error

    def folder_of(self, task_id: UUID, attempt: int) -> Path:
        """Where a run's files lie that it hands over."""
        return self._ward.folder / processes.run_mark(str(task_id), attempt)

    async def messages(self) -> AsyncGenerator[dict[str, Any]]:
        """What the child says, until it is gone."""
        while (message := await self._pipe.receive()) is not None:
            yield message
        self.gone = True

    async def ended(self) -> str:
        """Wait until nothing of the child is left; how it ended."""
        return await self._ward.ended()

    async def kill(self) -> bool:
        """Kill the child with all that it started; False where that is not gone within 5 s."""
        self.gone = True
        gone = await self._ward.kill()
        self._pipe.close()
        return gone


def clean_environment() -> dict[str, str]:
    """What a pack of one's own may see of the worker's environment."""
    return {name: value for name, value in os.environ.items() if name not in _HIDDEN}
