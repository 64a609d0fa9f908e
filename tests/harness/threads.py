"""Threads of a running program that hang: one that is stopped, and one in an endless loop."""

import contextlib
import ctypes
import os
import platform

from .machine import need

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_GETREGS, _SETREGS, _DETACH, _SEIZE, _INTERRUPT = 12, 13, 17, 0x4206, 0x4207
_WALL = 0x40000000
_Registers = ctypes.c_ulong * 27
_ORIG_RAX, _RIP = 15, 16
_LOOP = b"\xeb\xfe"     # a jump to itself


def _try_stop(tid):
    if _libc.ptrace(_SEIZE, tid, None, None) != 0 or _libc.ptrace(_INTERRUPT, tid, None, None) != 0:
        return False
    return os.WIFSTOPPED(os.waitpid(tid, _WALL)[1])


def _stop(tid):
    need(_try_stop(tid), "ptrace is not allowed here")


def reap(tid):
    """Lets a stopped thread go whose process was killed; its parent waits for that."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(tid, _WALL | os.WNOHANG)


@contextlib.contextmanager
def stopped(tid):
    """Stops one thread with ptrace; a signal would stop the whole process."""
    _stop(tid)
    try:
        yield
    finally:
        _libc.ptrace(_DETACH, tid, None, None)


def _find_loop(tid):
    """Returns the address of such a jump in the code of the program or its libraries."""
    with open(f"/proc/{tid}/maps") as maps, open(f"/proc/{tid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            begin, end = (int(each, 16) for each in span.split("-"))
            if "x" in rights and "[v" not in line:
                memory.seek(begin)
                at = memory.read(end - begin).find(_LOOP)
                if at >= 0:
                    return begin + at
    return None


@contextlib.contextmanager
def spinning(tid):
    """Has one thread run in an endless loop. It goes on where it was, unless it is killed before."""
    need(platform.machine() == "x86_64", "only an x86_64 thread can be sent into an endless loop")
    _stop(tid)
    before = _Registers()
    assert _libc.ptrace(_GETREGS, tid, None, ctypes.addressof(before)) == 0
    loop = _Registers(*before)
    loop[_RIP] = _find_loop(tid)
    loop[_ORIG_RAX] = ctypes.c_ulong(-1).value     # no system call is to be repeated
    assert _libc.ptrace(_SETREGS, tid, None, ctypes.addressof(loop)) == 0
    _libc.ptrace(_DETACH, tid, None, None)
    try:
        yield
    finally:
        if _try_stop(tid):
            _libc.ptrace(_SETREGS, tid, None, ctypes.addressof(before))
            _libc.ptrace(_DETACH, tid, None, None)
