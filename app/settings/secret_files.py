"""Secrets that come from files, as containers get them: ``NAME_FILE`` names the file with the value of ``NAME``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_SUFFIX = "_file"


class SecretFileError(ValueError):
    """A secret cannot be taken from its file; the message is the reason for each ``NAME_FILE`` in ``reasons``."""

    def __init__(self, reasons: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(", ".join(reasons))
        #: Name of the setting → reason, path.
        self.reasons = dict(reasons)


class SecretFiles(PydanticBaseSettingsSource):
    """The values of those secrets whose ``NAME_FILE`` is set.

    Args:
        settings: the class of the settings.
        secrets: the names of the fields that may come from a file.
        places: what is set, in lower case, the place that goes before the others first.
    """

    def __init__(
        self, settings: type[BaseSettings], secrets: Collection[str], *places: Mapping[str, str | None]
    ) -> None:
        super().__init__(settings)
        self._secrets = secrets
        self._places = places

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the values are read together, so that all that is wrong is said together."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read the files.

        Raises:
            SecretFileError: some cannot be read, or the secret is set beside its file.
        """
        values: dict[str, Any] = {}
        wrong: dict[str, tuple[str, str]] = {}
        for name in self._secrets:
            path = self._set(name + _SUFFIX)
            if path is None:
                continue
            try:
                if self._set(name) is not None:
                    raise ValueError(f"{name.upper()} is set as well, and only one of them can be")
                values[name] = _read(Path(path))
            except ValueError as error:
                wrong[f"{name}{_SUFFIX}".upper()] = str(error), path
        if wrong:
            raise SecretFileError(wrong)
        return values

    def _set(self, name: str) -> str | None:
        return next((place[name] for place in self._places if place.get(name)), None)


def _read(path: Path) -> str:
    try:
        # Editors and `echo` end a file with a line end, which belongs to no secret.
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not secret:
        raise ValueError("is empty")
    return secret
