"""What is wrong with a tap, or with what is asked of one."""

from weir_core.datasets.cursors import is_state
from weir_workers.connectors.contract import Source, Wanted
from weir_workers.connectors.errors import SourceError
from weir_workers.connectors.tap_messages import Failed


def invalid(message: str, code: str) -> SourceError:
    """Somebody has to change the settings, or the tap."""
    return SourceError("INVALID_INPUT", message, code=code)


def ended(code: int, words: str) -> SourceError:
    """It did not end well; `words` are its last."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return SourceError("DEPENDENCY", f"the tap {how}{f': {words}' if words else ''}", code="tap.exit")


def failed(why: Failed) -> SourceError:
    """It has said so itself; secrets are taken out already."""
    kind = "INVALID_INPUT" if why.lasting else "DEPENDENCY"
    return SourceError(kind, f"the tap failed: {why.text}", code="tap.failed")


def check_source(source: Source) -> None:
    """SourceError where its connection may not dial anywhere."""
    if not source.allow_private:
        raise invalid(
            "a tap dials by itself, and nobody checks where: its connection needs `allow_private_addresses`",
            "address.refused",
        )


def check_wanted(wanted: Wanted) -> None:
    """SourceError where a tap can't do it."""
    if wanted.until is not None:
        raise invalid("a tap can't read up to a value, so there are no backfills", "settings.invalid")
    if wanted.cursor is not None and not is_state(wanted.cursor):
        raise invalid(
            'a tap\'s cursor is its STATE, such as state:{"state":{"bookmarks":{}}}; set it anew, or to none',
            "settings.invalid",
        )
