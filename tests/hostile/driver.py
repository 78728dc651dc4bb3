"""A server that runs each command line of normcli in a process of its own, watched and limited.

It has imported what normcli needs, so that a case costs a fork and not a start of torch. A line of
JSON on standard input asks for a run, a line on standard output says what became of it.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
import traceback

ADDRESS_SPACE = 4_000_000_000  # bytes
SECONDS = 20

# What can neither run code, nor reach anything outside of the process.
INERT = frozenset(
    {"builtins.id", "object.__getattr__", "sys._getframe", "_thread.start_new_thread"}
)
OPENING = frozenset({"open", "os.listdir", "os.scandir"})
# What normcli itself asks of the system, whatever is in the file.
OWN_FILES = frozenset({os.devnull, "/proc/self/statm", "/proc/self/status"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def serve(*, torch: bool) -> None:
    """Answer requests until there are no more."""
    import_rooms(torch=torch)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run_watched(request)
        _, status, used = os.wait4(pid, 0)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "seconds": used.ru_utime + used.ru_stime,
            "megabytes": used.ru_maxrss / 1024,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def import_rooms(*, torch: bool) -> None:
    """Import normcli whole, or what of it `ls` needs, which is without torch."""
    rooms = ["normcli"] if torch else ["normcli.cli", "normcli.formats", "normcli.render"]
    for room in rooms:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if module.name != "normcli.__main__" and (torch or ".writers" not in module.name):
                importlib.import_module(module.name)
    if not torch and "torch" in sys.modules:
        sys.exit("reading a header has imported torch")


def run_watched(request: dict) -> None:
    """One run, which ends this process."""
    try:
        os.chdir(request["folder"])
        limit()
        if not request["control"]:
            warm_up(request["arguments"], request["warm"])
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            redirect(f"{request['scratch']}/{name}", descriptor)
        watch(request["folder"], f"{request['scratch']}/events")
        if request["control"]:
            control(request["paths"])
        sys.argv = ["normcli", *request["arguments"], *request["paths"]]
        from normcli.cli.process import main

        main()
    except BaseException:  # noqa: BLE001 - this process is a copy of the server and must not go on
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(99)


def limit() -> None:
    """Memory and time, for good."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)


def warm_up(arguments: list[str], warm: list[str]) -> None:
    """Run the command on known files, so that whatever it imports late is there."""
    from normcli.cli.process import run

    redirect(os.devnull, 1)
    redirect(os.devnull, 2)
    run([*arguments, *warm])


def redirect(path: str, descriptor: int) -> None:
    """Let what is written to a descriptor go to a file."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


def watch(folder: str, events: str) -> None:
    """Write down every audit event that normcli does not cause of itself.

    From when something in the folder of the case is first opened: a file causes nothing before,
    and reading the command line compiles annotations.
    """
    descriptor = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    opened = False

    def hook(event: str, arguments: tuple) -> None:
        nonlocal opened
        opened = opened or (event in OPENING and is_below(arguments[0], folder))
        if opened and not expected(event, arguments, folder):
            os.write(descriptor, f"{event} {arguments[:2]!r}"[:300].encode() + b"\n")

    sys.addaudithook(hook)


def expected(event: str, arguments: tuple, folder: str) -> bool:
    """Whether normcli does this of itself: above all reads below the folder of the case."""
    if event not in OPENING:
        return event in INERT
    if event != "open":
        return is_below(arguments[0], folder)
    path, _, flags = arguments
    if isinstance(path, int):
        return True
    if os.fsdecode(path) in OWN_FILES:
        return True
    return not flags & WRITING and is_below(path, folder)


def is_below(path: str | bytes | int | None, folder: str) -> bool:
    """Whether a path, as it is spelled, leads into the folder."""
    if isinstance(path, int):
        return True
    name = os.fsdecode(path or ".")
    spelled = os.path.normpath(name if name.startswith("/") else f"{folder}/{name}")
    return spelled == folder or spelled.startswith(folder + os.sep)


def control(paths: list[str]) -> None:
    """Load the files as nobody should, to see that it is seen."""
    import torch

    for path in paths:
        torch.load(path, weights_only=False)
    os._exit(0)


if __name__ == "__main__":
    serve(torch=sys.argv[1] == "torch")
