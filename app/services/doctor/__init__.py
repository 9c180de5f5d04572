"""The doctor: looks at everything an installation needs, whatever of it is there, and changes nothing that matters."""

from app.services.doctor.check import Check, Reported, examine
from app.services.doctor.installation import all_checks

__all__ = ["Check", "Reported", "all_checks", "examine"]
