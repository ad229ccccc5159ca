"""The process itself: its memory."""

import ctypes
import subprocess
import sys

import pytest

LARGE_AFTER_A_LARGER_ONE = """
import ctypes
from balancebot.cli.process import share_one_heap

class Allocated(ctypes.Structure):
    _fields_ = [(f"field_{number}", ctypes.c_size_t) for number in range(10)]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Allocated
share_one_heap()
del (freed := [bytearray(8_000_000)])[:]
before = mallinfo2().field_4  # hblkhd: bytes outside the heap
kept = bytearray(1_000_000)
print(mallinfo2().field_4 - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_large_arrays_stay_outside_the_heap_even_after_a_larger_one_was_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE_AFTER_A_LARGER_ONE], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) >= 1_000_000
