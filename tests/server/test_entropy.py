"""A stock of random bytes."""

from emulator.server.entropy import SIZE, Entropy


def test_no_bytes_are_given_twice() -> None:
    """Each draw is as long as it should be and unlike all others, also behind the end of a stock."""
    entropy = Entropy()
    drawn = [entropy.draw() for _ in range(1_000)]
    assert {len(one) for one in drawn} == {SIZE}
    assert len(set(drawn)) == len(drawn)
