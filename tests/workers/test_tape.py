"""Tapes: what one process writes and another reads, without either waiting for the other."""

import subprocess
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from emulator.workers.notebooks import Record, Tape

HEAD = 24
"""Bytes that a record takes beyond its own."""

# The child writes for ever: each record holds its number, often, and some are told when they are there.
WRITER = """
import atexit
import os
import signal
from emulator.workers.notebooks import Tape

def parts_of(number):
    return [b"%d," % number * {often}, b"." * (number % 7)]

def check(record):
    assert record.data == b"".join(parts_of(record.number)), record

tape = Tape({records}, {bytes})
readable, writable = os.pipe()
writer = os.fork()
if not writer:
    number = 0
    while True:
        number += 1
        tape.append(parts_of(number))
        if number % {every} == 0:
            os.write(writable, b".")
os.close(writable)
atexit.register(os.kill, writer, signal.SIGKILL)

def follow(until):
    "Read on until so many records are told; return what was missed on the way."
    told = last = missed = address = 0
    while told < until:
        told += len(os.read(readable, 4096)) * {every}
        address, found = tape.read(address)
        for record in found:
            check(record)
        numbers = [record.number for record in found]
        if numbers:
            assert last < numbers[0] and numbers == list(range(numbers[0], numbers[-1] + 1))
            missed += numbers[0] - last - 1
            last = numbers[-1]
        assert last >= told
    return told, missed
"""


def write_program(end: str, **given_values: int) -> str:
    """A program that goes on from the one above."""
    program = WRITER + end
    for name, value in given_values.items():
        program = program.replace(f"{{{name}}}", str(value))
    return program


SIZES = st.lists(st.one_of(st.integers(0, 60), st.integers(0, 300)), max_size=40)


@given(st.integers(0, 6), st.integers(0, 300), st.lists(st.tuples(st.booleans(), SIZES), max_size=8))
def test_it_is_a_list_of_which_the_oldest_leave(
    most_records: int, most_bytes: int, rounds: list[tuple[bool, list[int]]]
) -> None:
    """Whoever reads all of it, or what is new, finds the last records: so many or, if fewer have more bytes than wanted, these."""
    tape = Tape(most_records, most_bytes)
    written: list[bytes] = []
    address = followed = 0
    for follows, sizes in rounds:
        for size in sizes:
            data = bytes([len(written) % 251]) * size
            tape.append([data[: size // 3], data[size // 3 :]])
            written.append(data)
        _check(tape.read(0)[1], written, most_records, most_bytes)
        if follows:
            address, found = tape.read(address)
            _check(found, written, min(most_records, len(written) - followed), most_bytes)
            assert all(record.number > followed for record in found)
            followed = len(written)
    tape.close()


def _check(found: Sequence[Record], written: list[bytes], most_records: int, most_bytes: int) -> None:
    first = len(written) - len(found)
    assert [record.number for record in found] == list(range(first + 1, len(written) + 1))
    for record, data in zip(found, written[first:], strict=True):
        assert record.size == HEAD + len(data)
        assert record.data == (data if record.size <= most_bytes else b"")
    moments = [record.moment for record in found]
    assert moments == sorted(moments)
    sizes = [record.size for record in found]
    assert first == 0 or len(found) == most_records or sum(sizes) > most_bytes
    assert len(found) <= most_records
    assert sum(sizes[1:]) <= most_bytes


def test_a_killed_writer_loses_nothing_and_leaves_nothing_half(
    run_alone: Callable[[str], "subprocess.CompletedProcess[str]"],
) -> None:
    """All that it told to be there is there, one more at most, and each record is whole."""
    end = """
told, _ = follow(3000)
os.kill(writer, signal.SIGKILL)
while more := os.read(readable, 4096):
    told += len(more) * {every}
_, found = tape.read(0)
for record in found:
    check(record)
print(found[-1].number - told in (0, 1), len(found) >= 1000)
"""
    done = run_alone(write_program(end, records=1000, bytes=1 << 20, often=20, every=1))
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_a_reader_sees_no_record_that_is_written_over(
    run_alone: Callable[[str], "subprocess.CompletedProcess[str]"],
) -> None:
    """Where halves are written anew all the time while it reads, what it finds is whole and without gaps."""
    end = """
told, missed = follow(50000)
print(told >= 50000, missed > 0)
"""
    done = run_alone(write_program(end, records=40, bytes=1 << 20, often=1000, every=50))
    assert (done.stdout, done.stderr) == ("True True\n", "")
