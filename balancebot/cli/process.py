"""The process itself: its standard streams and limits, and the few tricks that make it start faster and run cheaper.

Only this module touches the garbage collector or the allocator. Each trick names its measured gain (2 shared cores
under load, medians of alternating runs with and without it); remove a trick that gains nothing any more.
"""

import atexit
import gc
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper


def prepare_streams() -> None:
    """Replace closed streams, and escape on stdout what its encoding can't show."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 -- it stays open as long as the process runs
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def decoded_arguments(words: Sequence[str]) -> list[str] | None:
    """Decode the words as UTF-8, whatever the locale is; None if one of them isn't UTF-8."""
    try:
        return [os.fsencode(word).decode() for word in words]
    except UnicodeError:
        return None


def discard_output() -> None:
    """Discard output that can't be written any more; otherwise the interpreter reports it when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # a test's stream that isn't a file
        return


_MAX_FILES = 65_536


def raise_file_limit() -> None:
    """Raise the soft limit of open files (often 1,024) to the hard one: pages, channels and database need them."""
    import resource  # lazy: only `run` needs it, and `--help` must be quick

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forbid_core_dumps() -> None:
    """Prevent core dumps: they contain every secret."""
    import resource  # lazy: only `run` needs it, and `--help` must be quick

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def has_terminal() -> bool:
    """Return whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def notify_service_manager(state: str) -> None:
    """Report the state of the service to systemd (`READY=1`, `WATCHDOG=1`, ...; see sd_notify(3)).

    Does nothing without a service manager. A service manager that has disappeared is not an error.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return
    with (
        socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        ) as sender,
        suppress(OSError),
    ):
        sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


_WHILE_RUNNING = 10_000
_WHILE_LOADING = 100_000
"""More objects than the modules of any command create."""


def skip_startup_gc() -> None:
    """Disable garbage collection while modules are imported, and at exit.

    Saves a quarter of a short command: `status` takes 0.88 s of CPU with it and 1.19 s without.
    """
    gc.set_threshold(_WHILE_LOADING)
    atexit.register(gc.freeze)


def resume_gc() -> None:
    """Enable garbage collection: `run` runs for months.

    It runs after so many new objects instead of Python's 700. Saves a tenth of a cycle's CPU: 1,000 wallets take 0.03 s of
    collection with it and 0.24 s without.
    """
    gc.set_threshold(_WHILE_RUNNING)


def use_one_blas_thread() -> None:
    """Keep numpy's BLAS from starting threads. Call it before numpy is imported; OPENBLAS_NUM_THREADS overrides it.

    The matrices of a forecast are so small that further threads only wait for each other, at full load. Saves a fifth of a
    cycle's CPU: 1,000 wallets take 2.2 s with it and 2.8 s without, in the same wall time.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
"""From glibc's <malloc.h>."""
_LARGE = 256 * 1024
"""Arrays of this many bytes are kept out of the heap."""


def share_one_heap() -> None:
    """Make all threads share one heap, and keep large arrays out of it. Call it before any thread starts. Only for glibc.

    glibc gives each thread a heap of its own. One for all saves 20 MB: the daemon has 111 MB with it and 131 MB without,
    at 1,000 wallets. glibc also keeps larger and larger arrays in the heap, up to 32 MB, where they leave holes when they
    are freed. A fixed size saves 5 MB after 2,600 cycles of a soak, which has 160 MB with it and 165 MB without.
    """
    import ctypes  # lazy: only `run` needs it, and `--help` must be quick

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
