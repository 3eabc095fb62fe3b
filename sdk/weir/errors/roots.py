"""The roots of the tree, and what is wrong before anything is sent."""


class WeirError(Exception):
    """Base of everything that the SDK raises on its own account."""


class ClientError(WeirError):
    """The SDK was used in a way that can't work; nothing was sent."""


class InvalidValue(ClientError, ValueError):
    """An argument that can't be sent as it is; `path` says which part of it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path

    def __str__(self) -> str:
        return ": ".join(self.args)
