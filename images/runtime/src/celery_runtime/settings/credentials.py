"""The secret files that are mounted beside settings.json."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from celery_runtime.errors import SettingsError
from celery_runtime.settings.document import refuse


@dataclass(frozen=True)
class Credentials:
    """What is mounted for one service; an absent file is None, never empty."""

    service: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    #: What Redis' sentinels ask for; Redis itself may ask for something else.
    sentinel_password: str | None = field(default=None, repr=False)
    #: The certificate authority to trust instead of the system's.
    ca_file: Path | None = None

    def required_username(self) -> str:
        """The user name, percent-encoded."""
        return encoded(self._mounted(self.username, "username"))

    def required_password(self) -> str:
        """The password, percent-encoded."""
        return encoded(self._mounted(self.password, "password"))

    def login(self, username: str = "") -> str:
        """user:password as a URL has it; a name that is no secret comes before a mounted one."""
        return f"{encoded(username or self.username or '')}:{self.required_password()}"

    def whole_url(self, *schemes: str) -> str | None:
        """The mounted URL, if it begins with one of the schemes; several are parted by ';'."""
        for url in (self.url or "").split(";") if self.url else ():
            if urlsplit(url).scheme not in schemes:
                # Never the URL itself: it carries the password.
                raise SettingsError(
                    f"The secret {self.service}/url must be a URL that begins with "
                    f"{' or '.join(f'{scheme}://' for scheme in schemes)}."
                )
        return self.url

    def _mounted(self, value: str | None, name: str) -> str:
        if value is None:
            raise SettingsError(
                f"The secret {self.service}/{name} is not mounted. Mount it, or the whole URL."
            )
        return value


@dataclass(frozen=True)
class Secrets:
    """The credentials of everything that Celery connects to."""

    broker: Credentials
    results: Credentials


def read(mounted: Path) -> Secrets:
    """The secret files below broker/ and results/."""
    return Secrets(_credentials(mounted, "broker"), _credentials(mounted, "results"))


def encoded(text: str) -> str:
    """A part of a URL, with every character that means something to it encoded."""
    return quote(text, safe="")


def address(host: str, port: int, path: str) -> str:
    """host:port as a URL has it; `path` is the key of settings.json to name in an error."""
    if not host:
        raise refuse(f"{path}.host", "is missing. Set it, or mount a whole URL as a secret.")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(mounted: Path, service: str) -> Credentials:
    folder = mounted / service
    ca_file = folder / "ca.crt"
    return Credentials(
        service,
        **{name: _secret(folder / name) for name in ("username", "password", "url")},
        sentinel_password=_secret(folder / "sentinel-password"),
        ca_file=ca_file if ca_file.exists() else None,
    )


def _secret(file: Path) -> str | None:
    text = read_text(file)
    # Secrets made with `echo` end in a newline that nobody typed.
    value = None if text is None else text.rstrip("\r\n")
    if value == "":
        raise SettingsError(f"The secret {file} is empty. Give it a value, or do not mount it.")
    return value


def read_text(file: Path) -> str | None:
    """The text of a mounted file, or None when it is not there."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read: {error}. It must be a text file that uid {os.getuid()} may "
            "read: check the volume's items, defaultMode and fsGroup."
        ) from error
