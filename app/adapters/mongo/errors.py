"""What an error of the database says: of a document, or of the server.

A server reports errors in two places: for a command as a whole, and for each of its statements. Neither place tells
which of the two it is; a step-down in the middle of a command is reported for each statement, and a router copies the
error of a shard to each statement meant for it. Only the code tells. What is not listed is a fault of the server.

Source of the codes: ``error_codes.yml`` of MongoDB.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pymongo.errors import NotPrimaryError, OperationFailure

#: A write that another one has overtaken; the second time, another record has the same unique value.
DUPLICATE_KEY = 11000

_UNSTORABLE = "its values cannot be stored"
_TOO_LARGE = "it is too large"

#: Codes that refuse a document, with the reason that may be told to whoever owns it.
_REASONS: Mapping[int, str] = MappingProxyType(
    {
        2: _UNSTORABLE,  # BadValue
        9: _UNSTORABLE,  # FailedToParse
        14: _UNSTORABLE,  # TypeMismatch
        22: _UNSTORABLE,  # InvalidBSON
        28: _UNSTORABLE,  # PathNotViable
        52: _UNSTORABLE,  # DollarPrefixedFieldName
        56: _UNSTORABLE,  # EmptyFieldName
        57: _UNSTORABLE,  # DottedFieldName
        66: _UNSTORABLE,  # ImmutableField
        121: "it breaks a rule of the collection",  # DocumentValidationFailure
        DUPLICATE_KEY: "another record has the same unique value",
        10334: _TOO_LARGE,  # BSONObjectTooLarge
        17280: _TOO_LARGE,  # KeyTooLong
        17419: _TOO_LARGE,  # resulting document after an update
        17420: _TOO_LARGE,  # document to be upserted
    }
)

#: Codes that say that the server cannot do its work now, whatever it is asked for.
_AWAY = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        24,  # LockTimeout
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        63,  # StaleShardVersion
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        100,  # UnsatisfiableWriteConcern
        112,  # WriteConflict
        133,  # FailedToSatisfyReadPreference
        150,  # StaleEpoch
        189,  # PrimarySteppedDown
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        317,  # ConnectionPoolExpired
        384,  # ConnectionError
        9001,  # SocketException
        10058,  # NotPrimary, before 4.4
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11601,  # Interrupted
        11602,  # InterruptedDueToReplStateChange
        13388,  # StaleConfig
        13435,  # NotPrimaryNoSecondaryOk
        13436,  # NotPrimaryOrSecondary
        14031,  # OutOfDiskSpace
    }
)


class StatementFault(OperationFailure):
    """A statement of a command failed, for a reason that is not its document's."""


def reason_of_refusal(code: int | None) -> str | None:
    """Return why a document was refused, in words that tell nothing of the server; None when it was not refused."""
    return None if code is None else _REASONS.get(code)


def means_away(error: BaseException) -> bool:
    """Tell whether an error says that the database cannot do its work now, so that trying again is all there is.

    A connection that breaks says nothing of the kind: it may have been broken by what was sent.
    """
    return isinstance(error, NotPrimaryError) or (isinstance(error, OperationFailure) and error.code in _AWAY)
