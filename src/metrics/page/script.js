"use strict";
/* Updates the page from /stats.json and plots the history of the last minutes. */
(() => {
    const PERIOD = 2000, PATIENCE = 15000, LINES = 4, PROBLEMS = 20, NAMED = 3;
    const $ = id => document.getElementById(id);
    const make = (name, cls, text) => {
        const e = document.createElement(name);
        if (cls) e.className = cls;
        if (text !== undefined) e.textContent = text;
        return e;
    };
    const shape = (name, attributes, text) => {
        const e = document.createElementNS("http://www.w3.org/2000/svg", name);
        for (const key in attributes) e.setAttribute(key, attributes[key]);
        if (text !== undefined) e.textContent = text;
        return e;
    };
    const setText = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

    /* ---- numbers ---- */

    const count = n => Math.round(n).toLocaleString("en-US");
    const bytes = n => {
        let unit = -1;
        while (n >= 1023.95) { n /= 1024; unit++; }
        return unit < 0 ? `${Math.round(n)} B` : `${n.toFixed(1)} ${"KMGTPE"[unit]}iB`;
    };
    const byteRate = n => bytes(n) + "/s";
    const rate = n => (n >= 9.95 ? count(n) : String(+n.toFixed(n < 1 ? 2 : 1))) + "/s";
    const pad = n => String(n).padStart(2, "0");
    const time = ms => {
        const s = Math.floor(ms / 1000);
        if (s >= 86400) return `${Math.floor(s / 86400)}d${pad(Math.floor(s % 86400 / 3600))}h`;
        if (s >= 3600) return `${Math.floor(s / 3600)}h${pad(Math.floor(s % 3600 / 60))}m`;
        if (s >= 60) return `${Math.floor(s / 60)}m${pad(s % 60)}s`;
        return s > 0 ? `${s}.${Math.floor(ms % 1000 / 100)}s` : `${Math.floor(ms)}ms`;
    };

    /* ---- tables ---- */

    const setCell = (td, [text, cls, under, badge]) => {
        const key = JSON.stringify([text, cls, under, badge]);
        if (td.key === key) return;
        td.key = key;
        td.className = cls || "";
        td.replaceChildren(badge ? make("span", "badge " + badge, text) : text);
        for (const line of under ? [].concat(under) : [])
            td.append(make("small", "", line));
    };
    const fillTable = (body, rows, nothing) => {
        while (body.rows.length > Math.max(rows.length, 1)) body.deleteRow(-1);
        if (rows.length === 0)
            rows = [{ cells: [[nothing, "none"]] }];
        rows.forEach((row, i) => {
            const tr = body.rows[i] || body.insertRow();
            tr.dataset.find = row.find || "";
            tr.dataset.trouble = row.trouble ? "yes" : "";
            while (tr.cells.length > row.cells.length) tr.deleteCell(-1);
            row.cells.forEach((cell, j) => setCell(tr.cells[j] || tr.insertCell(), cell));
            if (row.cells.length === 1) tr.cells[0].colSpan = 20; else tr.cells[0].colSpan = 1;
        });
    };

    /* The growth of a counter per second since the last update. */
    let before = new Map(), after = new Map(), elapsed = 0;
    const speed = (key, value) => {
        after.set(key, value);
        const grown = value - (before.has(key) ? before.get(key) : value);
        return elapsed > 0 && grown > 0 ? grown / elapsed : 0;
    };

    const statusOf = s => s.state !== "ready" ? [s.state, s.state === "drain" ? "warn" : "off"]
        : [s.status, s.status === "up" ? "good" : "bad"];
    const reason = s => s.why ? s.why : !s.check ? "not checked" :
        `${s.check.why}, ${time(s.check.duration_ms)}, ${time(s.check.age_ms)} ago`;
    const serverRow = (pool, s) => {
        const key = `${pool.name}/${s.name}/${s.address}`;
        const [word, look] = statusOf(s);
        const up = speed(key + ">", s.sent), down = speed(key + "<", s.received);
        return {
            find: `${s.name} ${s.address} ${word}`.toLowerCase(), trouble: look !== "good",
            cells: [
                [s.name, "", s.address === s.name ? "" : s.address],
                [word, "", s.backup ? "backup" : "", look],
                [reason(s), "why"],
                [count(s.active), "num", s.max_connections ? `of ${count(s.max_connections)}` : ""],
                [count(s.weight), "num wide"],
                [count(s.connections), "num wide"],
                [count(s.connect_failures), "num mid"],
                [bytes(s.sent), "num mid", byteRate(up)],
                [bytes(s.received), "num mid", byteRate(down)],
            ],
        };
    };
    const sessionRow = s => ({ cells: [
        [String(s.id)], [s.client, "", s.listener],
        [s.server === null ? "–" : s.server, "", s.pool], [s.state, "wide"],
        [time(s.age_ms), "num wide"], [bytes(s.up), "num"], [bytes(s.down), "num"],
        [byteRate(s.bytes_per_second), "num"] ] });
    const refusals = l => Object.entries(l.refused).filter(([, n]) => n > 0)
        .map(([why, n]) => `${why} ${count(n)}`);
    const sum = object => Object.values(object).reduce((a, b) => a + b, 0);
    const listenerRow = l => ({ cells: [
        [l.name, "", l.bind], [l.pool, "wide"],
        [count(l.active), "num", [...(l.max_connections ? [`of ${count(l.max_connections)}`] : []),
                                  ...(l.paused ? [`paused: ${l.paused}`] : []),
                                  ...(l.health_set === "auto" ? [] : [`health set: ${l.health_set}`])]],
        [count(l.connections), "num", rate(speed("l/" + l.name, l.connections))],
        [count(sum(l.refused)), "num", refusals(l)] ] });
    const workerRow = w => ({ cells: [
        [String(w.worker)], [count(w.sessions), "num"], [count(w.pipes_used), "num"],
        [count(w.pipes_idle), "num"],
        [time(w.loop_ms), "num", `${Math.round(speed("w/" + w.worker, w.loop_ms) / 10)} %`] ] });

    /* Hides the rows that do not match the filter, and pools without a row. If the name of a pool
       matches, all of its rows do. */
    const applyFilter = () => {
        const wanted = $("filter").value.trim().toLowerCase(), trouble = $("trouble").checked;
        let shown = 0;
        for (const card of document.querySelectorAll(".pool")) {
            const nameMatches = card.dataset.pool.toLowerCase().includes(wanted);
            let rows = 0;
            for (const tr of card.querySelectorAll("tbody tr")) {
                const hit = (nameMatches || (tr.dataset.find || "").includes(wanted)) &&
                    (!trouble || tr.dataset.trouble !== "");
                tr.classList.toggle("hidden", !hit);
                rows += hit;
            }
            const hide = (!nameMatches && rows === 0) || (trouble && !card.dataset.severity);
            card.classList.toggle("hidden", hide);
            shown += !hide;
        }
        $("no_match").classList.toggle("hidden", shown > 0);
    };

    /* ---- plots ---- */

    const past = { end: 0, step: PERIOD, pools: new Map() };
    const appendHistory = h => {
        const fresh = h.first !== past.end;
        const pools = new Map();
        for (const p of h.pools) {
            const old = !fresh && past.pools.get(p.name);
            const joined = { };
            for (const key of ["up", "down", "sessions", "connections", "failures"])
                joined[key] = (old ? old[key].concat(p[key]) : p[key]).slice(-150);
            pools.set(p.name, joined);
        }
        Object.assign(past, { end: h.end, step: h.step_ms, pools });
    };

    /* The busiest pools get a line each, the others share one: more than four lines cannot be
       told apart. */
    const plottedPools = () => {
        const weight = p => p.up.reduce((a, v, i) => a + v + p.down[i], 0) +
            p.sessions.reduce((a, v) => a + v, 0);
        const all = [...past.pools].map(([name, p], i) => ({ name, p, i, weight: weight(p) }));
        if (all.length <= LINES)
            return { own: all, others: [] };
        all.sort((a, b) => b.weight - a.weight || a.i - b.i);
        return { own: all.slice(0, LINES - 1).sort((a, b) => a.i - b.i),
                 others: all.slice(LINES - 1) };
    };
    const series = value => {
        const chosen = plottedPools();
        const lines = list => list.map(({ name, p }) => ({ name, points: value(p) }));
        const own = lines(chosen.own), others = lines(chosen.others);
        if (others.length > 0)
            own.push({ name: `${others.length} others`, points: others[0].points.map(
                (_, i) => others.reduce((a, s) => a + (s.points[i] || 0), 0)) });
        return own;
    };
    const ceiling = (max, base) => {
        if (max <= 0) return base === 1024 ? 1024 : 1;
        const power = Math.pow(base, Math.floor(Math.log(max) / Math.log(base)));
        for (const step of [1, 1.5, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 80, 100, 150, 200, 300, 500,
                            800, 1024])
            if (max <= power * step) return power * step;
        return max;
    };
    const draw = (id, list, format, base) => {
        const box = $(id), width = box.clientWidth, height = box.clientHeight;
        if (width === 0) return;
        const room = { left: 0, top: 14, bottom: 16 };
        const steps = 150, last = steps - 1;
        const top = ceiling(Math.max(0, ...list.map(s => Math.max(0, ...s.points))), base);
        const x = (i, length) => (i + steps - length) / last * width;
        const y = v => room.top + (1 - v / top) * (height - room.top - room.bottom);
        const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
        for (const part of [0, .5, 1])
            svg.append(shape("line", { x1: 0, x2: width, y1: y(part * top), y2: y(part * top) }));
        svg.append(shape("text", { x: 0, y: height - 3 }, `${steps * past.step / 60000} min ago`));
        svg.append(shape("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"));
        list.forEach((s, n) => {
            const line = s.points.map((v, i) => `${i ? "L" : "M"}${x(i, s.points.length).toFixed(1)} ` +
                y(v).toFixed(1)).join("");
            if (!line) return;
            if (list.length < 4)
                svg.append(shape("path", { class: `area f${n}`, d: `${line}L${width} ${y(0)}L` +
                    `${x(0, s.points.length).toFixed(1)} ${y(0)}Z` }));
            svg.append(shape("path", { class: `s${n}`, d: line }));
        });
        for (const part of [.5, 1])     // drawn last, above the curves
            svg.append(shape("text", { x: 0, y: y(part * top) - 3 }, format(part * top)));
        box.replaceChildren(svg);
        box.shown = { list, format, steps, width };
        if (box.pointed !== undefined) point(box, box.pointed);
    };
    const point = (box, at) => {
        const { list, format, steps, width } = box.shown;
        const step = Math.max(0, Math.min(steps - 1, Math.round(at / width * (steps - 1))));
        const figure = box.parentNode, old = figure.querySelector(".tip");
        const x = step / (steps - 1) * width, tip = make("div", "tip");
        const ago = (steps - 1 - step) * past.step / 1000;
        const head = make("div", "", ago ? `${time(ago * 1000).replace(".0s", "s")} ago` : "now");
        tip.append(head);
        list.forEach((s, n) => {
            const v = s.points[step - steps + s.points.length];
            if (v === undefined) return;
            const row = make("div"), name = make("span", "", s.name);
            name.prepend(make("i", `dot b${n}`));
            row.append(name, make("span", "", format(v)));
            tip.append(row);
        });
        if (old) old.remove();
        const cursor = box.querySelector("line.at");
        if (cursor) cursor.remove();
        box.firstChild.append(shape("line", { class: "at", x1: x, x2: x, y1: 14,
                                              y2: box.clientHeight - 16 }));
        figure.append(tip);
        if (x > width / 2) tip.style.right = `${width - x + 26}px`;
        else tip.style.left = `${x + 26}px`;
        box.pointed = at;
    };
    const unpoint = box => {
        const tip = box.parentNode.querySelector(".tip"), cursor = box.querySelector("line.at");
        if (tip) tip.remove();
        if (cursor) cursor.remove();
        box.pointed = undefined;
    };
    for (const box of document.querySelectorAll(".plot")) {
        box.addEventListener("pointermove", e => {
            if (box.shown) point(box, e.clientX - box.getBoundingClientRect().left);
        });
        box.addEventListener("pointerleave", () => unpoint(box));
    }
    const drawAll = () => {
        draw("plot_bytes", series(p => p.up.map((v, i) => v + p.down[i])), byteRate, 1024);
        draw("plot_sessions", series(p => p.sessions), count, 10);
        draw("plot_failures", series(p => p.failures), rate, 10);
        const names = series(p => p.up).map(s => s.name);
        if ($("legend").textContent !== names.join(""))
            $("legend").replaceChildren(...names.map((name, n) => {
                const item = make("li", "", name);
                item.prepend(make("i", `dot b${n}`));
                return item;
            }));
    };

    /* ---- updates ---- */

    const badges = { critical: "bad", warning: "warn" };
    const ranks = { critical: 0, warning: 1 };
    const badgeOf = severity => badges[severity] || "good";

    /* Pools with problems come first. Cards move only if the order has changed. */
    const order = (pools, cards) => {
        const rank = p => p.severity in ranks ? ranks[p.severity] : 2;
        const wanted = pools.map((p, i) => ({ card: cards[i], rank: rank(p), i }))
            .sort((a, b) => a.rank - b.rank || a.i - b.i).map(each => each.card);
        const box = $("pools");
        if (wanted.some((card, i) => box.children[i] !== card))
            box.append(...wanted);
    };
    const showPools = pools => {
        const cards = [];
        for (const pool of pools) {
            const card = document.querySelector(`[data-pool="${CSS.escape(pool.name)}"]`);
            if (!card)
                return location.reload(); /* the configuration has changed */
            card.querySelector(".usable").textContent = pool.file ? "a file" :
                `${count(pool.usable)} of ${count(pool.servers.length)} usable`;
            card.querySelector(".usable").className = "usable badge " +
                (pool.file ? "" : badgeOf(pool.severity));
            card.querySelector(".paused").classList.toggle("hidden", !pool.paused);
            card.dataset.severity = pool.severity || "";
            cards.push(card);
            card.querySelector(".sessions").textContent = `${count(pool.sessions)} sessions` +
                (pool.queued ? `, ${count(pool.queued)} queued` : "");
            card.rows = pool.servers.map(s => serverRow(pool, s));
            showRows(card);
        }
        order(pools, cards);
    };
    /* The rows of a collapsed card are updated only while a filter is set. */
    const showRows = card => {
        const body = card.querySelector("tbody");
        if (body && card.rows && (card.open || searching()))
            fillTable(body, card.rows, "no server");
    };
    const searching = () => $("filter").value.trim() !== "" || $("trouble").checked;

    const showProblems = list => {
        const worst = list.some(p => p.severity === "critical") ? "bad" : "warn";
        const badge = $("trouble_badge"), more = list.length - NAMED;
        badge.className = "badge warn" + (list.length ? "" : " hidden");
        setText("trouble_badge", list.slice(0, NAMED).map(p => p.subject).join(", ") +
            (more > 0 ? ` and ${more} more` : ""));
        const rows = list.slice(0, PROBLEMS).map(p => {
            const item = make("li");
            item.append(make("span", "badge " + badgeOf(p.severity), p.subject), " ",
                        make("span", "", p.problem));
            return item;
        });
        if (list.length > PROBLEMS)
            rows.push(make("li", "", `and ${list.length - PROBLEMS} more`));
        $("problems").replaceChildren(...rows);
        return list.length ? worst : "good";
    };
    const showSummary = s => {
        const bytesOf = way => s.totals.bytes.splice[way] + s.totals.bytes.copy[way] +
            s.totals.bytes.file[way];
        const failed = s.pools.reduce((a, p) =>
            a + p.failures + p.servers.reduce((b, v) => b + v.connect_failures, 0), 0);
        const worst = showProblems(s.problems), problems = s.problems.length;
        setText("health", s.health !== "ok" || !problems ? s.health :
            `${problems} problem${problems === 1 ? "" : "s"}`);
        $("health").className = "badge " + (s.health === "ok" ? worst :
                                            s.health === "no server" ? "bad" : "warn");
        setText("host", s.host);
        document.title = (problems ? `(${problems}) ` : "") +
            (s.host ? `${s.host} - zproxy` : "zproxy");
        setText("uptime", time(s.uptime_ms));
        setText("generation", String(s.generation));
        setText("sessions", count(s.sessions));
        setText("limit", `of ${count(s.max_sessions)}`);
        setText("up", byteRate(speed("up", bytesOf("up"))));
        setText("up_total", bytes(bytesOf("up")));
        setText("down", byteRate(speed("down", bytesOf("down"))));
        setText("down_total", bytes(bytesOf("down")));
        setText("new", rate(speed("new", s.totals.sessions)));
        setText("new_total", count(s.totals.sessions));
        setText("failures", rate(speed("failures", failed)));
        setText("failures_total", count(failed));
        setText("usable", count(s.pools.reduce((a, p) => a + p.usable, 0)));
        setText("servers", count(s.pools.reduce((a, p) => a + p.servers.length, 0)));
    };
    let last = 0;
    const show = s => {
        elapsed = last ? (s.uptime_ms - last) / 1000 : 0;
        last = s.uptime_ms;
        showSummary(s);
        showPools(s.pools);
        fillTable($("busiest"), s.busiest.map(sessionRow), "no session");
        fillTable($("listeners"), s.listeners.map(listenerRow), "no listener");
        fillTable($("workers"), s.workers.map(workerRow), "no worker");
        before = after;
        after = new Map();
        applyFilter();
        appendHistory(s.history);
        drawAll();
    };
    /* Without contact to zproxy the figures are shown faded. */
    let lastContact = performance.now();
    const setContact = found => {
        if (found) lastContact = performance.now();
        setText("contact", found ? "live" : `no contact for ${time(performance.now() - lastContact)}`);
        $("contact").classList.toggle("lost", !found);
        document.documentElement.classList.toggle("stale", !found);
    };
    const update = async () => {
        try {
            const answer = await fetch(`/stats.json?since=${past.end}`,
                                       { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
            if (!answer.ok) throw new Error(answer.statusText);
            show(await answer.json());
            setContact(true);
        } catch (error) {
            setContact(false);
        }
    };
    /* With thousands of servers an update takes long: the pause is at least twice as long. */
    const updateForever = async () => {
        const began = performance.now();
        if (!document.hidden)
            await update();
        setTimeout(updateForever, Math.max(PERIOD, 2 * (performance.now() - began)));
    };
    /* The filter is kept in the fragment of the URL, so that it can be bookmarked and shared. */
    const urlParameters = () => new URLSearchParams(location.hash.slice(1));
    const loadFilter = () => {
        $("filter").value = urlParameters().get("find") || "";
        $("trouble").checked = urlParameters().has("trouble");
    };
    const saveFilter = () => {
        const wanted = new URLSearchParams();
        if ($("filter").value) wanted.set("find", $("filter").value);
        if ($("trouble").checked) wanted.set("trouble", "only");
        history.replaceState(null, "", "#" + wanted);
    };
    const filterChanged = () => {
        saveFilter();
        document.querySelectorAll(".pool").forEach(showRows);
        applyFilter();
    };
    document.documentElement.classList.add("js");
    $("filter").addEventListener("input", filterChanged);
    $("trouble").addEventListener("change", filterChanged);
    $("pools").addEventListener("toggle", e => showRows(e.target), true);
    addEventListener("hashchange", () => { loadFilter(); filterChanged(); });
    loadFilter();
    document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
    addEventListener("resize", drawAll);
    updateForever();
})();
