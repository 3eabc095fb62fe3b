"""Checks on a run before what it read is shown, pure: what is asked, what was found, what speaks up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from statistics import median


class Check(StrEnum):
    """What a guard looks at; named as in the contract."""

    MIN_RECORDS = "min_records"
    MAX_RECORDS = "max_records"
    MIN_SHARE_OF_USUAL = "min_share_of_usual"
    MAX_QUARANTINE_SHARE = "max_quarantine_share"
    MAX_AGE = "max_age"
    MAX_NULL_SHARE = "max_null_share"


@dataclass(frozen=True, slots=True)
class Guard:
    """One check, with its limit: records, a share from 0 to 1, or seconds."""

    check: Check
    limit: float
    column: str = ""
    """For MAX_NULL_SHARE."""
    warn_only: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a run found."""

    records: int
    quarantined: int
    usual: Sequence[int] = ()
    """Records of the runs before it."""
    age: timedelta | None = None
    """Of the newest record, by the cursor field; None where that tells no time or there is no record."""
    nulls: Mapping[str, int] = field(default_factory=dict[str, int])
    """Nulls by column, of the columns that guards name."""


def complaint(guard: Guard, found: Found) -> str | None:
    """What a guard has to say, in one sentence; None where all is well."""
    limit = guard.limit
    match guard.check:
        case Check.MIN_RECORDS:
            return _if(found.records < limit, f"{found.records:,} records, at least {limit:,.0f} are wanted")
        case Check.MAX_RECORDS:
            return _if(found.records > limit, f"{found.records:,} records, at most {limit:,.0f} are wanted")
        case Check.MIN_SHARE_OF_USUAL:
            return _share_of_usual(limit, found)
        case Check.MAX_QUARANTINE_SHARE:
            share = found.quarantined / max(1, found.records + found.quarantined)
            text = f"{found.quarantined:,} records are in quarantine, {share:.1%} of all"
            return _if(share > limit, f"{text}; at most {limit:.1%} may be")
        case Check.MAX_AGE:
            return _age(timedelta(seconds=limit), found)
        case Check.MAX_NULL_SHARE:
            share = found.nulls.get(guard.column, 0) / max(1, found.records)
            return _if(share > limit, f"{share:.1%} of {guard.column!r} is null; at most {limit:.1%} may be")


def _share_of_usual(limit: float, found: Found) -> str | None:
    if not found.usual:
        return None
    usual = median(found.usual)
    text = f"{found.records:,} records, usual are {usual:,.0f}; at least {limit:.0%} of these are wanted"
    return _if(found.records < limit * usual, text)


def _age(limit: timedelta, found: Found) -> str | None:
    if found.age is None:
        return "no record tells how fresh the source is"
    return _if(
        found.age > limit, f"the newest record is {_short(found.age)} old; at most {_short(limit)} is allowed"
    )


def _short(length: timedelta) -> str:
    return str(timedelta(seconds=round(length.total_seconds())))


def _if(wrong: bool, text: str) -> str | None:  # noqa: FBT001
    return text if wrong else None
