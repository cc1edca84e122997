"""What tests have go wrong, and the log of all calls."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from .call import Call
from .errors import Refused


class Lost(Exception):
    """The connection breaks: nobody learns what became of the call."""


@dataclass
class Fault:
    """What befalls calls of one action."""

    action: str
    # Parameters that those calls have, and how many of them are spared first.
    where: dict[str, str] = field(default_factory=dict)
    skip: int = 0
    # How many it befalls: all, where that is not said.
    times: int | None = None
    # The error that is answered, before anything is done.
    code: str = ""
    message: str = "Made up by the test"
    status: int = 400
    # Seconds in which nothing happens first.
    delay: float = 0.0
    # Whether what was done is not answered.
    lost: bool = False

    def befalls(self, call: Call) -> bool:
        fits = self.action == call.action and self.times != 0
        if not fits or any(str(call.parameters.get(k)) != v for k, v in self.where.items()):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Kill:
    """Ends a process at one of the calls that come from now on."""

    pid: int
    call: int
    when: str = "before"


class Faults:
    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []
        self.faults: list[Fault] = []
        self.kills: list[tuple[Kill, int]] = []
        self.lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self.lock:
            self.faults.append(fault)

    def kill(self, kill: Kill) -> None:
        with self.lock:
            self.kills.append((kill, len(self.calls)))

    def begin(self, call: Call) -> dict[str, object]:
        """Notes a call, and ends whom it is the last one of."""
        with self.lock:
            entry: dict[str, object] = {
                "number": len(self.calls) + 1,
                "service": call.service,
                "action": call.action,
                "region": call.region,
                "parameters": call.shown(),
                "status": None,
            }
            self.calls.append(entry)
        self._kill(entry, "before")
        return entry

    def take(self, call: Call) -> bool:
        """Has befall a call what is meant for it; whether its answer is lost."""
        with self.lock:
            fault = next((fault for fault in self.faults if fault.befalls(call)), None)
        if fault is None:
            return False
        time.sleep(fault.delay)
        if fault.code:
            raise Refused(fault.status, fault.code, fault.message)
        return fault.lost

    def end(self, entry: dict[str, object]) -> None:
        self._kill(entry, "after")

    def _kill(self, entry: dict[str, object], when: str) -> None:
        with self.lock:
            due = [
                kill
                for kill, since in self.kills
                if kill.when == when and since + kill.call == entry["number"]
            ]
        for kill in due:
            os.kill(kill.pid, signal.SIGKILL)
            entry["killed"] = kill.when
        if due:
            raise Lost
