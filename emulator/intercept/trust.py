"""The files that clients read to trust the emulator."""

from importlib.resources import files
from pathlib import Path

from emulator.intercept.authority import Authority
from emulator.values import dataclass


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
