"""The probes themselves: every row of docs/fidelity.md has some or says why not, and they are written in the known words."""

from collections.abc import Iterator
from typing import Any

from emulator.catalogue.errors import entry
from emulator.catalogue.quirks import QUIRK_NAMES
from emulator.recording.attest.asking import Client, build_request, estimate_step
from emulator.recording.attest.expectations import CHECK_KINDS, CHECK_WORDS
from emulator.recording.attest.probes import all_probes, quirks_of
from emulator.recording.attest.rows import all_rows
from emulator.wire.urls import GLOBAL_HOST, read_host

FEWEST = 100


def test_every_row_has_probes_or_a_reason() -> None:
    """No row is forgotten, none has both, and nothing is about a row that there is not."""
    probes, reasons = {probe.row for probe in all_probes().probes}, all_probes().not_testable.keys()
    assert probes | reasons == all_rows().keys()
    assert probes & reasons == set()
    assert all(all_probes().not_testable.values())


def test_there_are_many() -> None:
    """More than a hundred, each with an id of its own, besides those that are made from the cards of models."""
    names = [probe.id for probe in all_probes().probes]
    assert len(names) == len(set(names))
    assert len([name for name in names if not name.startswith("model.")]) >= FEWEST


def test_every_quirk_has_a_probe() -> None:
    """Each is seen by one at least."""
    assert set(QUIRK_NAMES) == {name for probe in all_probes().probes for name in quirks_of(probe)}


def test_checks_are_known() -> None:
    """Every check is a known word or has one known key, and every error is one of the catalogue."""
    for probe in all_probes().probes:
        for step in probe.steps:
            assert step.expect.error is None or entry(step.expect.error).name
            for check in (*step.given.values(), *step.expect.body.values()):
                assert list(unknown(check)) == [], probe.id


def unknown(check: Any) -> Iterator[Any]:
    """What is no check of those that there are."""
    if isinstance(check, str):
        yield from () if check in CHECK_WORDS else (check,)
    elif isinstance(check, dict):
        yield from () if len(check) == 1 and check.keys() <= CHECK_KINDS else (check,)
        for one in check.get("one_of", ()):
            yield from unknown(one)
    else:
        assert not isinstance(check, list)


def test_requests_go_where_the_model_is_served() -> None:
    """To the host of the location in the path, and to Vertex AI or a token endpoint only."""
    client = Client("p", "us-central1", "t", expired_token="old")
    for probe in all_probes().probes:
        request = probe.steps[0].request
        sent = build_request(request, client, [])
        host = read_host(sent.host)
        if request.host is None and "/locations/" in sent.path:
            assert host is not None
            assert f"/locations/{host.location}/" in sent.path
        assert sent.host.endswith(GLOBAL_HOST.partition(".")[2]), probe.id
        assert "$" not in sent.path
        assert b"$MODEL" not in sent.body
        assert estimate_step(probe.steps[0], client).dollars < 0.2


def test_credentials_are_only_sent_where_they_belong() -> None:
    """The user's token goes to no token endpoint, and not with requests about other credentials."""
    client = Client("p", "global", "ya29.secret")
    for probe in all_probes().probes:
        for step in probe.steps:
            if step.request.credentials not in {"own", "expired"}:
                sent = build_request(step.request, client, [])
                assert "ya29.secret" not in str(sent), probe.id
            else:
                assert step.request.host is None or step.request.host.endswith("aiplatform.googleapis.com")
