"""The certificate authority of one run of the server, and the certificates that it issues."""

import re
import ssl
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from emulator.errors import StartError

TRUST_PASSWORD = "changeit"  # noqa: S105  # Java's default; a trust store holds no secret
_NAMES = ("localhost", "127.0.0.1", "::1", "googleapis.com")
# A wildcard stands for one label, so the regional hosts `aiplatform.<region>.rep.googleapis.com` need their own.
_WILDCARDS = ("googleapis.com", "us.rep.googleapis.com", "eu.rep.googleapis.com", "prediction.vertexai.goog")


class CertificateAuthority:
    """Signs certificates for any name; its key never leaves memory. Raises StartError if trustme is missing."""

    def __init__(self) -> None:
        try:
            import trustme  # noqa: PLC0415  # heavy, and only in the extra
        except ModuleNotFoundError:
            raise StartError("TLS needs the package trustme; pip install 'vertex-openai-emulator[exec]'") from None
        self._authority = trustme.CA(organization_name="vertex-emulator")

    @property
    def certificate(self) -> bytes:
        """The certificate of the authority, as PEM."""
        return self._authority.cert_pem.bytes()

    def trust_store(self, others: Sequence[str] = ()) -> bytes:
        """The certificate, and others (PEM), as a PKCS#12 trust store for Java, with TRUST_PASSWORD.

        Java reads only entries with an attribute of its own, which `serialize_java_truststore` sets.
        """
        from cryptography import x509  # noqa: PLC0415  # heavy, as above
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12  # noqa: PLC0415  # as above

        certificates = []
        with warnings.catch_warnings():
            # Some old authorities have serial numbers that cryptography dislikes.
            warnings.simplefilter("ignore")
            for number, pem in enumerate((self.certificate, *(other.encode() for other in others))):
                with suppress(ValueError):
                    certificate = x509.load_pem_x509_certificate(pem)
                    certificates.append(pkcs12.PKCS12Certificate(certificate, f"vertex-emulator-{number}".encode()))
        return pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(TRUST_PASSWORD.encode()))

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """The context of a TLS server: one certificate for known names, and one issued on demand for any other server name (SNI).

        Names are not all known beforehand: endpoints have hosts `<endpoint>.<region>-<number>.prediction.vertexai.goog`, and
        containers name each other as they like. Private keys are written into `folder` for a moment, because OpenSSL reads them
        from files only; nobody else should be able to read it.
        """
        context = self._context(folder, *_NAMES, *(f"*.{domain}" for domain in _WILDCARDS))

        @lru_cache(maxsize=256)
        def context_for(name: str) -> ssl.SSLContext:
            try:
                is_known = name in _NAMES or name.partition(".")[2] in _WILDCARDS
                return context if is_known else self._context(folder, name)
            except ValueError:  # not a name that a certificate can have
                return context

        def select_context(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name is not None:
                connection.context = context_for(name.lower())

        context.sni_callback = select_context
        return context

    def _context(self, folder: Path, *names: str) -> ssl.SSLContext:
        leaf = self._authority.issue_cert(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        with leaf.private_key_and_cert_chain_pem.tempfile(dir=str(folder)) as path:
            context.load_cert_chain(path)
        return context


CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Variables that name a file of certificates that a client trusts."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")


def usual_authorities(environment: Mapping[str, str], who: str = "--pass") -> tuple[str, ...]:
    """The certificates (PEM) that a program would trust without the emulator: those its variables name, and the system's.

    Raises StartError if there are none; `who` needs them.
    """
    paths = ssl.get_default_verify_paths()
    system = [
        paths.cafile,
        paths.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ]
    if find_spec("certifi") is not None:
        import certifi  # noqa: PLC0415  # there only where a client has installed it

        system.append(certifi.where())
    found: dict[str, None] = {}
    for name in (*(environment.get(variable) for variable in CERTIFICATE_VARIABLES), *system):
        with suppress(OSError, ValueError):
            found |= dict.fromkeys(_CERTIFICATE.findall(Path(name).read_text("ascii", "replace") if name else ""))
    if not found:
        raise StartError(f"{who} needs a file of the usual certificate authorities; name it in SSL_CERT_FILE")
    return tuple(f"{certificate}\n" for certificate in found)


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """The files that clients read to trust the authority."""

    certificate: Path
    """PEM."""
    trust_store: Path
    """The same for Java."""
    preload: Path
    """The module that Node loads first."""


def write_trust_files(folder: Path, authority: CertificateAuthority, others: Sequence[str] = ()) -> TrustFiles:
    """Write the authority's certificate and others (PEM), as PEM and for Java, and Node's preload module. Nothing in them is secret."""
    written = TrustFiles(folder / "ca.pem", folder / "trust.p12", folder / "node-preload.cjs")
    written.certificate.write_text("".join((authority.certificate.decode(), *others)), "ascii")
    written.trust_store.write_bytes(authority.trust_store(others))
    written.preload.write_bytes(files("emulator.intercept").joinpath("node_preload.cjs").read_bytes())
    return written
