"""A certificate authority that lives as long as its server, and the certificates it gives out."""

import ssl
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from emulator.errors import StartError

TRUST_PASSWORD = "changeit"  # noqa: S105  # Java's customary one; a trust store holds no secret
_NAMES = ("localhost", "127.0.0.1", "::1", "googleapis.com")
# A wildcard stands for one label, so the regional hosts `aiplatform.<region>.rep.googleapis.com` need their own.
_WILDCARDS = ("googleapis.com", "us.rep.googleapis.com", "eu.rep.googleapis.com", "prediction.vertexai.goog")


class Authority:
    """Signs certificates for any name; its key never leaves memory. Raises StartError if trustme is missing."""

    def __init__(self) -> None:
        try:
            import trustme  # noqa: PLC0415  # heavy, and only in the extra
        except ModuleNotFoundError:
            raise StartError("TLS needs the package trustme; pip install 'vertex-openai-emulator[exec]'") from None
        self._authority = trustme.CA(organization_name="vertex-emulator")

    @property
    def certificate(self) -> bytes:
        """What a client has to trust, as PEM."""
        return self._authority.cert_pem.bytes()

    def trust_store(self) -> bytes:
        """The same as the PKCS#12 file that Java reads, protected by TRUST_PASSWORD.

        Java looks for its own attribute in it, which not every program that writes such files knows.
        """
        from cryptography import x509  # noqa: PLC0415  # heavy, as above
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12  # noqa: PLC0415  # as above

        certificate = pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(self.certificate), b"vertex-emulator")
        return pkcs12.serialize_java_truststore([certificate], BestAvailableEncryption(TRUST_PASSWORD.encode()))

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """What a TLS server presents: one certificate for the usual names, and one made on demand for any other asked for.

        The dedicated hosts of endpoints, `<endpoint>.<region>-<number>.prediction.vertexai.goog`, cannot be foreseen, nor can the
        names that containers give each other. `folder` is where keys rest for a moment on their way into OpenSSL, which reads
        them from files only; it should be readable by nobody else.
        """
        context = self._context(folder, *_NAMES, *(f"*.{domain}" for domain in _WILDCARDS))

        @lru_cache(maxsize=256)
        def find(name: str) -> ssl.SSLContext:
            try:
                return context if _is_covered(name) else self._context(folder, name)
            except ValueError:  # no name that a certificate could hold
                return context

        def choose(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None:
                connection.context = find(name.lower())

        context.sni_callback = choose
        return context

    def _context(self, folder: Path, *names: str) -> ssl.SSLContext:
        leaf = self._authority.issue_cert(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        with leaf.private_key_and_cert_chain_pem.tempfile(dir=str(folder)) as path:
            context.load_cert_chain(path)
        return context


def _is_covered(name: str) -> bool:
    return name in _NAMES or name.partition(".")[2] in _WILDCARDS


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """Where they are."""

    certificate: Path
    """PEM."""
    trust_store: Path
    """The same for Java."""
    preload: Path
    """What Node loads first."""


def write_trust_files(folder: Path, authority: Authority) -> TrustFiles:
    """Write the authority's certificate, as PEM and for Java, and Node's preload. Nothing in them is secret."""
    written = TrustFiles(folder / "ca.pem", folder / "trust.p12", folder / "node-preload.cjs")
    written.certificate.write_bytes(authority.certificate)
    written.trust_store.write_bytes(authority.trust_store())
    written.preload.write_bytes(files("emulator.intercept").joinpath("node_preload.cjs").read_bytes())
    return written
