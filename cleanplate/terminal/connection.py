"""The service that commands talk to: ``CLEANPLATE_URL`` and ``CLEANPLATE_API_KEY``, else the embedded one."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from cleanplate.base.home import address_path, key_path, stated_home
from cleanplate.base.loopback import is_loopback, local_url
from cleanplate.client.http import Client
from cleanplate.errors import UsageError


def connect() -> Client:
    """A client of the service that the environment names, or of the service in the home folder.

    Raises:
        UsageError: there is no key.
    """
    home = stated_home()
    (url, _), key = stated_url(), stated_key()
    if not key:
        if not is_loopback(urlsplit(url).hostname):
            # The embedded service's key is for this machine; no other machine may get it.
            raise UsageError(f"There is no API key for {url}: set CLEANPLATE_API_KEY.")
        if not key_path(home).exists():
            raise UsageError(
                f"There is no API key: set CLEANPLATE_API_KEY, or start the service with `cleanplate up` "
                f"(it writes {key_path(home)})."
            )
        key = key_path(home).read_text().strip()
    return Client(url, key)


def stated_url() -> tuple[str, bool]:
    """The service's address, and whether somebody names one: a variable, or the service in the home folder.

    Else it is the address at which a service with these settings would listen.
    """
    if url := os.environ.get("CLEANPLATE_URL", ""):
        return url.rstrip("/"), True
    path = address_path(stated_home())
    if path.exists():
        return path.read_text().strip(), True
    host, port = os.environ.get("CLEANPLATE_HOST") or "127.0.0.1", os.environ.get("CLEANPLATE_PORT") or "8787"
    return local_url(host, port), False


def stated_key() -> str:
    """The key of ``CLEANPLATE_API_KEY``, or of the file ``CLEANPLATE_API_KEY_FILE``; empty where neither is set.

    Raises:
        UsageError: both are set, or the file cannot be read.
    """
    key, path = os.environ.get("CLEANPLATE_API_KEY", ""), os.environ.get("CLEANPLATE_API_KEY_FILE", "")
    if not path:
        return key
    if key:
        raise UsageError("CLEANPLATE_API_KEY and CLEANPLATE_API_KEY_FILE are both set; set one of the two.")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise UsageError(f"CLEANPLATE_API_KEY_FILE: the file {path} cannot be read ({error.strerror}).") from None
