"""What the measures say: tables, ratios, goals, JSON and a plot."""

import json
import math
import os
import statistics
import subprocess

import host
from loads import METRICS

GOALS = [   # load, which cases, metric, peer, at most this much of the peer's (more: at least)
    ("transfer", {}, "cpu_byte", "nginx", 0.45),
    ("transfer", {}, "cpu_byte", "haproxy", 0.35),
    ("transfer", {}, "cpu_byte", "haproxy-splice", 0.85),
    ("transfer", {}, "cpu_byte", "copy", 0.6),
    ("transfer", {}, "throughput", "nginx", 1.0),
    ("transfer", {}, "throughput", "haproxy", 1.0),
    ("transfer", {}, "throughput", "haproxy-splice", 1.0),
    ("transfer", {}, "throughput", "copy", 1.0),
    ("exchange", {"size": 64, "clients": 50}, "cpu_each", "nginx", 0.92),
    ("exchange", {"size": 64, "clients": 50}, "cpu_each", "haproxy", 0.75),
    ("exchange", {"size": 64, "clients": 50}, "rate", "nginx", 1.0),
    ("exchange", {"size": 64, "clients": 50}, "rate", "haproxy", 1.0),
    ("exchange", {"size": 64, "clients": 1}, "p50", "nginx", 0.85),
    ("exchange", {"size": 64, "clients": 1}, "p50", "haproxy", 0.85),
    ("exchange", {"size": 16384}, "cpu_each", "nginx", 1.0),
    ("connect", {}, "cpu_each", "nginx", 0.95),
    ("connect", {}, "cpu_each", "haproxy", 0.9),
    ("connect", {}, "p99", "nginx", 1.0),
    ("connect", {}, "p99", "haproxy", 1.0),
]
GOALS += [
    (load, {}, metric, peer, limit)
    for load, metric, limit in (("tls-connect", "cpu_each", 1.0), ("tls-exchange", "cpu_each", 1.0),
                                ("tls-transfer", "cpu_byte", 1.0))
    for peer in ("haproxy", "nginx")
] + [("tls-concurrent", {}, "memory", "haproxy", 0.5)]
SELF_GOALS = [  # load, which cases, metric, at most this much, of the case with these parameters
    ("concurrent", {"idle": 9000}, "memory", 400, None),
    ("concurrent", {"idle": 9000}, "fds", 2.01, None),
    ("concurrent", {"idle": 9000}, "cpu_each", 1.05, {"idle": 0}),
    ("concurrent", {"idle": 9000}, "p50", 1.05, {"idle": 0}),
    ("breadth", {"servers": 1000}, "exchange_cpu", 1.05, {"servers": 1, "listeners": 1}),
    ("breadth", {"servers": 1000}, "connect_cpu", 1.05, {"servers": 1, "listeners": 1}),
    ("breadth", {"servers": 1000}, "start", 100, None),
    ("breadth", {"listeners": 1000}, "exchange_cpu", 1.05, {"servers": 1, "listeners": 1}),
    ("breadth", {"listeners": 1000}, "connect_cpu", 1.05, {"servers": 1, "listeners": 1}),
    ("breadth", {"listeners": 1000}, "start", 100, None),
]
MAIN_METRIC = {
    "transfer": "cpu_byte", "exchange": "cpu_each", "connect": "cpu_each",
    "concurrent": "memory", "breadth": "connect_cpu", "workers": "rate", "real": "cpu_each",
    "tls-connect": "cpu_each", "tls-exchange": "cpu_each", "tls-transfer": "cpu_byte",
    "tls-concurrent": "memory",
}


def values(case, target, metric):
    """One value for each round; a proxy only has processor time of its own."""
    return [r[metric] for r in case.rounds.get(target, []) if metric in r]


def median(case, target, metric):
    found = values(case, target, metric)
    return statistics.median(found) if found else None


def ratio(case, reference, target, metric):
    """The median over the rounds of: the reference's value divided by the target's."""
    return paired(case.rounds.get(reference, []), case.rounds.get(target, []), metric)


def pairs(mine, theirs, metric):
    return [a[metric] / b[metric] for a, b in zip(mine, theirs)
            if metric in a and metric in b and b[metric] > 0]


def paired(mine, theirs, metric):
    found = pairs(mine, theirs, metric)
    return statistics.median(found) if found else None


def interval(found):
    """The least and the most of those that hold the median of all there could be with 95 % confidence
    (of fewer than six values: all). Whether a value lies below it is the toss of a coin."""
    n, left_out, chance = len(found), 0, 2.0 ** (1 - len(found))
    while left_out < (n - 1) // 2:
        chance += math.comb(n, left_out + 1) * 2.0 ** (1 - n)
        if chance > 0.05:
            break
        left_out += 1
    found = sorted(found)
    return found[left_out], found[n - 1 - left_out]


def spread(found):
    """Half of that range, as a fraction of the median."""
    least, most = interval(found)
    return (most - least) / 2 / statistics.median(found)


def number(value, digits):
    if digits == 3:     # significant ones
        digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def cell(case, reference, target, name, metric):
    found = values(case, target, name)
    if not found or (target == "direct" and name.startswith(("cpu_", "core_"))):
        return "-", "", ""
    middle = statistics.median(found)
    text = number(middle * metric.scale, metric.digits)
    around = share = ""
    if len(found) > 1 and middle > 0 and name != "calls":
        around = f"±{100 * spread(found):.0f}%"
    if target != reference and metric.ratio:
        shares = pairs(case.rounds.get(reference, []), case.rounds.get(target, []), name)
        share = f"{statistics.median(shares):.2f}" if shares else ""
        if len(shares) > 1 and name != "calls":
            share += f"±{statistics.median(shares) * spread(shares):.2f}"
    return text, around, share


def table(case, targets):
    """A case as text: a row for each target, a column for each metric."""
    reference = targets[0]
    names = [m for m in case.metrics if any(values(case, t, m) for t in targets)]
    rows = [[t] for t in targets if case.rounds.get(t)]
    for row in rows:
        for name in names:
            row += cell(case, reference, row[0], name, METRICS[name])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    heading = " " * widths[0]
    for i, name in enumerate(names):
        a, b, c = widths[1 + 3 * i:4 + 3 * i]
        a = widths[1 + 3 * i] = max(a, len(METRICS[name].heading) - b - c - (b > 0) - (c > 0))
        heading += "   " + METRICS[name].heading.rjust(a + b + c + (b > 0) + (c > 0))
    lines = [f"{case.load}: {case.title}", heading.rstrip()]
    for row in rows:
        line = row[0].ljust(widths[0])
        for i in range(1, len(row), 3):
            line += "  "
            for text, width in zip(row[i:i + 3], widths[i:i + 3]):
                line += " " + text.rjust(width) if width else ""
        lines.append(line.rstrip())
    for t in targets:
        if t in case.details:
            calls = ", ".join(f"{k} {v:.2f}" for k, v in case.details[t].items())
            lines.append(f"  calls of {t}: {calls}")
    return "\n".join(lines)


def matches(case, load, params):
    return case.load == load and all(case.params.get(k) == v for k, v in params.items())


def goals(cases, reference):
    """What was wanted and what came out: (text, figure, limit, met, worst case)."""
    found = []
    for load, params, name, peer, limit in GOALS:
        more = METRICS[name].more_is_better
        ratios = [(r, c) for c in cases if matches(c, load, params)
                  and (r := ratio(c, reference, peer, name)) is not None]
        if ratios:
            worst, case = (min if more else max)(ratios, key=lambda rc: rc[0])
            found.append({
                "goal": f"{load} {METRICS[name].heading} / {peer}", "cases": len(ratios),
                "median": statistics.median(r for r, _ in ratios), "worst": worst,
                "worst_case": case.title, "limit": limit,
                "met": worst >= limit if more else worst <= limit, "at_least": more})
    for load, params, name, limit, base in SELF_GOALS:
        for case in (c for c in cases if matches(c, load, params)):
            value, unit = median(case, reference, name), METRICS[name].heading
            if base is not None:
                first = next((c for c in cases if matches(c, load, base)), None)
                value = paired(case.rounds.get(reference, []), first.rounds.get(reference, []),
                               name) if first else None
                unit += f" / that of {first.title}" if first else ""
            elif value is not None:
                value *= METRICS[name].scale
            if value is not None:
                found.append({"goal": f"{load} {unit}", "cases": 1, "median": value,
                              "worst": value, "worst_case": case.title, "limit": limit,
                              "met": value <= limit, "at_least": False})
    return found


def goals_table(found, reference):
    if not found:
        return ""
    lines = [f"Goals: {reference} as a fraction of the peer, median of the cases and the worst one"]
    width = max(len(g["goal"]) for g in found)
    for g in found:
        lines.append(f"{g['goal'].ljust(width)}  {g['median']:8.3g}  worst {g['worst']:8.3g}"
                     f"  {'at least' if g['at_least'] else 'at most '} {g['limit']:<5g}"
                     f"  {'met   ' if g['met'] else 'MISSED'}  {g['worst_case']}")
    return "\n".join(lines)


def document(bench):
    names = [t.name for t in bench.targets]
    return {
        "host": host.describe(),
        "settings": {"rounds": {load.name: load.rounds for load in bench.loads},
                     "seconds": {load.name: load.seconds for load in bench.loads},
                     "proxy_core": bench.proxy_core, "load_cores": bench.load_cores},
        "versions": {t.name: t.version() for t in bench.targets},
        "reference": names[0],
        "notes": bench.notes,
        "cases": [{
            "load": c.load, "case": c.title, "params": c.params,
            "targets": {t: {
                "rounds": c.rounds[t],
                "median": {m: median(c, t, m) for m in METRICS if values(c, t, m)},
                "ratio": {m: r for m in METRICS if t != names[0]
                          and (r := ratio(c, names[0], t, m)) is not None},
                "calls": c.details.get(t),
            } for t in names if c.rounds.get(t)},
        } for c in bench.cases],
        "goals": goals(bench.cases, names[0]),
    }


def write_json(bench, path):
    with open(path, "w") as f:
        json.dump(document(bench), f, indent=1)
        f.write("\n")


def quoted(text):
    return '"' + text.replace('"', "'") + '"'


def plot(bench, path):
    """One picture for each load, one above the other: a cluster of bars for each case."""
    loads = list(dict.fromkeys(c.load for c in bench.cases))
    script, panels = [], []
    for load in loads:
        metric = MAIN_METRIC[load]
        cases = [c for c in bench.cases if c.load == load
                 and any(values(c, t.name, metric) for t in bench.targets)]
        shown = [t.name for t in bench.targets if any(values(c, t.name, metric) for c in cases)
                 and not (t.name == "direct" and "cpu" in metric)]
        if cases and shown:
            panels.append((load, metric, cases, shown))
    if not panels:
        return
    kind = os.path.splitext(path)[1].lstrip(".")
    terminal = "pngcairo" if kind == "png" else "svg"
    script += [f"set terminal {terminal} size 1100,{420 * len(panels)} background '#ffffff'",
               f"set output {quoted(path)}", "set style data histograms",
               "set style histogram errorbars gap 1 lw 1", "set style fill solid 0.8 noborder",
               "set grid y", "set yrange [0:*]", "set xtics rotate by -25 scale 0",
               "set key outside right top", f"set multiplot layout {len(panels)},1"]
    for load, metric, cases, shown in panels:
        m = METRICS[metric]
        script += [f"set title {quoted(load)}", f"set ylabel {quoted(m.heading)}", "$data << END"]
        for c in cases:
            row = [quoted(c.title)]
            for t in shown:
                v = [x * m.scale for x in values(c, t, metric)]
                row += [f"{x:.6g}" for x in (statistics.median(v), min(v), max(v))] if v else \
                    ["NaN"] * 3
            script.append(" ".join(row))
        script += ["END", "plot " + ", ".join(
            f"$data using {2 + 3 * i}:{3 + 3 * i}:{4 + 3 * i}:xtic(1) title {quoted(t)}"
            for i, t in enumerate(shown))]
    script.append("unset multiplot")
    r = subprocess.run([host.program("gnuplot")], input="\n".join(script) + "\n",
                       capture_output=True, text=True)
    if r.returncode != 0:
        bench.note(f"gnuplot: {r.stderr.strip()[-200:]}")
