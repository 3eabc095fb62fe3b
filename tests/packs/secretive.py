"""Tasks that are given secrets, and tell them in all the ways that there are."""

import asyncio
import hashlib
import os
import subprocess
import sys
from typing import Any

from pydantic import BaseModel, field_validator

from weir.task import BlockingContext, Context, TaskFailure, task


class Given(BaseModel):
    """Secrets, and a way to tell them."""

    token: str
    pins: list[str] = []
    way: str = "return"

    @field_validator("token")
    @classmethod
    def is_none_of_ours(cls, token: str) -> str:
        """Refuse one, and show it."""
        if token.startswith("refused"):
            raise ValueError(f"{token} is not good")
        return token


class Told(BaseModel):
    """Texts that may hold the secret, and its digest, by which a test knows it."""

    digest: str
    texts: dict[str, Any] = {}


def told(given: Given, ctx: Context | BlockingContext) -> Told:
    """Tell the secret wherever one can be told, also where a text is cut."""
    token = given.token
    print("printed", token)
    sys.stderr.write(f"written {token}\n")
    ctx.progress(1, 2, unit=token, message="." * 490 + token)
    ctx.log.info(f"logged {token}", field=token, **{token: "key"})
    ctx.log.info(f"{'.' * 16_380}{token}")
    match given.way:
        case "raise":
            try:
                return {}[token]
            except KeyError as error:
                raise RuntimeError(f"with {token}") from error
        case "fail":
            raise TaskFailure("DEPENDENCY", token, code=token, http_status=500, host=token)
        case "exit":
            os._exit(3)
        case "large":
            return Told(digest=digest(given), texts={"large": f"{token} " * 200_000})
        case _:
            return Told(digest=digest(given), texts={token: [f"as {token}"], "pins": given.pins})


def digest(given: Given) -> str:
    """What tells which value came."""
    return hashlib.sha256(given.token.encode()).hexdigest()


@task("secretive.tell")
async def tell(given: Given, ctx: Context) -> Told:
    """Tell a secret."""
    match given.way:
        case "artifact":
            await ctx.artifact(f"of {given.token}", b"", media_type=given.token)
        case "checkpoint":
            await ctx.checkpoint({"at": [f"after {given.token}"]})
        case "child":
            child = await ctx.submit("secretive.tell_blocking", given.model_copy(update={"way": ""}), key="a")
            (end,) = await ctx.wait_for(child)
            return Told.model_validate(end.result())
        case "within":
            await ctx.submit("secretive.tell", {"token": f"Bearer {given.token}"}, key="a")
        case "labels":
            await ctx.submit("secretive.tell", {"token": "x"}, key="a", labels={"token": given.token})
        case "task":
            lost = asyncio.create_task(_raise(given.token))
            await asyncio.wait([lost])
            del lost
        case _:
            pass
    return told(given, ctx)


async def _raise(token: str) -> None:
    raise RuntimeError(f"nobody asks for {token}")


@task("secretive.tell_blocking")
def tell_blocking(given: Given, ctx: BlockingContext) -> Told:
    """Tell a secret, also by a process of its own."""
    subprocess.run(["cat"], input=f"by a child {given.token}\n".encode(), check=True)
    match given.way:
        case "artifact":
            ctx.artifact(f"of {given.token}", b"", media_type=given.token)
        case "checkpoint":
            ctx.checkpoint({"at": [f"after {given.token}"]})
        case "child":
            child = ctx.submit("secretive.tell", given.model_copy(update={"way": ""}), key="a")
            (end,) = ctx.wait_for(child)
            return Told.model_validate(end.result())
        case "within":
            ctx.submit("secretive.tell", {"token": f"Bearer {given.token}"}, key="a")
        case _:
            pass
    return told(given, ctx)
