"""The control socket of zproxy, and the program that people use it with."""

import json
import os
import socket

from .machine import run_program
from .program import command
from .tap import DEADLINE, Failure


class Refused(Failure):
    """A command was answered with errors."""

    def __init__(self, errors):
        super().__init__("\n".join(errors))
        self.errors = errors


class Control:
    """A client that speaks to the socket without zproxyctl. As a with statement: it hangs up at
    the end."""

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
        """The lines up to the empty one."""
        lines = []
        while (line := self.input.readline()) != b"\n":
            if not line.endswith(b"\n"):
                raise Failure(f"zproxy hung up within an answer: {lines} {line}")
            lines.append(line[:-1].decode())
        return lines

    def ask(self, line):
        """The answer, line by line."""
        self.send(line)
        lines = self.answer()
        errors = [each[len("error: "):] for each in lines if each.startswith("error: ")]
        if errors:
            assert len(errors) == len(lines), lines
            raise Refused(errors)
        return lines

    def json(self, line):
        """The answer as values."""
        self.send(f"json {line}")
        lines = self.answer()
        assert len(lines) == 1, lines
        value = json.loads(lines[0])
        if isinstance(value, dict) and "errors" in value:
            raise Refused(value["errors"])
        return value

    def servers(self, pool=""):
        """show servers by "POOL/NAME"."""
        return {row["server"]: row for row in self.json(f"show servers {pool}")}

    def errors(self, line):
        """What a command that must fail is told."""
        try:
            answer = self.ask(line)
        except Refused as refused:
            return refused.errors
        raise Failure(f"{line}: not refused, but answered: {answer}")


def zproxyctl(z, *arguments, **options):
    """Runs zproxyctl for a zproxy to its end, without judging how it ends."""
    return run_program(*ctl_command(), "-s", z.socket, *arguments, check=False, **options)


def ctl_command():
    """It stands beside zproxy."""
    zproxy = command()
    return [*zproxy[:-1], os.path.join(os.path.dirname(zproxy[-1]), "zproxyctl")]
