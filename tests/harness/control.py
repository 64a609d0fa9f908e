"""The control socket of zproxy, and zproxyctl."""

import json
import os
import socket

from .machine import run_program
from .program import command
from .tap import DEADLINE, Failure


class Refused(Failure):
    """A command was answered with errors (.errors)."""

    def __init__(self, errors):
        super().__init__("\n".join(errors))
        self.errors = errors


class Control:
    """A client of the control socket, without zproxyctl; closed at the end of a with statement."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.sock.settimeout(DEADLINE)
        self.input = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.sock.close()

    def send(self, line):
        self.sock.sendall(line.encode() + b"\n")

    def answer(self):
        """Returns the lines of an answer, without the empty one that ends it."""
        lines = []
        while (line := self.input.readline()) != b"\n":
            if not line.endswith(b"\n"):
                raise Failure(f"zproxy closed the connection within an answer: {lines} {line}")
            lines.append(line[:-1].decode())
        return lines

    def ask(self, line):
        """Sends a command. Returns the lines of the answer; raises Refused."""
        self.send(line)
        lines = self.answer()
        errors = [each[len("error: "):] for each in lines if each.startswith("error: ")]
        if errors:
            assert len(errors) == len(lines), lines
            raise Refused(errors)
        return lines

    def json(self, line):
        """Sends a command with "json". Returns the value of the answer; raises Refused."""
        self.send(f"json {line}")
        lines = self.answer()
        assert len(lines) == 1, lines
        value = json.loads(lines[0])
        if isinstance(value, dict) and "errors" in value:
            raise Refused(value["errors"])
        return value

    def servers(self, pool=""):
        """Returns {"POOL/NAME": row} of "show servers"."""
        return {row["server"]: row for row in self.json(f"show servers {pool}")}

    def errors(self, line):
        """Sends a command that must fail. Returns its errors."""
        try:
            answer = self.ask(line)
        except Refused as refused:
            return refused.errors
        raise Failure(f"{line}: not refused, but answered: {answer}")


def zproxyctl(z, *arguments, **options):
    """Runs zproxyctl for a Zproxy. Returns the finished process, whatever its exit status."""
    return run_program(*ctl_command(), "-s", z.socket, *arguments, check=False, **options)


def ctl_command():
    """The command of the zproxyctl beside the zproxy under test."""
    zproxy = command()
    return [*zproxy[:-1], os.path.join(os.path.dirname(zproxy[-1]), "zproxyctl")]
