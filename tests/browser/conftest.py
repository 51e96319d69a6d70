"""A real server and a real browser. The server runs as the runtime role, as it does in earnest."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from apps.accounts.access import Role
from apps.accounts.models import User
from embedded.private import PrivateServices
from tests.registry.factories import make_user

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PASSWORD = "correct horse battery staple"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, saying why, where there is no browser to drive."""
    if not CHROMIUM.exists():
        skip = pytest.mark.skip(reason=f"there is no {CHROMIUM} here; .ci/run installs it")
        for item in items:
            if "tests/browser" in str(item.path):
                item.add_marker(skip)


@dataclass
class Site:
    """A running web process and a browser to look at it with."""

    url: str
    browser: Browser

    def page(self, *, width: int = 1440, theme: str = "light") -> Page:
        """A window of its own, with its own session."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    def sign_in(self, user: User, **options: Any) -> Page:
        """A window in which `user` has signed in."""
        page = self.page(**options)
        page.goto(f"{self.url}/sign-in/")
        page.fill("#id_username", user.username)
        page.fill("#id_password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("h1:has-text('Hello')")
        return page


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    # Its loop runs in this thread: Django refuses queries beside a loop, and asyncio's own tests
    # cannot run beside one, so it ends with the module.
    unsafe = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as running:
        yield running
    if unsafe is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def site(
    services: PrivateServices, transactional_db: None, playwright: Playwright, tmp_path: Path
) -> Iterator[Site]:
    """The web process on the test's own database."""
    port = _free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": services.app_url(str(connection.settings_dict["NAME"])),
        "WEB_URL": f"http://127.0.0.1:{port}",
    }
    environment.pop("DATABASE_OWNER_URL", None)
    with (tmp_path / "web.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "controlplane.asgi:application", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
    try:
        _wait(f"http://127.0.0.1:{port}/healthz", server)
        yield Site(f"http://127.0.0.1:{port}", browser)
    finally:
        browser.close()
        server.terminate()
        server.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Until `server` answers; another process on its port would keep it from starting."""
    for _ in range(400):
        assert server.poll() is None, f"the web process ended with {server.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  # our own server
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


@pytest.fixture
def person(transactional_db: None) -> "PersonFactory":
    return PersonFactory()


class PersonFactory:
    """People who can sign in."""

    def __call__(self, username: str, *roles: Role) -> User:
        user = make_user(username, *roles)
        # As the web process hashes; tests of this process may have put a quicker one first.
        user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
        user.save(update_fields=["password"])
        return user
