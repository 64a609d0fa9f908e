#include "metrics/status_pools.h"

#include <string.h>

#include "metrics/html.h"

#define POOL_OPEN 100 /* servers: a larger pool without a problem is shown collapsed */

static const char *server_class(const struct snapshot_server *s)
{
    switch (s->state) {
    case CONFIG_STATE_READY:
        return s->up ? "good" : "bad";
    case CONFIG_STATE_DRAIN:
        return "warn";
    case CONFIG_STATE_MAINT:
        break;
    }
    return "off";
}

static void put_server_state(FILE *out, const struct snapshot_server *s)
{
    html_begin_cell(out, "");
    fprintf(out, "<span class=\"badge %s\">%s</span>%s", server_class(s),
            s->state == CONFIG_STATE_READY ? s->view.status : config_state_words[s->state],
            s->backup ? "<small>backup</small>" : "");
    html_end_cell(out);
}

static void put_reason(FILE *out, const struct snapshot_server *s)
{
    html_begin_cell(out, "why");
    if (s->view.why[0] != '\0') {
        html_text(out, s->view.why);
    } else if (s->check.has_result) {
        html_text(out, s->check.why);
        fputs(", ", out);
        html_time(out, s->check.duration);
        fputs(", ", out);
        html_time(out, s->check.age);
        fputs(" ago", out);
    } else {
        fputs("not checked", out);
    }
    html_end_cell(out);
}

static void status_pools_put_server(FILE *out, const struct snapshot_server *s)
{
    fputs("<tr>", out);
    html_cell_text(out, "", s->name, strcmp(s->name, s->address) == 0 ? NULL : s->address);
    put_server_state(out, s);
    put_reason(out, s);
    html_begin_cell(out, "num");
    html_count_of(out, s->active, s->max_connections);
    html_end_cell(out);
    html_cell_count(out, "num wide", s->weight);
    html_cell_count(out, "num wide", s->counter[SERVER_CONNECTIONS]);
    html_cell_count(out, "num mid", s->counter[SERVER_FAILURES]);
    html_cell_bytes(out, "num mid", s->counter[SERVER_SENT]);
    html_cell_bytes(out, "num mid", s->counter[SERVER_RECEIVED]);
    fputs("</tr>\n", out);
}

static void status_pools_put_servers(FILE *out, const struct snapshot_pool *p)
{
    fputs("<div class=\"scroll\"><table><thead><tr><th>Server</th><th>State</th>"
          "<th>Why</th><th class=\"num\">Active</th>"
          "<th class=\"num wide\">Weight</th><th class=\"num wide\">Sessions</th>"
          "<th class=\"num mid\">Failed</th><th class=\"num mid\">To server</th>"
          "<th class=\"num mid\">From server</th></tr></thead>\n<tbody>",
          out);
    for (size_t i = 0; i < p->server_count; i++)
        status_pools_put_server(out, &p->server[i]);
    if (p->server_count == 0)
        html_empty_row(out, "no server");
    fputs("</tbody></table></div>", out);
}

const char *status_pools_class(enum severity severity)
{
    switch (severity) {
    case SEVERITY_CRITICAL:
        return "bad";
    case SEVERITY_WARNING:
        return "warn";
    case SEVERITY_NONE:
        break;
    }
    return "good";
}

static void status_pools_put_usable(FILE *out, const struct snapshot_pool *p)
{
    fprintf(out, "<span class=\"usable badge %s\">",
            p->file != NULL ? "" : status_pools_class(p->severity));
    if (p->file != NULL) {
        fputs("a file", out);
    } else {
        html_count(out, p->sums.usable);
        fputs(" of ", out);
        html_count(out, p->server_count);
        fputs(" usable", out);
    }
    fputs("</span>", out);
}

static void status_pools_put_sessions(FILE *out, const struct snapshot_pool *p)
{
    fputs(" <span class=\"sessions\">", out);
    html_count(out, p->sums.sessions);
    fputs(" sessions", out);
    if (p->sums.waiting > 0) {
        fputs(", ", out);
        html_count(out, p->sums.waiting);
        fputs(" queued", out);
    }
    fputs("</span>", out);
}

static void status_pools_put_rebalance(FILE *out, const struct snapshot_pool *p)
{
    if (!p->rebalance.running)
        return;
    fputs(" <span class=\"badge warn\">rebalance: ", out);
    html_count(out, p->rebalance.closed);
    fputs(" closed, ", out);
    html_count(out, p->rebalance.to_close);
    fputs(" left</span>", out);
}

/* How clients are distributed, and where to. */
static void status_pools_put_ways(FILE *out, const struct snapshot_pool *p)
{
    fputs(" <span>", out);
    html_text(out, p->file != NULL ? p->file : p->balance);
    fputs("</span>", out);
    if (p->tls)
        fputs(" <span title=\"to the servers\">TLS</span>", out);
    status_pools_put_rebalance(out, p);
    if (p->fallback != NULL) {
        fputs(" <span>falls back on ", out);
        html_text(out, p->fallback);
        fputs("</span>", out);
    }
    if (p->file == NULL)
        fprintf(
            out,
            " <small title=\"fingerprint of which client goes to which server\">table %s</small>",
            p->table);
}

static void status_pools_put_pool(FILE *out, const struct snapshot_pool *p)
{
    bool open = p->severity != SEVERITY_NONE || p->server_count <= POOL_OPEN;
    fprintf(out, "<details class=\"card pool\"%s data-pool=\"", open ? " open" : "");
    html_text(out, p->name);
    fputs("\"><summary><h3>", out);
    html_text(out, p->name);
    fputs("</h3> ", out);
    status_pools_put_usable(out, p);
    fprintf(out, " <span class=\"paused badge warn%s\">paused</span>", p->paused ? "" : " hidden");
    status_pools_put_sessions(out, p);
    status_pools_put_ways(out, p);
    fputs("</summary>\n", out);
    if (p->file == NULL)
        status_pools_put_servers(out, p);
    fputs("</details>\n", out);
}

void status_pools_print(const struct snapshot *s, FILE *out)
{
    for (int severity = SEVERITY_CRITICAL; severity >= SEVERITY_NONE; severity--)
        for (size_t i = 0; i < s->pool_count; i++)
            if (s->pool[i].severity == (enum severity)severity)
                status_pools_put_pool(out, &s->pool[i]);
}
