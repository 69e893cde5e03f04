"""Run the notebooks top to bottom and keep their outputs: python notebooks/execute.py [--short] [NOTEBOOK …]."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent
SHORT = "DENSEUP_NOTEBOOK_SHORT"
"""The variable that makes a notebook run in its short form."""
NO_WIDGETS = "ignore:IProgress not found"
"""tqdm, which a dependency imports, asks for ipywidgets in every kernel; no notebook shows its bars."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class ThisPython(KernelSpecManager):
    """Every kernel is the Python that runs this, whatever kernels the machine has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The one specification there is."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        metadata = {"supported_encryption": "curve"}
        return KernelSpec(argv=command, display_name="Python 3", language="python", metadata=metadata)


def notebooks() -> list[Path]:
    """The notebooks of this folder, in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, folder: Path, *, short: bool = False, timeout: int = 600) -> NotebookNode:
    """Run a notebook in a fresh kernel.

    Args:
        path: of the notebook, which is left as it is.
        folder: the kernel's working directory, which also takes its settings.
        short: the short form.
        timeout: of a cell, of the kernel's start, and of an output on its way; seconds.

    Returns:
        The notebook with its outputs, without metadata of this machine.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message has its code and traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {
        SHORT: "1" if short else "0",
        "IPYTHONDIR": str(folder / ".ipython"),
        "PYTHONWARNINGS": NO_WIDGETS,
    }
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=ThisPython(), transport_encryption="auto"),
        timeout=timeout,
        startup_timeout=timeout,
        iopub_timeout=timeout,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    asyncio.run(client.async_execute(env=environment, cleanup_kc=True))
    return cleaned(notebook)


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what says only where and when it ran."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return notebook


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    parser = argparse.ArgumentParser(prog="python notebooks/execute.py", description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, metavar="NOTEBOOK", help="default: all of this folder")
    parser.add_argument("--short", action="store_true", help="the short form, whose outputs are not kept")
    chosen = parser.parse_args(argv)
    for path in chosen.notebooks or notebooks():
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder), short=chosen.short)
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)
        if not chosen.short:
            nbformat.write(notebook, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
