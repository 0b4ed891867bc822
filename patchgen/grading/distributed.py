"""The queue of a batch in the hands of Dask distributed: the workers may be on other machines.

Each worker runs `patchgen.grading.worker.work`, as a batch on one machine does, so the results are the same. It needs
patchgen installed and a linux-4.15 of its own (its LINUX_SRC or cache). What a worker had in hand when it died goes to
another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from patchgen.errors import MachineError, ToolMissingError, UsageError
from patchgen.grading import worker
from patchgen.grading.batch import Engine
from patchgen.grading.worker import Answer, Task

_CONNECT_SECONDS = 20


def engine(address: str) -> Engine:
    """Return the engine behind a scheduler.

    Args:
        address: of the scheduler, `tcp://HOST:PORT`.

    Raises:
        ToolMissingError: distributed is not installed.
        UsageError: that is no address.
    """
    try:
        from distributed import Client, as_completed
        from distributed.comm import get_address_host_port
    except ImportError as error:
        hint = "pip install 'patchgen[distributed]'"
        raise ToolMissingError("--scheduler needs Dask distributed", hint=hint) from error
    try:
        get_address_host_port(address)
    except ValueError as error:
        raise UsageError(f"--scheduler {address}: {error}", hint="it prints its address: tcp://HOST:PORT") from error

    def run(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise MachineError(f"no scheduler answers at {address}: {error}") from error
        with client:
            futures = {
                client.submit(worker.work, task.to_json(), key=f"verify-{key}", pure=False, retries=1): key
                for key, task in tasks.items()
            }
            for future in as_completed(futures, loop=client.loop):  # type: ignore[no-untyped-call]
                failure = future.exception()
                # A task that has taken several workers with it is given up by the scheduler.
                if failure:
                    yield futures[future], Answer(3, "", f"no worker could grade it: {failure}")
                else:
                    yield futures[future], Answer(**future.result())

    return run
