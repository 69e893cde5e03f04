"""What the machine does to a command: faults that no argument has caused, after which the same command goes on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

WORKER = re.compile(r"DataLoader worker \(pid(\(s\))? (?P<pids>[\d, ]+)\)( is killed by signal: (?P<signal>[^.]*))?")
"""How torch says that a process which loads data is gone."""


class MachineError(Exception):
    """A fault of the machine: what was done before it is kept, and a run that it ended can be resumed."""


class WorkerDiedError(MachineError, RuntimeError):
    """A process that loads data is gone: it was killed, or crashed in a library."""


@contextmanager
def naming_dead_workers() -> Iterator[None]:
    """Say of a process that loads data and is gone which one it was, and what can be done.

    Raises:
        WorkerDiedError: torch has found one, in what is done within.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, MachineError) or (found := WORKER.search(str(error))) is None:
            raise
        how = f"was ended by a signal: {found['signal']}" if found["signal"] else "ended without a word"
        raise WorkerDiedError(
            f"a process that loads data (pid {found['pids'].strip()}) {how}; if the machine ran out of memory, a lower "
            "data.num_workers needs less, and with data.num_workers=0 there is no such process"
        ) from error
