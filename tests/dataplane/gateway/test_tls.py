"""Triton behind TLS: certificates are checked, and half a configuration is refused in words."""

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks import rig
from contracts.addresses import AddressError, parse_address
from dataplane.gateway.tls import Tls, TlsError
from embedded.private import PrivateServices
from tests.dataplane.gateway.site import Site, eventually

NOW = datetime.datetime.now(datetime.UTC)


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(loopback, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


class Terminator(threading.Thread):
    """TLS in front of `targets` ("host:port"), that wants the client's certificate `client`."""

    def __init__(self, own: tuple[Path, Path], client: Path, targets: list[str]) -> None:
        super().__init__(name="tls", daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*own)
        self._context.load_verify_locations(client)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._targets = targets
        self._listening = threading.Event()
        self._copies: set[asyncio.Task[None]] = set()
        self.addresses: list[str] = []

    def __enter__(self) -> "Terminator":
        self.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join(10)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        servers = [await self._before(target) for target in self._targets]
        self.addresses = [f"127.0.0.1:{each.sockets[0].getsockname()[1]}" for each in servers]
        self._listening.set()
        await self._ended.wait()
        for server in servers:
            server.close()
        for copy in self._copies:
            copy.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    async def _before(self, target: str) -> asyncio.Server:
        host, _, port = target.rpartition(":")

        async def connect(near: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
            far, ask = await asyncio.open_connection(host, int(port))
            for pair in ((near, ask), (far, answer)):
                self._copies.add(asyncio.create_task(copy(*pair)))

        return await asyncio.start_server(connect, "127.0.0.1", 0, ssl=self._context)


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
    finally:
        sink.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("tls")
    found = {}
    for name in ("server", "client", "other"):
        found[name], found[f"{name}.key"] = certificate(directory, name)
    return found


@pytest.fixture
def line(parts: PrivateServices, files: dict[str, Path]) -> Iterator[Terminator]:
    """TLS in front of Triton's gRPC and HTTP."""
    environment = parts.environment()
    targets = [environment["TRITON_GRPC_URL"], environment["TRITON_URL"].removeprefix("http://")]
    own = files["server"], files["server.key"]
    with Terminator(own, files["client"], targets) as line:
        yield line


def test_gateway__tritons_by_tls__are_asked_where_their_certificates_are_trusted(
    site: Site, line: Terminator, files: dict[str, Path]
) -> None:
    grpc, http = f"grpcs://{line.addresses[0]}", f"https://{line.addresses[1]}"
    own = {
        "GATEWAY_TRITON_CERT": str(files["client"]),
        "GATEWAY_TRITON_KEY": str(files["client.key"]),
    }
    variants = [rig.variant(1, grpc), rig.variant(2, http, key="canary", role="canary")]
    spec = rig.endpoint(variants, {"stable": 5_000, "canary": 5_000})
    site.serve(spec, GATEWAY_TRITON_CA=str(files["server"]), **own)
    answers = [site.predict(version=version) for version in (1, 2)]
    assert [each.status for each in answers] == [200, 200]
    site.stop()
    site.start(GATEWAY_TRITON_CA=str(files["other"]), **own)
    eventually(lambda: site.predict(version=1).status == 503)
    assert site.predict(version=2).status == 503


def test_gateway__ca_named_but_a_triton_without_tls__serves_its_last_good_table(
    site: Site, files: dict[str, Path]
) -> None:
    site.serve(GATEWAY_TRITON_CA=str(files["server"]))
    site.publisher.publish(rig.endpoint([rig.variant(1, "10.1.2.3:8001")]))
    eventually(
        lambda: "GATEWAY_TRITON_CA is set" in (((r := site.report()) and r.rejected_index) or "")
    )
    assert site.predict().status == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"certificate": "client"}, "set together"),
        ({"key": "client.key"}, "set together"),
        ({"ca": "client.key"}, "GATEWAY_TRITON_CA"),
        ({"ca": "absent"}, "GATEWAY_TRITON_CA"),
        ({"certificate": "client", "key": "other.key"}, "GATEWAY_TRITON_CERT"),
    ],
)
def test_settings__half_of_what_is_needed__are_refused_in_words(
    files: dict[str, Path], settings: dict[str, str], words: str
) -> None:
    tls = Tls(**{name: files.get(file, Path(file)) for name, file in settings.items()})
    with pytest.raises(TlsError, match=words):
        tls.check()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("triton:8001", ("grpc", "triton", 8001)),
        ("https://[fd00::1]:443", ("https", "fd00::1", 443)),
        ("grpcs://10.0.0.1:8001", ("grpcs", "10.0.0.1", 8001)),
    ],
)
def test_address__with_or_without_a_scheme__is_read(
    text: str, address: tuple[str, str, int]
) -> None:
    assert tuple(parse_address(text)) == address


@pytest.mark.parametrize(
    "text", ["triton", "triton:0", "triton:70000", "ftp://a:1", "http://a:1/x", "a b:1", "a:1\n"]
)
def test_address__that_is_none__is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)
