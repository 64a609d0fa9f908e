"""The figures of contrib/cluster/README.md: how long clients are not served when a machine dies, and how
many sessions a change of the machines cuts. Each is a note of the report that begins with "figure:", a row of
a table there."""

import os
import signal
import time

import engines      # noqa: F401   (the path of harness)
from harness import note, wait_for

RATE = 300
PATIENCE = 2        # seconds after which a client gives up


def figure(*cells):
    note("figure: | " + " | ".join(map(str, cells)) + " |")


def kill(node):
    node.zproxy.kill()


def freeze_zproxy(node):
    os.kill(node.zproxy.pid, signal.SIGSTOP)


def thaw_zproxy(node):
    os.kill(node.zproxy.pid, signal.SIGCONT)


def start_again(node):
    node.zproxy.start_again()


# What happens, and what undoes it.
FAULTS = {
    "zproxy is killed": (kill, start_again),
    "zproxy is frozen": (freeze_zproxy, thaw_zproxy),
    "all processes are frozen": (lambda node: node.freeze(), lambda node: node.thaw()),
    "power cut": (lambda node: node.cut(), lambda node: node.mend()),
}


def last_trouble(report, begin):
    """When the last client began that was not served, or late because its first packet was lost."""
    return max(report.last_wrong or 0, report.last_slow or 0, begin)


def is_over(report, begin):
    """Whether clients were served that began so late that all before the last trouble have ended."""
    return (report.last_served or 0) - last_trouble(report, begin) > PATIENCE + 1.5


def outages(cluster, name, victim, await_out, await_back):
    """Lets each fault happen to a node while clients come, and writes for how long some were not served and
    how many. victim(): the node; await_out(node), await_back(node): wait until the engine has noticed."""
    cells = []
    with cluster.crowd(rate=RATE, patience=PATIENCE) as crowd:
        for fault, (happen, undo) in FAULTS.items():
            node = victim()
            crowd.await_served(RATE)
            crowd.clear()
            begin = time.monotonic()
            happen(node)
            await_out(node)
            wait_for(lambda: is_over(crowd.report(), begin), "clients to be served again")
            report = crowd.report()
            cells.append(f"{last_trouble(report, begin) - begin:.1f} s, {report.failures + report.breaks}"
                         + f" and {report.slow} late" * (report.slow > 0))
            note(f"{name}, {fault}: {dict(report)}")
            undo(node)
            await_back(node)
    figure(name, *cells)


def cut_sessions(cluster, name, change, count=600):
    """Writes the share of the sessions that each of some changes cuts. change: a list of (text, the node that is
    concerned, a function that makes the change and waits until it has effect)."""
    cells = []
    with cluster.crowd(pause=0.3, patience=PATIENCE) as crowd:
        for text, node, act in change:
            crowd.keep(count - crowd.report().kept_all)
            crowd.clear()
            before = crowd.report().kept
            act(crowd)
            time.sleep(PATIENCE + 1)        # every session has been tried
            broken = crowd.report().kept_broken_by_node
            own, others = broken.get(node.back, 0), sum(broken.values()) - broken.get(node.back, 0)
            rest = sum(before.values()) - before.get(node.back, 0)
            cells.append(f"{text}: {percent(own, before.get(node.back, 0))} of its own, "
                         f"{percent(others, rest)} of the others'")
    figure(name, *cells)


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "none there"
