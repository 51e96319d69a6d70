"""Django's test client as a person, and what it reads on a page."""

from html import unescape
from typing import Any

from django.test import Client
from django.utils.html import strip_tags

from apps.accounts.models import User


class Window:
    """A browser window of one person; each call is one request."""

    def __init__(self, user: User) -> None:
        self.client = Client()
        self.client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    def read(self, path: str) -> str:
        """The text of a page that opens, with its spaces folded."""
        return self._text(self.client.get(path))

    def html(self, path: str) -> str:
        """A page that opens, as it is sent."""
        answer = self.client.get(path)
        assert answer.status_code == 200
        return answer.content.decode()

    def send(self, path: str, **fields: object) -> str:
        """The text of the page that a form leads to."""
        return self._text(self.client.post(path, fields, follow=True))

    def refused(self, path: str, **fields: object) -> tuple[int, str]:
        """Status and main text of the page that refuses a form sent from `/here/`."""
        answer = self.client.post(path, fields, headers={"Referer": "http://testserver/here/"})
        return answer.status_code, _main(answer)

    @staticmethod
    def _text(answer: Any) -> str:
        assert answer.status_code == 200, answer
        return _folded(answer.content.decode())


def _main(answer: Any) -> str:
    return _folded(answer.content.decode().partition("<main")[2])


def _folded(html: str) -> str:
    """The text between the tags."""
    return " ".join(unescape(strip_tags(html.replace("<", " <"))).split())
