"""What the browser finds in a file before it is sent is what the server finds in it afterwards."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.csv.column_mapping import parse_mapping
from app.domain.csv.delimiters import DELIMITER_NAMES, SAMPLE_BYTES, guess_delimiter
from app.domain.csv.encodings import EncodingError, Transcoder
from app.domain.csv.header import Columns, read_header
from app.domain.csv.returned_results import RESULT_COLUMNS, as_uploaded
from app.domain.csv.text import read_records
from app.domain.entities import ENTITIES
from app.domain.operations import BULK_PATCH, find_operation
from app.domain.rows import check_records
from tests.support.browsing import Modules

#: Many texts go to the browser at once, so a few examples are many.
BATCHES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.lists(st.text('ab "",;|\t\r\n\'=_é€\0', max_size=40), min_size=20, max_size=60)

Ask = Callable[..., Any]


@pytest.fixture
def ask(modules: Modules) -> Ask:
    """Evaluates an expression of ``module`` for each ``call`` of a list; the values, in its order."""

    def ask(module: str, expression: str, calls: list[Any]) -> list[Any]:
        return list(modules.run(module, f"(module, calls) => calls.map((call) => {expression})", calls))

    return ask


# Records


@BATCHES
@given(texts=TEXTS, delimiter=st.sampled_from(list(DELIMITER_NAMES)))
def test_records_are_the_servers(ask: Ask, texts: list[str], delimiter: str) -> None:
    """Every text is split as the server splits it, open quotes and stray ones included."""
    found = ask(
        "domain/csv.js",
        "(({ records, openQuote }) => [records, openQuote])(module.readRecords(...call))",
        [[text, delimiter] for text in texts],
    )
    for text, (records, open_quote) in zip(texts, found, strict=True):
        expected, is_open = read_records(text, delimiter)
        if is_open:
            # The server's record has its own end of the text in the open field.
            expected[-1][-1] = expected[-1][-1].removesuffix("\n\0\n")
        assert (records, open_quote) == (expected, is_open), repr(text)


@BATCHES
@given(cells=st.lists(st.text("'=+-@\t\r\n＝ab", max_size=5), min_size=30))
def test_restored_cells_are_the_servers(ask: Ask, cells: list[str]) -> None:
    """What was put in front of the cells of a results file is taken off as the server takes it off."""
    names = ("a", "b", *RESULT_COLUMNS)
    codes = ("", "WRONG_FIELD_COUNT", "CREATED")
    records = [[cell, cell, "1", "FAILED", codes[place % 3], "", "", ""] for place, cell in enumerate(cells)]
    found = ask("domain/csv.js", "module.asUploaded(...call)", [[record, names] for record in records])
    assert found == as_uploaded(records, names)


# Delimiters

WANTED = ("id", "name", "Email", "status")
SAMPLES = [
    ';"',
    'a;"b',
    "",
    "id\n1\n2\n",
    "id;price\n1;3,50\n2;4,20\n",
    "name, first;id\nLovelace, Ada;1\nBo;2\n",
    "a|b,c|d\n1|2|3\n",
    "id,name;s\n1,A\n2,B\n3,C;D\n",
    "id,name;x\n1,A\n2,B;y\n3;z\n4;z\n",
    "\n\nid\tname\n1\tA, B\n",
    '"id";"name; or, not"\n1;2\n',
    "sep=|\nid;name\n1;2\n",
    '"sep=;"\r\nid,name\r\n',
    "SEP=,",
    "sep=x\nid;name\n",
    ",,\n" * 9,
    "id;name\n" + "1;Ada, the first\n" * 6000,
    "id;name\n" + "1;Jürgen, zürich\n" * 6000,
]


@pytest.mark.parametrize("wanted", [(), WANTED], ids=["unknown", "known"])
def test_delimiters_are_the_servers(ask: Ask, wanted: tuple[str, ...]) -> None:
    found = ask(
        "domain/delimiters.js",
        "(({ delimiter, source }) => [delimiter, source])(module.guessDelimiter(...call))",
        [[text, wanted] for text in SAMPLES],
    )
    expected = [guess_delimiter(text.encode()[:SAMPLE_BYTES], wanted) for text in SAMPLES]
    assert [tuple(each) for each in found] == [(guess.delimiter, guess.source.value) for guess in expected]


@BATCHES
@given(texts=TEXTS, wanted=st.lists(st.text("abé", max_size=2), max_size=4))
def test_any_delimiter_is_the_servers(ask: Ask, texts: list[str], wanted: list[str]) -> None:
    found = ask(
        "domain/delimiters.js",
        "(({ delimiter, source }) => [delimiter, source])(module.guessDelimiter(...call))",
        [[text, wanted] for text in texts],
    )
    for text, answer in zip(texts, found, strict=True):
        guess = guess_delimiter(text.encode(), wanted)
        assert answer == [guess.delimiter, guess.source.value], repr(text)


# Encodings

ROWS = "id,name\r\n" + "".join(f"{i},Jürgen Groß\r\n" for i in range(50))
FILES = {
    "ascii": b"id,name\n1,Ada\n",
    "utf-8": ROWS.encode(),
    "utf-8 with a mark": ROWS.encode("utf-8-sig"),
    "utf-8 with broken bytes": b"id,name\n" + "1,Jürgen\n".encode() * 9 + b"2,J\xfcrgen\n",
    "utf-8 with what could not be read": "id,name\n1,J�rgen\n".encode(),
    "utf-16 with a mark": ROWS.encode("utf-16"),
    "utf-16be with a mark": b"\xfe\xff" + ROWS.encode("utf-16-be"),
    "utf-16le": ROWS.encode("utf-16-le"),
    "utf-16be": ROWS.encode("utf-16-be"),
    "utf-32": ROWS.encode("utf-32"),
    "German": ROWS.encode("cp1252"),
    "French": "id,name\n1,François Lefèvre\n2,Zoë\n".encode("cp1252"),
    "Spanish": "id,name\n1,José Núñez\n".encode("cp1252"),
    "Portuguese": "id,name\n1,João Gonçalves\n2,Ação nº 5\n".encode("cp1252"),
    "Danish": "id,name\n1,„Søren“ – 5 €\n".encode("cp1252"),
    "Irish": ("id,name\n" + "1,O´Neil & d´Or\n" * 9).encode("cp1252"),
    "fraction": "id,name\n1,5½ kg\n".encode("cp1252"),
    "letter at the end": "id\n1é".encode("cp1252"),
    "euro": "id,name\n1,5 €\n".encode("iso8859-15"),
    "oe": "id,name\n1,Cœur\n2,Šimek\n".encode("iso8859-15"),
    "Russian": ("id,name\n" + "1,Сергей Смирнов\n" * 20).encode("cp1251"),
    "Russian of Unix": ("id,name\n" + "1,Сергей Смирнов\n" * 20).encode("koi8-r"),
    "Greek": ("id,name\n" + "1,Γιώργος Παπαδόπουλος\n" * 20).encode("cp1253"),
    "Chinese": ("id,name\n" + "1,王小明\n2,北京\n" * 20).encode("gb18030"),
    "Hebrew": ("id,name\n" + "1,דוד כהן\n" * 20).encode("cp1255"),
    "Macintosh": ("id,name\n" + "1,Jürgen Müller é è\n" * 20).encode("mac-roman"),
}


def encoding_of(data: bytes) -> str | None:
    """What the server takes a file for."""
    transcoder = Transcoder()
    try:
        transcoder.feed(data)
        transcoder.finish()
    except EncodingError:
        return None
    return transcoder.encoding.name


def test_encodings_are_the_servers(ask: Ask) -> None:
    """Files of the West are taken for what the server takes them for, and others for nothing."""
    found = ask(
        "domain/encodings.js",
        "module.guessEncoding(Uint8Array.from(atob(call), (char) => char.charCodeAt(0))).name",
        [base64.b64encode(data).decode() for data in FILES.values()],
    )
    assert dict(zip(FILES, found, strict=True)) == {name: encoding_of(data) for name, data in FILES.items()}


# Columns

HEADERS = [
    ("Contact", ["ID", " Name", "E-mail", "STATUS"], ["id", "name", "email", "status"]),
    ("Contact", ["Kundennummer", "Kunde", "E-Mail-Adresse", "Zustand"], ["id", "name", "email", "status"]),
    ("Contact", ["Vorname", "Nachname", "Mail", "Nr", "Status"], ["", "name", "email", "id", "status"]),
    ("Contact", ["A", "B", "C", "name"], ["id", "email", "status", "name"]),
    ("Contact", ["Geschäftliche E-Mail", "Anzeige", "x", "id"], ["email", "", "status", "id"]),
    ("Contact", ["email", "Email", "id", "name"], ["", "", "id", "name"]),
    ("Company", ["Nr.", "Firma", "Telefon", "Webseite", "Land", "Währung"], None),
    ("Lead", ["Nummer", "Ansprechpartner", "Firma", "Mobil", "e_mail", "Quelle"], None),
    ("Opportunity", ["Deal ID", "Titel", "Phase", "Betrag", "Abschlussdatum"], None),
    ("Task", ["Ticketnummer", "Betreff", "Status", "Prio", "Fällig am", "Zuständig"], None),
]
EXPECTED = {
    "Company": ["id", "name", "phone", "website", "country", "currency"],
    "Lead": ["id", "name", "company", "phone", "email", "source"],
    "Opportunity": ["id", "name", "stage", "amount", "closesOn"],
    "Task": ["id", "subject", "status", "priority", "dueAt", "assignee"],
}
VALUES = {
    "A": ["K-1", "K-2", "K-3"],
    "B": ["a@b.co", "c@d.de", "e@f.org"],
    "C": ["active", "Archived", "pending"],
    "x": ["active", "Archived", "pending"],
    "Geschäftliche E-Mail": ["a@b.co", "c@d.de", "e@f.org"],
    "Nachname": ["Groß", "Klein", "Mittel"],
}


def rows_of(names: list[str]) -> list[list[str]]:
    return [[VALUES.get(name, ["some text"] * 3)[row] for name in names] for row in range(3)]


def test_columns_are_matched(ask: Ask) -> None:
    """Columns are known by name, by what people call them, and by their values; each field is one column."""
    found = ask(
        "domain/columns.js",
        "module.matchColumns(...call).map(({ field }) => field)",
        [[names, rows_of(names), ENTITIES[entity].json_schema()] for entity, names, _ in HEADERS],
    )
    expected = [fields or EXPECTED[entity] for entity, _, fields in HEADERS]
    assert found == expected


def test_own_entity_is_matched_by_name(ask: Ask) -> None:
    """What other people call the fields of an entity of a company's own, nobody knows."""
    schema = {**ENTITIES["Contact"].json_schema(), "title": "Pet"}
    names = ["Kundennummer", "e_mail", "Name", "x"]
    [found] = ask("domain/columns.js", "module.matchColumns(...call)", [[names, rows_of(names), schema]])
    assert [each["field"] for each in found] == ["", "email", "name", "status"]


@BATCHES
@given(data=st.data())
def test_mapping_means_the_assignment(ask: Ask, data: st.DataObject) -> None:
    """The mapping that is sent makes of each column what the user has said, whatever the columns are called."""
    entity = ENTITIES["Contact"]
    names = st.sampled_from(
        ["id", "ID", " Name ", "naMe", "E-mail", "email", "ſtatus", "status", "x", "", "Straße", "K"]
    )
    calls = []
    for columns in data.draw(
        st.lists(st.lists(names, min_size=1, max_size=6, unique_by=lambda n: n.strip().casefold()))
    ):
        stripped = [name.strip() for name in columns]
        fields = data.draw(st.permutations([*entity.columns, "", "", ""]))[: len(columns)]
        calls.append([stripped, fields, list(entity.columns)])
    found = ask("domain/columns.js", "JSON.stringify(module.mappingOf(...call))", calls)
    for (columns, fields, _), mapping in zip(calls, found, strict=True):
        if "id" not in fields or not set(fields) - {"id", ""}:
            continue
        header = ",".join(columns).encode()
        read, wrong = read_header(entity, header, ",", parse_mapping(mapping) or None, operation=BULK_PATCH)
        assert read is not None, wrong
        used = entity.only([field for field in fields if field])
        assert read.positions(used) == tuple(fields.index(name) for name in used.columns)
        assert len(read.ignored(entity)) == fields.count("")


# Rows

CELLS = {
    "Contact": {
        "id": ["1", "", "4.9E+11", "x" * 129, "a\tb", "  7  "],
        "name": ["Ada", " ", "x" * 257, "Jürgen\nGroß"],
        "email": ["A@b.co", "nobody", "a@b", "ü@ö.de", "a@-b.co", "a..b@c.de", "a@b.co "],
        "status": ["active", "ARCHIVED", "aktiv", ""],
    },
    "Company": {
        "website": ["https://a.de", "http://a.de:80/x?y", "a.de", "ftp://a.de", "https://a b"],
        "phone": ["+49 (0)30 123-456", "0049 30 123456", "030 123456", "+4930", "+49 30 x"],
        "country": ["DE", "de", "DEU", "D1"],
        "employees": ["5", "-1", "5.5", "+7", "1" * 19],
        "revenue": [
            "1",
            "1.234,50",
            "1,234.50",
            "1,234",
            "1.234",
            "0,5",
            "1.234.567",
            "x",
            "1,23456",
            "12.3456",
            "1e5",
        ],
        "currency": ["EUR", "usd", "Euro"],
        "foundedOn": ["2026-01-31", "31.1.2026", "2026-02-30", "01/02/2026", "29.2.2024", "29.2.2023", "2026-1-1"],
        "customer": ["ja", "Nein", "1", "TRUE", "vielleicht"],
    },
    "Lead": {
        "score": ["0", "100", "101", "-1"],
        "contactedAt": ["2026-01-31", "2026-01-31T14:30:00Z", "2026-01-31 25:00", "morgen"],
    },
}
SOUND = {"id": "1", "name": "n", "email": "a@b.co", "status": "active", "currency": "EUR"}


def test_faults_of_cells_are_the_servers(ask: Ask) -> None:
    """A value is said to look wrong exactly where the server refuses it."""
    calls, refused = [], []
    for name, columns in CELLS.items():
        entity = ENTITIES[name]
        sound = {**SOUND, **({"status": "new"} if name == "Lead" else {})}
        for field, values in columns.items():
            for value in values:
                row = [{**sound, field: value}.get(column, "") for column in entity.columns]
                checked = check_records(entity, Columns(entity.columns), [row], False, 1)
                refused.append((name, field, value, [failure.column for failure in checked.failures]))
                calls.append([[row], entity.columns, entity.json_schema(), {"actionType": "BULK_UPDATE"}])
    found = ask("domain/rows.js", "module.checkRows(...call).map(({ column }) => call[1][column])", calls)
    assert [(*case[:3], columns) for case, columns in zip(refused, found, strict=True)] == refused


@pytest.mark.parametrize("action_type", ["BULK_UPDATE", "BULK_CREATE", "BULK_PATCH", "BULK_DELETE"])
def test_needed_columns_are_the_servers(ask: Ask, action_type: str) -> None:
    """What a file has to have for an action type is asked for before the server does."""
    entity = ENTITIES["Company"]
    operation = find_operation(action_type)
    assert operation is not None
    [needed] = ask("domain/columns.js", "module.neededFields(...call)", [[entity.json_schema(), action_type]])
    others = [] if action_type != "BULK_PATCH" else ["phone"]
    read, wrong = read_header(entity, ",".join([*needed, *others]).encode(), ",", operation=operation)
    assert read is not None, wrong
    for field in needed:
        fewer = [name for name in needed if name != field] or ["x"]
        assert read_header(entity, ",".join([*fewer, *others]).encode(), ",", operation=operation)[0] is None
