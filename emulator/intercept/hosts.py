"""Which hosts the emulator stands in for."""

DOMAINS = ("googleapis.com", "prediction.vertexai.goog")
"""Documented: Google's APIs, regional ones among them, and the dedicated DNS names of endpoints of one's own."""


def is_emulated(host: str) -> bool:
    """Whether a host is one of Google's that the emulator answers for."""
    name = host.rstrip(".").lower()
    return any(name == domain or name.endswith(f".{domain}") for domain in DOMAINS)
