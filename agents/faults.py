"""Which faults pass and which do not."""

from __future__ import annotations

from app.domain.faults import PassingFault

#: Faults of something we depend on, which is expected to come back. The storage and the event loop have no others.
TRANSIENT = (PassingFault, TimeoutError, OSError)


def is_transient(error: BaseException) -> bool:
    """Tell whether what failed may work when it is tried again."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(inner) for inner in error.exceptions)
    return isinstance(error, TRANSIENT)


def means_away(error: BaseException) -> bool:
    """Tell whether an error itself says that what we depend on cannot do its work now, whatever a probe finds."""
    if isinstance(error, BaseExceptionGroup):
        return any(means_away(inner) for inner in error.exceptions)
    return isinstance(error, PassingFault) and error.away
