"""The guarded way out: what may be called, and how a call ends."""

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from apps.notices.outbound import Policy, Refused, Unreachable, check, deliver
from apps.notices.outbound.policy import parse_url
from tests.conftest import Configure
from tests.notices.receiver import Receiver, receiving

HEADERS = {"x-kind": "test"}
PUBLIC = ("8.8.8.8", "93.184.215.14", "2606:4700::1111")
PRIVATE = (
    "0.0.0.0",  # noqa: S104  # refused, not bound
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.8.8",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
)
TARGET = parse_url("https://hooks.example.com/x")


@pytest.mark.parametrize("address", PUBLIC)
def test_policy__public_address__is_let_through(address: str) -> None:
    Policy().judge(TARGET, ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_policy__address_that_is_not_public__is_refused(address: str) -> None:
    with pytest.raises(Refused, match="not a public address"):
        Policy().judge(TARGET, ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("allowed", "host", "address", "let_through"),
    [
        ("hooks.example.com", "hooks.example.com", "10.0.0.1", True),
        ("HOOKS.example.com.", "hooks.example.com", "10.0.0.1", True),
        ("hooks.example.com:80", "hooks.example.com", "10.0.0.1", False),
        ("example.com", "hooks.example.com", "10.0.0.1", False),
        ("10.0.0.0/8", "any.example.com", "10.0.0.1", True),
        ("10.0.0.0/8:443", "any.example.com", "10.0.0.1", True),
        ("10.0.0.0/8:444", "any.example.com", "10.0.0.1", False),
        ("10.0.0.0/8", "any.example.com", "11.0.0.1", True),
        ("10.0.0.0/8", "any.example.com", "192.168.0.1", False),
        ("127.0.0.1", "any.example.com", "::ffff:127.0.0.1", True),
        ("::1", "any.example.com", "::1", True),
        ("[fd00::/8]:443, a.example.com", "any.example.com", "fd00::1", True),
        ("", "any.example.com", "10.0.0.1", False),
    ],
)
def test_policy__operators_list__lets_through_what_it_names(
    allowed: str, host: str, address: str, let_through: bool
) -> None:
    policy = Policy.parse(allowed, "443")
    target = parse_url(f"https://{host}/")
    try:
        policy.judge(target, ipaddress.ip_address(address))
    except Refused:
        assert not let_through
    else:
        assert let_through


def test_policy__plain_http_or_odd_port__only_where_the_list_names_it() -> None:
    public = ipaddress.ip_address("8.8.8.8")
    for url in ("http://dns.example.com/", "https://dns.example.com:22/"):
        with pytest.raises(Refused):
            Policy().judge(parse_url(url), public)
        Policy.parse("8.8.8.8", "443").judge(parse_url(url), public)


@pytest.mark.parametrize("entry", ["10.0.0.0/99:80:1", "::zz", "a:b:c"])
def test_policy__list_that_makes_no_sense__is_no_list(entry: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|Expected|not permitted"):
        Policy.parse(entry, "443")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "https:///path",
        "https://user@hooks.example.com/",
        "https://user:pass@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nx: y",
        "https://hooks.example.com:port/",
        "https://hooks.example.com:99999/",
        "https://[::1/",
        "https://hooks.éxample.com/",
        "https://hooks.example.com/" + "a" * 2_000,
    ],
)
def test_url__that_is_no_plain_address__is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_url(url)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]"]
)
def test_deliver__loopback_in_any_writing__is_refused_and_not_called(host: str) -> None:
    with receiving() as receiver:
        with pytest.raises(Refused):
            deliver(f"https://{host}:{receiver.port}/", b"{}", {}, 2.0)
        with pytest.raises(Refused):
            check(f"https://{host}:{receiver.port}/")
        assert receiver.received == []


def test_deliver__allowed__sends_exactly_this_and_reads_the_answer(receiver: Receiver) -> None:
    receiver.answer(202, headers={"X-Id": "7"})
    reply = deliver(receiver.url(), b'{"a":1}', {**HEADERS, "Host": "evil"}, 5.0)
    assert (reply.status, reply.taken, reply.body, reply.truncated) == (202, True, b"said", False)
    assert reply.headers["x-id"] == "7"
    assert 0 < reply.latency_s < 5
    (got,) = receiver.received
    assert (got.path, got.body) == ("/hook?a=1", b'{"a":1}')
    assert got.headers["x-kind"] == "test"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"


def test_deliver__redirect__is_an_answer_and_not_followed(receiver: Receiver) -> None:
    receiver.answer(307, headers={"Location": receiver.url()})
    reply = deliver(receiver.url(), b"{}", {}, 5.0)
    assert (reply.status, reply.taken) == (307, False)
    assert len(receiver.received) == 1


def test_deliver__answer_too_long__is_cut(receiver: Receiver) -> None:
    receiver.answers = [(200, {}, b"x" * 200_000)]
    reply = deliver(receiver.url(), b"{}", {}, 5.0)
    assert (len(reply.body), reply.truncated) == (65_536, True)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"a b": "c"}, {"x": "é"}, {"": "x"}])
def test_deliver__header_that_is_none__is_refused(
    receiver: Receiver, headers: dict[str, str]
) -> None:
    with pytest.raises(Refused):
        deliver(receiver.url(), b"{}", headers, 5.0)
    assert receiver.received == []


def test_deliver__nobody_listens__unreachable(configure: Configure) -> None:
    configure(outbound_allow="127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable):
        deliver(f"http://127.0.0.1:{port}/", b"{}", {}, 2.0)


def test_deliver__no_such_name__unreachable_but_may_be_kept() -> None:
    with pytest.raises(Unreachable, match="does not resolve"):
        deliver("https://nothing.invalid/", b"{}", {}, 5.0)
    check("https://nothing.invalid/")


def test_deliver__answer_by_drips__ends_at_the_deadline(configure: Configure) -> None:
    configure(outbound_allow="127.0.0.1")
    done = threading.Event()

    def drip(server: socket.socket) -> None:
        opened, _ = server.accept()
        with opened:
            while not done.wait(0.05):
                opened.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        port = server.getsockname()[1]
        with pytest.raises(Unreachable):
            deliver(f"http://127.0.0.1:{port}/", b"{}", {}, 0.4)
        done.set()
        thread.join()


def test_deliver__what_is_no_http__unreachable(configure: Configure) -> None:
    configure(outbound_allow="127.0.0.1")

    def babble(server: socket.socket) -> None:
        opened, _ = server.accept()
        with opened:
            opened.sendall(b"220 mail.example.com ESMTP\r\n")
            opened.recv(4_096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=babble, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(Unreachable):
            deliver(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, 2.0)
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of localhost with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text + made.public_bytes(Encoding.PEM))
    return path


def test_deliver__tls__is_verified_for_the_name(configure: Configure, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with receiving(context) as receiver:
        configure(outbound_allow="127.0.0.1,::1")
        with pytest.raises(Unreachable, match="self-signed"):
            deliver(receiver.url("https", "localhost"), b"{}", {}, 5.0)
        configure(outbound_allow="127.0.0.1,::1", outbound_ca_file=certificate)
        assert deliver(receiver.url("https", "localhost"), b"{}", {}, 5.0).taken
        with pytest.raises(Unreachable, match="IP address mismatch"):
            deliver(receiver.url("https", "127.0.0.1"), b"{}", {}, 5.0)
        assert len(receiver.received) == 1
