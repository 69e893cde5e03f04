"""Ctrl-C and SIGTERM: a command ends soon, says how to go on, and gives the exit code that shells and clusters expect.

The signal is an exception at whatever the command does, so files appear whole or not at all as after any other error.
It is no KeyboardInterrupt, of which libraries make something of their own: Lightning ignores further ones, and exits
with 1. A second Ctrl-C ends at once, and so does a command that has not ended after `GRACE` seconds.

Nothing heavy is imported here, so that a command heeds signals before it imports what takes seconds.
"""

import atexit
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

GRACE = 60.0
"""Seconds: of loggers that wait for a server, or code that swallows the exception."""
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
ANEW = "the same command starts again; what was there before it is as it was"
PACKAGES = ("denseup.cli.", "src.")


class Stopped(SystemExit):
    """A signal has come; `code` is the exit code."""

    def __str__(self) -> str:
        """What the record of a run says."""
        return NAMES[signal.Signals(int(self.code or 0) - 128)]


class _State:
    """Of this process: what has come, and what is to be said at the end."""

    signal: int | None = None
    process: int = 0
    advice: Callable[[], str] = staticmethod(lambda: ANEW)


def heed() -> None:
    """Take SIGINT and SIGTERM from now on; one that is ignored or is somebody else's is left so.

    Python's main thread alone can do it.
    """
    _State.process = os.getpid()
    atexit.register(_say_how)
    for number in NAMES:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)


def heed_in_commands() -> None:
    """`heed` if this process is one of our commands; nothing where a program of another's imports us."""
    words = sys.orig_argv
    place = words.index("-m") + 1 if "-m" in words else len(words)
    ours = place < len(words) and words[place].startswith(PACKAGES)
    if ours and threading.current_thread() is threading.main_thread():
        heed()


def stopped() -> bool:
    """Whether a signal has come: an error after it is none of its own."""
    return _State.signal is not None


def exit_code() -> int:
    """Of a process that was stopped: 128 and the signal's number, 130 after Ctrl-C."""
    assert _State.signal is not None
    return 128 + _State.signal


def advise(how: Callable[[], str]) -> None:
    """Let a stopped command say at its end how to go on."""
    _State.advice = staticmethod(how)


def run(main: Callable[[], int | None]) -> int:
    """Run a command; its exit code. After a signal this is the signal's, whatever the command has made of it."""
    try:
        code = main() or 0
    except BaseException:
        if not stopped():
            raise
        code = exit_code()
    return exit_code() if stopped() else code


def _stop(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.process:  # forked by this one, to load data
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if stopped():  # of a second Ctrl-C `_end_after_all` hears; a cluster's SIGTERM comes once more from the sweep
        return
    _State.signal = number
    _say("stopping; Ctrl-C again ends at once")
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_end_after_all, args=(heard, 128 + number), daemon=True).start()
    raise Stopped(128 + number)


def _say_how() -> None:
    """The last word; of several processes that train together the first one has it."""
    if _State.signal is not None and os.getpid() == _State.process and not int(os.environ.get("LOCAL_RANK", 0)):
        print(f"stopped by {NAMES[signal.Signals(_State.signal)]}; {_State.advice()}", file=sys.stderr, flush=True)


def _end_after_all(heard: socket.socket, code: int) -> None:
    """End the process at a second Ctrl-C, which may find the main thread in code that never comes back, or in time."""
    end = time.monotonic() + GRACE
    while (left := end - time.monotonic()) > 0:
        if select.select([heard], [], [], left)[0] and signal.SIGINT in heard.recv(64):
            os._exit(128 + signal.SIGINT)
    _say(f"still not ended after {GRACE:.0f} s: ended now")
    os._exit(code)


def _say(text: str) -> None:
    """Past Python's buffers, in which the signal may have come."""
    with suppress(OSError):  # nobody reads it
        os.write(2, f"\n{text}\n".encode())
