"""The process itself: its standard streams and limits, and the few tricks that make it start and run cheaper.

No other module touches the collector or the allocator. Each trick stands beside what it was measured to
buy (2 shared cores under load, medians, with and without in turns); one that buys nothing any more goes.
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
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 -- it lasts as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def decoded_arguments(words: Sequence[str]) -> list[str] | None:
    """Read the words as UTF-8, whatever the locale says; None where one isn't."""
    try:
        return [os.fsencode(word).decode() for word in words]
    except UnicodeError:
        return None


def discard_output() -> None:
    """Discard what can't be written any more; the interpreter would report it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # a test's stream that is no file
        return


_MAX_FILES = 65_536


def raise_file_limit() -> None:
    """Raise the soft limit of open files (often 1,024) to the hard one: pages, channels and the database share it."""
    import resource  # lazy: only `run` needs it, and `--help` is to be quick

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forbid_core_dumps() -> None:
    """Let a crash leave no image of the memory behind: it holds every secret."""
    import resource  # lazy: only `run` needs it, and `--help` is to be quick

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
    """Tell systemd how the service is (`READY=1`, `WATCHDOG=1`, `RELOADING=1`, `STOPPING=1`), as sd_notify(3) has it.

    Does nothing where no service manager asked for it; one that is gone is no fault of the service.
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


_USUAL = gc.get_threshold()
_WHILE_LOADING = 100_000
"""More objects than the modules of any command make."""


def skip_startup_gc() -> None:
    """Collect no garbage while modules are imported, nor at the end.

    Buys a quarter of a short command: `status` takes 0.88 s of CPU with it and 1.19 s without.
    """
    gc.set_threshold(_WHILE_LOADING)
    atexit.register(gc.freeze)


def resume_gc() -> None:
    """Collect garbage as usual again: `run` goes on for months."""
    gc.set_threshold(*_USUAL)


_M_ARENA_MAX = -8
"""Of glibc's <malloc.h>."""


def share_one_heap() -> None:
    """Make all threads share one heap, before there are any; glibc gives each its own. Does nothing elsewhere.

    Buys 20 MB: the daemon has 111 MB with it and 131 MB without, at 1,000 wallets.
    """
    import ctypes  # lazy: only `run` needs it, and `--help` is to be quick

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
