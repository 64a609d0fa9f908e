"""System calls of zproxy, recorded or changed by strace(1)."""

import collections
import re
import signal
import subprocess
import tempfile

from .machine import find_program, need_program
from .tap import DEADLINE, Skip, wait_for

Call = collections.namedtuple("Call", "name descriptors result")

_BEGIN = re.compile(r"^(\d+) +(\w+)\((.*)$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_RESULT = re.compile(r"\) += (-?\d+)")


class Strace:
    """Traces a running zproxy for as long as a with statement lasts."""

    def __init__(self, z, *options):
        need_program("strace")
        self.z, self.options = z, options

    def __enter__(self):
        self.output = tempfile.NamedTemporaryFile("r", prefix="zproxy-strace-")
        self.messages = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [find_program("strace"), "-f", "-p", str(self.z.pid), "-o", self.output.name,
             *self.options], stdin=subprocess.DEVNULL, stderr=self.messages)
        wait_for(self._attached, "strace")
        return self

    def _attached(self):
        if self.process.poll() is not None:
            raise Skip(f"strace cannot attach here: {self._said().strip()}")
        return all(self.z.status_of(tid)["TracerPid"] != "0" for tid in self.z.threads())

    def _said(self):
        self.messages.seek(0)
        return self.messages.read()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)     # strace detaches and exits
        self.process.wait(DEADLINE)
        self.text = self.output.read()
        self.output.close()
        self.messages.close()

    def calls(self):
        """Yields each call with a result, with those of its arguments that may be descriptors."""
        begun = {}
        for line in self.text.splitlines():
            match = _RESUMED.match(line)
            if match:
                name, arguments = begun.pop(match[1], (None, ""))
                arguments += match[2]
            else:
                match = _BEGIN.match(line)
                if not match:
                    continue    # a signal
                name, arguments = match[2], match[3]
                if arguments.endswith("<unfinished ...>"):
                    begun[match[1]] = name, arguments
                    continue
            result = _RESULT.search(arguments)
            if name and result:
                yield Call(name, _descriptors(name, arguments), int(result[1]))


def _descriptors(name, arguments):
    """The first argument, and the third of splice(2), where they are numbers."""
    words = arguments.split(", ")
    return [int(word) for word in (words[0], words[2] if name == "splice" else "")
            if word.isdigit()]
