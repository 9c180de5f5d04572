"""Where the server is and who asks: from arguments, the environment, or a profile file, in this order."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import httpx
from platformdirs import user_config_path

from bulk_client.errors import BadSettings

DEFAULT_URL: Final = "http://localhost:3000"
#: The profile that is taken when none is named.
DEFAULT_PROFILE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How the server is reached.

    Attributes:
        url: Of the server, with the prefix of the path if it has one.
        api_key: The key that is sent; None: none.
        token: A bearer token that is sent; None: none.
        account: The account that is named, for a server that asks for no credential; None: the default one.
        ca_file: Certificates by which a server is known, PEM; None: those that every program trusts.
        timeout: Seconds without any answer after which the server is taken to be away.
        patience: Seconds for which a request is tried again that failed in passing; 0: never.
    """

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    account: str | None = None
    ca_file: str | None = None
    timeout: float = 60.0
    patience: float = 120.0

    def __post_init__(self) -> None:
        """Check what can be checked without the server.

        Raises:
            BadSettings: the message names what is wrong; a credential is never in it.
        """
        try:
            url = httpx.URL(self.url)
        except (httpx.InvalidURL, TypeError):
            url = httpx.URL()
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
            raise BadSettings("The URL must be like https://bulk.example.com or http://localhost:3000/prefix.")
        for name in ("api_key", "token", "account"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value.isascii() and value.isprintable() and value):
                raise BadSettings(f"{name} must be printable ASCII characters.")
        for name in ("timeout", "patience"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise BadSettings(f"{name} must be a number of seconds.")

    @classmethod
    def of(cls, url: str | Connection | None, **given: Any) -> Connection:
        """Return a connection that is given whole, else that of ``load`` with its URL.

        Raises:
            BadSettings: something of it cannot be used.
        """
        return url if isinstance(url, Connection) else cls.load(url=url, **given)

    @classmethod
    def load(
        cls,
        *,
        profile: str | None = None,
        config_file: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **given: Any,
    ) -> Connection:
        """Return the connection of the arguments, else of ``BULK_…`` in the environment, else of a profile.

        Args:
            profile: The profile; None: that of ``BULK_PROFILE``, else ``default``, which need not exist.
            config_file: The profile file; None: that of ``BULK_CONFIG``, else the usual one (``default_file``).
            environment: The environment; None: that of this process.
            given: Fields of a connection; None: not given.

        Raises:
            BadSettings: something of it cannot be used.
        """
        environment = os.environ if environment is None else environment
        named = profile or environment.get("BULK_PROFILE")
        file = config_file or (Path(environment["BULK_CONFIG"]) if environment.get("BULK_CONFIG") else None)
        of_profile = _read_profile(file or default_file(), named, must_exist=file is not None)
        chosen = dict(of_profile)
        for setting in fields(cls):
            if value := environment.get(f"BULK_{setting.name.upper()}"):
                chosen[setting.name] = _seconds(setting.name, value) if setting.type == "float" else value
        chosen.update({name: value for name, value in given.items() if value is not None})
        if "url" in of_profile and chosen["url"] != of_profile["url"]:
            # A credential of the profile is for the server of the profile, and for no other.
            for name in ("api_key", "token"):
                if chosen.get(name) == of_profile.get(name):
                    chosen.pop(name, None)
        return replace(cls(), **chosen)


def default_file() -> Path:
    """Return where the profile file is when none is named."""
    return user_config_path("bulk-operations", appauthor=False) / "profiles.toml"


def _seconds(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadSettings(f"BULK_{name.upper()} must be a number of seconds.") from None


def _read_profile(file: Path, name: str | None, *, must_exist: bool) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            profiles = tomllib.load(stream)
    except FileNotFoundError:
        if must_exist or name is not None:
            raise BadSettings(f"There is no profile file {file}.") from None
        return {}
    except OSError as error:
        raise BadSettings(f"The profile file {file} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # What the parser says of it quotes the text, which may be a key.
        raise BadSettings(f"The profile file {file} is no TOML.") from None
    wanted = name or DEFAULT_PROFILE
    profile = profiles.get(wanted)
    if profile is None and name is None:
        return {}
    if not isinstance(profile, dict):
        raise BadSettings(f"The profile file {file} has no profile {wanted}; it has: {', '.join(profiles) or 'none'}.")
    known = [setting.name for setting in fields(Connection)]
    if unknown := set(profile) - set(known):
        raise BadSettings(f"Unknown in the profile: {', '.join(sorted(unknown))}. Known: {', '.join(known)}.")
    for setting in fields(Connection):
        value = profile.get(setting.name)
        if value is not None and setting.type != "float" and not isinstance(value, str):
            raise BadSettings(f"{setting.name} of the profile must be a text.")
    if (profile.get("api_key") or profile.get("token")) and os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BadSettings(f"The profile file {file} has a credential, and others may read it: chmod 600 {file}")
    return dict(profile)
