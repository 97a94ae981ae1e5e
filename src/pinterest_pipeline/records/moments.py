"""A moment that a person names, as records have it."""

from datetime import UTC, datetime


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970; a moment that names no zone is in UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
