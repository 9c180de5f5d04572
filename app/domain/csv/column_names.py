"""Which columns of a file are probably the fields that it lacks, by the names that people give to columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from app.domain.nearest import fold, nearest

#: Other names of fields in the exports of common programs, folded (``app.domain.nearest.fold``).
_SYNONYMS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "id": frozenset(
            {"nr", "no", "number", "nummer", "key", "code", "uid", "uuid", "recordid", "externalid", "contactid"}
            | {"customerid", "customernumber", "customerno", "kundennummer", "kundennr", "personid"}
        ),
        "name": frozenset(
            {"fullname", "displayname", "contactname", "customername", "contact", "customer", "kunde", "kundenname"}
            | {"vollername", "nom", "nombre"}
        ),
        "email": frozenset(
            {"mail", "emailaddress", "mailaddress", "emailadresse", "mailadresse", "workemail", "primaryemail"}
            | {"correo", "courriel"}
        ),
        "status": frozenset({"state", "zustand", "stage", "lifecyclestage", "contactstatus", "estado", "statut"}),
        "phone": frozenset({"tel", "telephone", "telefon", "mobile", "phonenumber", "telefonnummer", "telefono"}),
        "website": frozenset({"url", "web", "homepage", "webseite", "site"}),
        "country": frozenset({"countrycode", "land", "pays", "pais"}),
        "currency": frozenset({"währung", "waehrung", "currencycode", "devise", "moneda"}),
        "amount": frozenset({"value", "betrag", "summe", "total", "dealvalue", "montant", "importe"}),
        "revenue": frozenset({"annualrevenue", "umsatz", "turnover"}),
        "employees": frozenset({"employeecount", "numberofemployees", "mitarbeiter"}),
        "stage": frozenset({"dealstage", "phase", "status"}),
        "closesOn": frozenset({"closedate", "closingdate", "expectedclosedate", "abschlussdatum"}),
        "subject": frozenset({"title", "betreff", "task", "aufgabe"}),
        "dueAt": frozenset({"duedate", "due", "deadline", "fällig", "fälligam"}),
    }
)


def probable_columns(columns: Sequence[str], missing: Iterable[str]) -> dict[str, str]:
    """Return for columns of a file the missing field that each probably is, each field once.

    A name that only differs in what people write differently comes first, then a synonym, then one that is near.
    """
    found: dict[str, str] = {}
    for field in missing:
        free = [column for column in columns if column not in found and column]
        column = _of(field, free)
        if column is not None:
            found[column] = field
    return found


def _of(field: str, columns: Sequence[str]) -> str | None:
    wanted = fold(field)
    synonyms = _SYNONYMS.get(field, frozenset())
    for fits in (lambda folded: folded == wanted, lambda folded: folded in synonyms):
        for column in columns:
            if fits(fold(column)):
                return column
    # A name of two letters is near to too many.
    return nearest(field, columns) if len(wanted) > 2 else None
