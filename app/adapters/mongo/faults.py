"""What the exceptions of the driver mean to whoever uses the database."""

from __future__ import annotations

from bson.errors import BSONError
from pymongo.errors import DuplicateKeyError, PyMongoError

from app.adapters.mongo.errors import means_away
from app.adapters.translation import Translation
from app.domain.faults import Conflict, Dependency, PassingFault, PermanentFault


def _fault_of(error: PyMongoError | BSONError) -> PassingFault | PermanentFault:
    if isinstance(error, BSONError):
        # What cannot be encoded is no fault of the database.
        return PermanentFault(str(error))
    if isinstance(error, DuplicateKeyError):
        return Conflict(str(error), Dependency.DATABASE)
    return PassingFault(str(error), Dependency.DATABASE, away=means_away(error))


#: Whatever else the database says may pass: somebody mends it, or it was asked at a bad time.
MONGO = Translation(PyMongoError, BSONError, fault_of=_fault_of)
