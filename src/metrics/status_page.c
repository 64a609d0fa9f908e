#include "metrics/status_page.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "base/human.h"
#include "base/utf8.h"
#include "build.h"
#include "relay/relay_stock.h"
#include "session/session_end.h"
#include "session/session_info.h"

#define NS_PER_MS    1000000u
#define POOL_OPEN    100 /* servers: a larger pool is shown closed while nothing is wrong with it */
#define PROBLEMS_MAX 20  /* more are counted only */
#define NAMED_MAX    3   /* in the badge */

static const char page[] = {
#include "metrics/page/status.inc"
    0
};
static const char style[] = {
#include "metrics/page/style.inc"
    0
};
static const char script[] = {
#include "metrics/page/script.inc"
    0
};

struct page {
    const struct snapshot *s;
    const struct busiest *busiest;
    const char *nonce;
    FILE *out;
};

/* ---- pieces ---- */

static void status_page_put_escaped(char c, FILE *out)
{
    switch (c) {
    case '&':
        fputs("&amp;", out);
        break;
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    case '\'':
        fputs("&#39;", out);
        break;
    default:
        fputc(c, out);
    }
}

void status_page_print_text(const char *text, FILE *out)
{
    utf8_print(text, status_page_put_escaped, out);
}

static void text(const struct page *p, const char *s)
{
    status_page_print_text(s, p->out);
}

/* In groups of three digits. */
static void count(const struct page *p, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            fputc(',', p->out);
        fputc(digits[i], p->out);
    }
}

static void bytes(const struct page *p, uint64_t n)
{
    static const char units[] = "KMGTPE";
    double value = (double)n;
    int unit = -1;
    while (value >= 1023.95) { /* or it would read 1024.0 */
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        fprintf(p->out, "%" PRIu64 " B", n);
    else
        fprintf(p->out, "%.1f %ciB", value, units[unit]);
}

static void duration(const struct page *p, uint64_t ms)
{
    char buf[HUMAN_MAX];
    fputs(human_time(ms, buf), p->out);
}

static void begin_cell(const struct page *p, const char *class)
{
    fprintf(p->out, "<td class=\"%s\">", class);
}

static void end_cell(const struct page *p)
{
    fputs("</td>", p->out);
}

static void cell_text(const struct page *p, const char *class, const char *s, const char *under)
{
    begin_cell(p, class);
    text(p, s);
    if (under != NULL && under[0] != '\0') {
        fputs("<small>", p->out);
        text(p, under);
        fputs("</small>", p->out);
    }
    end_cell(p);
}

static void cell_count(const struct page *p, const char *class, uint64_t n)
{
    begin_cell(p, class);
    count(p, n);
    end_cell(p);
}

static void cell_of(const struct page *p, uint64_t n, uint64_t limit)
{
    begin_cell(p, "num");
    count(p, n);
    if (limit > 0) {
        fputs("<small>of ", p->out);
        count(p, limit);
        fputs("</small>", p->out);
    }
    end_cell(p);
}

static void cell_bytes(const struct page *p, const char *class, uint64_t n)
{
    begin_cell(p, class);
    bytes(p, n);
    end_cell(p);
}

static void cell_time(const struct page *p, const char *class, uint64_t ms)
{
    begin_cell(p, class);
    duration(p, ms);
    end_cell(p);
}

static void put_empty_row(const struct page *p, const char *what)
{
    fprintf(p->out, "<tr><td class=\"none\" colspan=\"20\">%s</td></tr>", what);
}

/* ---- servers ---- */

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

static void put_server_state(const struct page *p, const struct snapshot_server *s)
{
    begin_cell(p, "");
    fprintf(p->out, "<span class=\"badge %s\">%s</span>%s", server_class(s),
            s->state == CONFIG_STATE_READY ? s->view.status : config_state_words[s->state],
            s->backup ? "<small>backup</small>" : "");
    end_cell(p);
}

static void put_reason(const struct page *p, const struct snapshot_server *s)
{
    begin_cell(p, "why");
    if (s->view.why[0] != '\0') {
        text(p, s->view.why);
    } else if (s->check.has_result) {
        text(p, s->check.why);
        fputs(", ", p->out);
        duration(p, s->check.duration);
        fputs(", ", p->out);
        duration(p, s->check.age);
        fputs(" ago", p->out);
    } else {
        fputs("not checked", p->out);
    }
    end_cell(p);
}

static void status_page_put_server(const struct page *p, const struct snapshot_server *s)
{
    fputs("<tr>", p->out);
    cell_text(p, "", s->name, strcmp(s->name, s->address) == 0 ? NULL : s->address);
    put_server_state(p, s);
    put_reason(p, s);
    cell_of(p, s->active, s->max_connections);
    cell_count(p, "num wide", s->weight);
    cell_count(p, "num wide", s->counter[SERVER_CONNECTIONS]);
    cell_count(p, "num mid", s->counter[SERVER_FAILURES]);
    cell_bytes(p, "num mid", s->counter[SERVER_SENT]);
    cell_bytes(p, "num mid", s->counter[SERVER_RECEIVED]);
    fputs("</tr>\n", p->out);
}

static void status_page_put_servers(const struct page *p, const struct snapshot_pool *sp)
{
    fputs("<div class=\"scroll\"><table><thead><tr><th>Server</th><th>State</th>"
          "<th>Why</th><th class=\"num\">Active</th>"
          "<th class=\"num wide\">Weight</th><th class=\"num wide\">Sessions</th>"
          "<th class=\"num mid\">Failed</th><th class=\"num mid\">To server</th>"
          "<th class=\"num mid\">From server</th></tr></thead>\n<tbody>",
          p->out);
    for (size_t i = 0; i < sp->server_count; i++)
        status_page_put_server(p, &sp->server[i]);
    if (sp->server_count == 0)
        put_empty_row(p, "no server");
    fputs("</tbody></table></div>", p->out);
}

static const char *severity_class(enum severity severity)
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

static void status_page_put_usable(const struct page *p, const struct snapshot_pool *sp)
{
    fprintf(p->out, "<span class=\"usable badge %s\">",
            sp->file != NULL ? "" : severity_class(sp->severity));
    if (sp->file != NULL) {
        fputs("a file", p->out);
    } else {
        count(p, sp->sums.usable);
        fputs(" of ", p->out);
        count(p, sp->server_count);
        fputs(" usable", p->out);
    }
    fputs("</span>", p->out);
}

static void status_page_put_pool(const struct page *p, const struct snapshot_pool *sp)
{
    bool open = sp->severity != SEVERITY_NONE || sp->server_count <= POOL_OPEN;
    fprintf(p->out, "<details class=\"card pool\"%s data-pool=\"", open ? " open" : "");
    text(p, sp->name);
    fputs("\"><summary><h3>", p->out);
    text(p, sp->name);
    fputs("</h3> ", p->out);
    status_page_put_usable(p, sp);
    fputs(" <span class=\"sessions\">", p->out);
    count(p, sp->sums.sessions);
    fputs(" sessions</span> <span>", p->out);
    text(p, sp->file != NULL ? sp->file : sp->balance);
    fputs("</span>", p->out);
    if (sp->fallback != NULL) {
        fputs(" <span>falls back on ", p->out);
        text(p, sp->fallback);
        fputs("</span>", p->out);
    }
    fputs("</summary>\n", p->out);
    if (sp->file == NULL)
        status_page_put_servers(p, sp);
    fputs("</details>\n", p->out);
}

/* ---- what stands in the place of a mark ---- */

/* The worst come first, otherwise in the order of the configuration. */
static void status_page_put_pools(const struct page *p)
{
    for (int severity = SEVERITY_CRITICAL; severity >= SEVERITY_NONE; severity--)
        for (size_t i = 0; i < p->s->pool_count; i++)
            if (p->s->pool[i].severity == (enum severity)severity)
                status_page_put_pool(p, &p->s->pool[i]);
}

static void status_page_put_session(const struct page *p, const struct session_list_row *r)
{
    const struct session_info *b = &r->info;
    char client[ADDR_TEXT_MAX];
    fprintf(p->out, "<tr><td>%" PRIu64 "</td>", b->id);
    cell_text(p, "", addr_peer_print(&b->client, client), b->listener.text);
    cell_text(p, "", b->server.text[0] == '\0' ? "\xe2\x80\x93" : b->server.text, b->pool.text);
    cell_text(p, "wide", session_state_name((enum session_state)b->state), NULL);
    cell_time(p, "num wide", b->age);
    cell_bytes(p, "num", b->up);
    cell_bytes(p, "num", b->down);
    begin_cell(p, "num");
    bytes(p, r->rate);
    fputs("/s</td></tr>\n", p->out);
}

static void status_page_put_busiest(const struct page *p)
{
    for (size_t i = 0; i < p->busiest->count; i++)
        status_page_put_session(p, &p->busiest->row[i]);
    if (p->busiest->count == 0)
        put_empty_row(p, "no session");
}

/* The sum, and under it how many for which reason. */
static void status_page_put_refused(const struct page *p, const struct snapshot_listener *l)
{
    uint64_t refused = 0;
    for (int why = 0; why < SESSION_ENDS; why++)
        refused += l->refused[why];
    begin_cell(p, "num");
    count(p, refused);
    for (int why = 0; why < SESSION_ENDS; why++)
        if (l->refused[why] > 0) {
            fprintf(p->out, "<small>%s ", session_end_name((enum session_end)why));
            count(p, l->refused[why]);
            fputs("</small>", p->out);
        }
    end_cell(p);
}

/* Sessions, of how many; and why no more are accepted. */
static void put_active(const struct page *p, const struct snapshot_listener *l)
{
    begin_cell(p, "num");
    count(p, l->active);
    if (l->max_connections > 0) {
        fputs("<small>of ", p->out);
        count(p, l->max_connections);
        fputs("</small>", p->out);
    }
    if (l->paused != ACCEPT_OPEN)
        fprintf(p->out, "<small>paused: %s</small>", accept_reason_name(l->paused));
    end_cell(p);
}

static void status_page_put_listeners(const struct page *p)
{
    for (size_t i = 0; i < p->s->listener_count; i++) {
        const struct snapshot_listener *l = &p->s->listener[i];
        fputs("<tr>", p->out);
        cell_text(p, "", l->name, l->bind);
        cell_text(p, "wide", l->pool, NULL);
        put_active(p, l);
        cell_count(p, "num", l->connections);
        status_page_put_refused(p, l);
        fputs("</tr>\n", p->out);
    }
}

static void status_page_put_workers(const struct page *p)
{
    for (size_t i = 0; i < p->s->worker_count; i++) {
        const struct worker_stats *w = &p->s->worker[i];
        fprintf(p->out, "<tr><td>%u</td>", w->index);
        cell_count(p, "num", w->sessions);
        cell_count(p, "num", w->pipes_used);
        cell_count(p, "num", w->pipes_idle);
        cell_time(p, "num", w->cpu / NS_PER_MS);
        fputs("</tr>\n", p->out);
    }
}

static enum severity worst_problem(const struct page *p)
{
    enum severity worst = SEVERITY_NONE;
    for (size_t i = 0; i < p->s->problems.count; i++)
        if (p->s->problems.problem[i].severity > worst)
            worst = p->s->problems.problem[i].severity;
    return worst;
}

/* Green only while nothing is wrong. */
static void put_health_class(const struct page *p)
{
    switch (p->s->health) {
    case SNAPSHOT_OK:
        fputs(severity_class(worst_problem(p)), p->out);
        break;
    case SNAPSHOT_STARTING:
    case SNAPSHOT_DRAINING:
        fputs("warn", p->out);
        break;
    case SNAPSHOT_NO_SERVER:
        fputs("bad", p->out);
        break;
    }
}

static void put_problem_count(const struct page *p)
{
    fprintf(p->out, "%zu problem%s", p->s->problems.count, p->s->problems.count == 1 ? "" : "s");
}

/* The badge with the names of what is in trouble. */
static void put_trouble(const struct page *p)
{
    const struct problem_list *list = &p->s->problems;
    fprintf(p->out, "<span id=\"trouble_badge\" class=\"badge warn%s\">",
            list->count == 0 ? " hidden" : "");
    for (size_t i = 0; i < list->count && i < NAMED_MAX; i++) {
        fputs(i == 0 ? "" : ", ", p->out);
        text(p, list->problem[i].subject);
    }
    if (list->count > NAMED_MAX)
        fprintf(p->out, " and %zu more", list->count - NAMED_MAX);
    fputs("</span>", p->out);
}

static void status_page_put_problems(const struct page *p)
{
    const struct problem_list *list = &p->s->problems;
    for (size_t i = 0; i < list->count && i < PROBLEMS_MAX; i++) {
        const struct problem *problem = &list->problem[i];
        fprintf(p->out, "<li><span class=\"badge %s\">", severity_class(problem->severity));
        text(p, problem->subject);
        fputs("</span> <span>", p->out);
        text(p, problem->text);
        fputs("</span></li>\n", p->out);
    }
    if (list->count > PROBLEMS_MAX)
        fprintf(p->out, "<li><span>and %zu more</span></li>\n", list->count - PROBLEMS_MAX);
}

static uint64_t relayed_bytes(const struct worker_totals *t, enum relay_direction d)
{
    uint64_t n = 0;
    for (int path = 0; path < RELAY_PATHS; path++)
        n += t->bytes[path][d];
    return n;
}

static void put_up(const struct page *p)
{
    bytes(p, relayed_bytes(&p->s->totals, RELAY_UP));
}

static void put_down(const struct page *p)
{
    bytes(p, relayed_bytes(&p->s->totals, RELAY_DOWN));
}

static void put_failures(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].sums.failures + p->s->pool[i].sums.counter[SERVER_FAILURES];
    count(p, n);
}

static void put_usable_all(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].sums.usable;
    count(p, n);
}

static void put_servers_all(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].server_count;
    count(p, n);
}

static void put_uptime(const struct page *p)
{
    duration(p, p->s->uptime);
}

static void put_nonce(const struct page *p)
{
    fputs(p->nonce, p->out);
}

static void put_style(const struct page *p)
{
    fputs(style, p->out);
}

static void put_script(const struct page *p)
{
    fputs(script, p->out);
}

static void put_version(const struct page *p)
{
    text(p, PACKAGE_VERSION);
}

static void put_health(const struct page *p)
{
    if (p->s->health == SNAPSHOT_OK && p->s->problems.count > 0)
        put_problem_count(p);
    else
        text(p, snapshot_health_name(p->s->health));
}

static void put_host(const struct page *p)
{
    text(p, p->s->host);
}

/* What is wrong shows in the title of a tab, too. */
static void put_title(const struct page *p)
{
    if (p->s->problems.count > 0)
        fprintf(p->out, "(%zu) ", p->s->problems.count);
    text(p, p->s->host);
    fputs(p->s->host[0] == '\0' ? "zproxy" : " - zproxy", p->out);
}

static void put_generation(const struct page *p)
{
    fprintf(p->out, "%u", p->s->generation);
}

static void status_page_put_sessions(const struct page *p)
{
    count(p, p->s->sessions);
}

static void put_max_sessions(const struct page *p)
{
    count(p, p->s->max_sessions);
}

static void put_total(const struct page *p)
{
    count(p, p->s->totals.sessions);
}

static const struct placeholder {
    const char *name;
    void (*put)(const struct page *p);
} placeholders[] = {
    { "nonce", put_nonce },
    { "style", put_style },
    { "script", put_script },
    { "version", put_version },
    { "host", put_host },
    { "title", put_title },
    { "trouble", put_trouble },
    { "problems", status_page_put_problems },
    { "health", put_health },
    { "health_class", put_health_class },
    { "uptime", put_uptime },
    { "generation", put_generation },
    { "sessions", status_page_put_sessions },
    { "max_sessions", put_max_sessions },
    { "up", put_up },
    { "down", put_down },
    { "total", put_total },
    { "failures", put_failures },
    { "usable", put_usable_all },
    { "servers", put_servers_all },
    { "pools", status_page_put_pools },
    { "busiest", status_page_put_busiest },
    { "listeners", status_page_put_listeners },
    { "workers", status_page_put_workers },
};

static void put_placeholder(const struct page *p, const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof placeholders / sizeof placeholders[0]; i++)
        if (strlen(placeholders[i].name) == length &&
            memcmp(placeholders[i].name, name, length) == 0)
            placeholders[i].put(p);
}

void status_page_print(const struct snapshot *s, const struct busiest *busiest, const char *nonce,
                       FILE *out)
{
    const struct page p = { s, busiest, nonce, out };
    const char *at = page;
    const char *placeholder;
    while ((placeholder = strstr(at, "{{")) != NULL) {
        const char *end = strstr(placeholder, "}}");
        fwrite(at, 1, (size_t)(placeholder - at), out);
        put_placeholder(&p, placeholder + 2, (size_t)(end - placeholder - 2));
        at = end + 2;
    }
    fputs(at, out);
}

/* Without the kernel's random numbers nothing bears the nonce: the page comes as plain tables. */
void status_page_policy(char nonce[STATUS_PAGE_NONCE], char policy[STATUS_PAGE_POLICY])
{
    unsigned char random[(STATUS_PAGE_NONCE - 1) / 2];
    bool is_random = getrandom(random, sizeof random, GRND_NONBLOCK) == (ssize_t)sizeof random;
    nonce[0] = '\0';
    for (size_t i = 0; i < sizeof random && is_random; i++)
        snprintf(nonce + 2 * i, 3, "%02x", random[i]);
    snprintf(policy, STATUS_PAGE_POLICY,
             "default-src 'none'; style-src 'nonce-%s'; script-src 'nonce-%s'; connect-src 'self'; "
             "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
             nonce, nonce);
}
