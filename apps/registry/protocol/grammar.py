"""MLflow's grammar of filters and orders, for models and versions: text to conditions.

    name ILIKE '%flights%' AND tags.`team name` = 'ops' AND version_number >= 3

A condition compares an attribute or a tag with a text in quotes, a whole number, or a list of
texts; conditions are joined by AND. Inside quotes a doubled quote stands for one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

TEXT = frozenset({"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"})
LISTLESS = TEXT - {"IN", "NOT IN"}
NUMBER = frozenset({"=", "!=", ">", ">=", "<", "<="})
PATTERNS = frozenset({"LIKE", "ILIKE"})
MAX_CONDITIONS = 20
MAX_LIST = 1000
MAX_INTEGER = 2**31 - 1

Value = str | int | tuple[str, ...]


class BadFilter(ValueError):
    """The text is not one of this grammar; the message says where and what would be."""


class BadOrder(ValueError):
    """The text names no order."""


@dataclass(frozen=True)
class Condition:
    """`kind` says what `key` names; `operator` is in capitals; `value` is a tuple for lists."""

    kind: Literal["attribute", "tag"]
    key: str
    operator: str
    value: Value


@dataclass(frozen=True)
class Order:
    """One column to sort by."""

    key: str
    ascending: bool = True


@dataclass(frozen=True)
class Vocabulary:
    """What can be asked about one kind of thing.

    `attributes` are the operators of each attribute; those of `numbers` take whole numbers.
    `orders` maps what results can be sorted by to our word for it.
    """

    attributes: Mapping[str, frozenset[str]]
    orders: Mapping[str, str]
    numbers: frozenset[str] = frozenset()


MODELS = Vocabulary(
    attributes={"name": TEXT},
    orders={
        "name": "name",
        "timestamp": "last_updated_timestamp",
        "last_updated_timestamp": "last_updated_timestamp",
        "creation_timestamp": "creation_timestamp",
    },
)
VERSIONS = Vocabulary(
    attributes={
        "name": TEXT,
        "run_id": TEXT,
        "source_path": LISTLESS,
        "version_number": NUMBER,
    },
    orders={
        name: name
        for name in ("name", "version_number", "creation_timestamp", "last_updated_timestamp")
    },
    numbers=frozenset({"version_number"}),
)

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<number>[+-]?\d+(?:\.\d+)?(?![\w.]))
    | (?P<operator><=|>=|!=|<>|=|<|>)
    | (?P<mark>[(),])
    | (?P<word>[^\s'"`=<>!(),]*(?:[`"][^`"]*[`"])?[^\s'"`=<>!(),]*)
    )""",
    re.VERBOSE,
)
_NAME = re.compile(r"(?:(?P<kind>\w+)\.)?(?P<key>`[^`]*`|\"[^\"]*\"|.+)", re.DOTALL)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_filter(text: str, vocabulary: Vocabulary) -> tuple[Condition, ...]:
    """The conditions of a filter, all of which must hold. Raises BadFilter."""
    if not text.strip():
        return ()
    if "\x00" in text:
        raise BadFilter("Invalid filter string: it holds a NUL character")
    conditions = tuple(_Reader(text, vocabulary).conditions())
    if len(conditions) > MAX_CONDITIONS:
        raise BadFilter(f"a filter has at most {MAX_CONDITIONS} conditions")
    return conditions


def parse_orders(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[Order, ...]:
    """What to sort by. Raises BadOrder."""
    orders = tuple(_order(text, vocabulary) for text in texts)
    keys = [order.key for order in orders]
    if len(keys) != len(set(keys)):
        raise BadOrder(f"`order_by` contains duplicate fields: {list(texts)}")
    return orders


def _order(text: str, vocabulary: Vocabulary) -> Order:
    words = text.split()
    direction = words[1].upper() if len(words) == 2 else "ASC"
    if len(words) not in (1, 2) or direction not in ("ASC", "DESC"):
        raise BadOrder(
            f"Invalid order_by clause {text!r}: it is a key, then ASC or DESC or nothing"
        )
    name = words[0].strip('`"').removeprefix("attribute.")
    key = vocabulary.orders.get(name)
    if key is None:
        raise BadOrder(
            f"Invalid order_by key {name!r}: valid keys are {_listed(vocabulary.orders)}"
        )
    return Order(key, ascending=direction == "ASC")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        kind = found.lastgroup if found else None
        if found is None or kind is None or found.end() == at or not found[kind]:
            raise BadFilter(f"Invalid clause(s) in filter string: {text[at : at + 40].strip()!r}")
        yield _Token(kind, found[kind], found.start(kind))
        at = found.end()


class _Reader:
    """Reads one filter from left to right."""

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self._text = text
        self._vocabulary = vocabulary
        self._tokens = list(_tokens(text))
        self._next = 0

    def conditions(self) -> Iterator[Condition]:
        yield self._condition()
        while self._peek() is not None:
            self._keyword("AND", "conditions are joined by AND")
            yield self._condition()

    def _condition(self) -> Condition:
        name = self._take("word", "an attribute or a tag")
        kind, key = self._identifier(name.text)
        operator = self._operator(kind, key)
        return Condition(kind, key, operator, self._value(key, kind, operator))

    def _identifier(self, text: str) -> tuple[Literal["attribute", "tag"], str]:
        found = _NAME.fullmatch(text)
        prefix = (found["kind"] or "attribute") if found else ""
        key = found["key"].strip('`"') if found else ""
        if prefix in ("tag", "tags") and key:
            return "tag", key
        if prefix != "attribute":
            raise BadFilter(
                f"Invalid entity type {prefix!r}: valid entity types are 'attribute', 'tag', 'tags'"
            )
        if key not in self._vocabulary.attributes:
            valid = _listed(self._vocabulary.attributes)
            raise BadFilter(f"Invalid attribute key {key!r} specified: valid keys are {valid}")
        return "attribute", key

    def _operator(self, kind: str, key: str) -> str:
        token = self._tokens[self._next] if self._peek() else None
        self._next += 1
        word = token.text.upper() if token and token.kind in ("operator", "word") else ""
        if word == "NOT":
            self._keyword("IN", "NOT goes with IN")
            word = "NOT IN"
        word = "!=" if word == "<>" else word
        valid = self._vocabulary.attributes[key] if kind == "attribute" else LISTLESS
        if word not in valid:
            raise BadFilter(
                f"Invalid comparator for {kind} {key!r}: {word or 'nothing'}; "
                f"valid comparators are {', '.join(sorted(valid))}"
            )
        return word

    def _value(self, key: str, kind: str, operator: str) -> Value:
        if operator in ("IN", "NOT IN"):
            return self._list()
        if kind == "attribute" and key in self._vocabulary.numbers:
            return self._number(key)
        text = self._quoted()
        if operator in PATTERNS and _ends_in_escape(text):
            raise BadFilter(f"Invalid pattern {text!r}: nothing follows the last backslash")
        return text

    def _number(self, key: str) -> int:
        token = self._peek()
        text = _unquoted(token.text) if token else ""
        self._next += 1
        if not re.fullmatch(r"[+-]?\d{1,18}", text):
            raise BadFilter(f"Invalid value for numeric attribute {key!r}: {text!r}")
        return max(-MAX_INTEGER, min(MAX_INTEGER, int(text)))

    def _list(self) -> tuple[str, ...]:
        self._mark("(")
        values = [self._quoted()]
        while (token := self._peek()) and token.text == ",":
            self._next += 1
            values.append(self._quoted())
        self._mark(")")
        if len(values) > MAX_LIST:
            raise BadFilter(f"a list has at most {MAX_LIST} values")
        return tuple(values)

    def _mark(self, mark: str) -> None:
        token = self._peek()
        if token is None or token.text != mark:
            raise BadFilter("Expected a list of quoted string values, such as ('a', 'b')")
        self._next += 1

    def _quoted(self) -> str:
        token = self._peek()
        self._next += 1
        if token is None or token.kind != "text":
            got = token.text if token else "nothing"
            raise BadFilter(f"Expected a quoted string value (e.g. 'my-value'), got {got}")
        return _unquoted(token.text)

    def _keyword(self, word: str, why: str) -> None:
        token = self._peek()
        if token is None or token.text.upper() != word:
            rest = self._text[token.at :][:40] if token else "nothing"
            raise BadFilter(f"Invalid clause(s) in filter string: {rest!r}; {why}")
        self._next += 1

    def _take(self, kind: str, what: str) -> _Token:
        token = self._peek()
        if token is None or token.kind != kind:
            got = repr(token.text) if token else "nothing"
            raise BadFilter(f"Invalid clause(s) in filter string: expected {what}, got {got}")
        self._next += 1
        return token

    def _peek(self) -> _Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None


def _unquoted(text: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"') or len(text) < 2:
        return text
    return text[1:-1].replace(quote * 2, quote)


def _ends_in_escape(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1
