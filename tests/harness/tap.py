"""Promises, and a report in TAP (Test Anything Protocol) on which of them were kept.

ZPROXY_RELAY=copy (or splice) in the environment tries promises in this relay mode only, and
ZPROXY_PROMISE=TEXT only those whose title contains the text. ZPROXY_SLOW=yes tries the slow ones as well.
ZPROXY_PATIENCE=N waits N times as long, on a machine that is so much slower, such as an emulated one."""

import functools
import inspect
import os
import signal
import sys
import time
import traceback

MODES = ("splice", "copy")
PATIENCE = max(1, int(os.environ.get("ZPROXY_PATIENCE") or 1))
DEADLINE = 60 * PATIENCE    # seconds for anything that must happen; nothing that works comes near it
PROMISE_DEADLINE = 600  # for a promise as a whole, unless run() is given another; times PATIENCE

_promises = []
requirements = {}       # relay mode: a function that raises Skip where the mode is not available


def short(milliseconds):
    """A time for the configuration: it must pass during the test, but not before the test has done what
    must come first. PATIENCE makes it longer."""
    return f"{milliseconds * PATIENCE}ms"


class Failure(AssertionError):
    """A promise was not kept."""


class Skip(Exception):
    """A promise cannot be tried here."""


def promise(title, cases=((),), slow=False):
    """Makes a function a promise. A function whose first parameter is `relay` is called once for
    each relay mode. With cases it is called once for each case, whose elements are its further
    arguments and fill the places {0}, {1}, ... of the title. slow: only
    `make check-cluster` and `make check-package` try it."""
    def register(function):
        if not slow or os.environ.get("ZPROXY_SLOW"):
            _promises.append((title, list(cases), function))
        return function
    return register


def note(text):
    """Writes a comment into the report."""
    for line in str(text).splitlines():
        print("#", line, flush=True)


def wait_for(condition, what, alive=None):
    """Returns condition() as soon as it is true; raises Failure after DEADLINE. alive: called
    between two looks; raises Failure when waiting makes no sense any more."""
    end = time.monotonic() + DEADLINE
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if alive is not None:
            alive()
        if time.monotonic() > end:
            raise Failure(f"waited {DEADLINE} s for {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def run(need=None, deadline=PROMISE_DEADLINE):
    """Tries all promises of the file and exits; the last line of every scenario. need: called
    before each promise; raises Skip where none of them can be tried. deadline: seconds that one
    promise may take, times PATIENCE."""
    deadline *= PATIENCE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))     # with statements end
    # A background job of a shell ignores SIGINT, and so would every program that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, functools.partial(_on_alarm, deadline))
    if not _promises:
        print("1..0 # SKIP only make check-cluster or check-package tries this")
        sys.exit(0)
    wanted = os.environ.get("ZPROXY_PROMISE", "")
    runs = [one for each in _promises for one in _runs_of(*each) if wanted in one[0]]
    if not runs:
        sys.exit(f"no promise has this in its title: {wanted}")
    print(f"1..{len(runs)}", flush=True)
    kept = [_try(number, need, deadline, *each) for number, each in enumerate(runs, 1)]
    sys.exit(0 if all(kept) else 1)


def _runs_of(title, cases, function):
    relays = next(iter(inspect.signature(function).parameters), None) == "relay"
    wanted = os.environ.get("ZPROXY_RELAY", ",".join(MODES)).split(",")
    for case in cases:
        name = title.format(*case)
        if relays:
            for mode in MODES:
                if mode in wanted:
                    yield f"{mode}: {name}", mode, function, (mode, *case)
        else:
            yield name, None, function, case


def _try(number, need, deadline, title, mode, function, arguments):
    try:
        signal.alarm(deadline)
        if need is not None:
            need()
        if mode in requirements:
            requirements[mode]()
        function(*arguments)
    except Skip as why:
        print(f"ok {number} - {title} # SKIP {why}", flush=True)
        return True
    except Exception as error:
        signal.alarm(0)
        print(f"not ok {number} - {title}", flush=True)
        _explain(error)
        return False
    finally:
        signal.alarm(0)
    print(f"ok {number} - {title}", flush=True)
    return True


def _on_alarm(deadline, *_):
    raise Failure(f"not finished after {deadline} s")


def _explain(error):
    """Writes the traceback and, for an assertion, the local variables of the promise."""
    note("".join(traceback.format_exception(error)))
    scenario = vars(sys.modules["__main__"])
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)
              if frame.f_globals is scenario]
    if not isinstance(error, AssertionError) or not frames:
        return
    for name, value in frames[-1].f_locals.items():
        text = repr(value)
        note(f"    {name} = {text if len(text) < 400 else text[:400] + '...'}")
