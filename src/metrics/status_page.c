#include "metrics/status_page.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "build.h"
#include "metrics/html.h"
#include "metrics/status_pools.h"
#include "relay/relay_stock.h"
#include "session/session_end.h"
#include "session/session_info.h"

#define NS_PER_MS    1000000u
#define PROBLEMS_MAX 20 /* shown; further ones are counted */
#define NAMED_MAX    3  /* subjects of problems in the badge */

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

/* ---- placeholders ---- */

static void status_page_put_session(const struct page *p, const struct session_list_row *r)
{
    const struct session_info *b = &r->info;
    char client[ADDR_TEXT_MAX];
    fprintf(p->out, "<tr><td>%" PRIu64 "</td>", b->id);
    html_cell_text(p->out, "", addr_peer_print(&b->client, client), b->listener.text);
    html_cell_text(p->out, "", b->server.text[0] == '\0' ? "\xe2\x80\x93" : b->server.text,
                   b->pool.text);
    html_cell_text(p->out, "wide", session_state_name((enum session_state)b->state), NULL);
    html_cell_time(p->out, "num wide", b->age);
    html_cell_bytes(p->out, "num", b->up);
    html_cell_bytes(p->out, "num", b->down);
    html_begin_cell(p->out, "num");
    html_bytes(p->out, r->rate);
    fputs("/s</td></tr>\n", p->out);
}

static void status_page_put_busiest(const struct page *p)
{
    for (size_t i = 0; i < p->busiest->count; i++)
        status_page_put_session(p, &p->busiest->row[i]);
    if (p->busiest->count == 0)
        html_empty_row(p->out, "no session");
}

/* The sum, and below it the number for each reason. */
static void status_page_put_refused(const struct page *p, const struct snapshot_listener *l)
{
    uint64_t refused = 0;
    for (int why = 0; why < SESSION_ENDS; why++)
        refused += l->refused[why];
    html_begin_cell(p->out, "num");
    html_count(p->out, refused);
    for (int why = 0; why < SESSION_ENDS; why++)
        if (l->refused[why] > 0) {
            fprintf(p->out, "<small>%s ", session_end_name((enum session_end)why));
            html_count(p->out, l->refused[why]);
            fputs("</small>", p->out);
        }
    html_end_cell(p->out);
}

/* The sessions, the limit, why the listener does not accept, and a health set by zproxyctl. */
static void put_active(const struct page *p, const struct snapshot_listener *l)
{
    html_begin_cell(p->out, "num");
    html_count_of(p->out, l->active, l->max_connections);
    if (l->paused != ACCEPT_OPEN)
        fprintf(p->out, "<small>paused: %s</small>", accept_reason_name(l->paused));
    if (l->health_override != HEALTH_AUTO)
        fprintf(p->out, "<small>health set: %s</small>", health_override_words[l->health_override]);
    html_end_cell(p->out);
}

static void status_page_put_listeners(const struct page *p)
{
    for (size_t i = 0; i < p->s->listener_count; i++) {
        const struct snapshot_listener *l = &p->s->listener[i];
        fputs("<tr>", p->out);
        html_cell_text(p->out, "", l->name, l->bind);
        html_cell_text(p->out, "wide", l->pool, NULL);
        put_active(p, l);
        html_cell_count(p->out, "num", l->connections);
        status_page_put_refused(p, l);
        fputs("</tr>\n", p->out);
    }
}

static void status_page_put_workers(const struct page *p)
{
    for (size_t i = 0; i < p->s->worker_count; i++) {
        const struct worker_stats *w = &p->s->worker[i];
        fprintf(p->out, "<tr><td>%u</td>", w->index);
        html_cell_count(p->out, "num", w->sessions);
        html_cell_count(p->out, "num", w->pipes_used);
        html_cell_count(p->out, "num", w->pipes_idle);
        html_cell_time(p->out, "num", w->cpu / NS_PER_MS);
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

/* The class of the badge: "good" only without any problem. */
static void put_health_class(const struct page *p)
{
    switch (p->s->health) {
    case HEALTHZ_OK:
        fputs(status_pools_class(worst_problem(p)), p->out);
        break;
    case HEALTHZ_STARTING:
    case HEALTHZ_LEAVING:
    case HEALTHZ_DRAINING:
    case HEALTHZ_FAIL:
        fputs("warn", p->out);
        break;
    case HEALTHZ_NO_SERVER:
        fputs("bad", p->out);
        break;
    }
}

static void put_problem_count(const struct page *p)
{
    fprintf(p->out, "%zu problem%s", p->s->problems.count, p->s->problems.count == 1 ? "" : "s");
}

/* The badge with the subjects of the problems. */
static void put_trouble(const struct page *p)
{
    const struct problem_list *list = &p->s->problems;
    fprintf(p->out, "<span id=\"trouble_badge\" class=\"badge warn%s\">",
            list->count == 0 ? " hidden" : "");
    for (size_t i = 0; i < list->count && i < NAMED_MAX; i++) {
        fputs(i == 0 ? "" : ", ", p->out);
        html_text(p->out, list->problem[i].subject);
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
        fprintf(p->out, "<li><span class=\"badge %s\">", status_pools_class(problem->severity));
        html_text(p->out, problem->subject);
        fputs("</span> <span>", p->out);
        html_text(p->out, problem->text);
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

static void put_pools(const struct page *p)
{
    status_pools_print(p->s, p->out);
}

static void put_up(const struct page *p)
{
    html_bytes(p->out, relayed_bytes(&p->s->totals, RELAY_UP));
}

static void put_down(const struct page *p)
{
    html_bytes(p->out, relayed_bytes(&p->s->totals, RELAY_DOWN));
}

static void put_failures(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].sums.failures + p->s->pool[i].sums.counter[SERVER_FAILURES];
    html_count(p->out, n);
}

static void put_usable_all(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].sums.usable;
    html_count(p->out, n);
}

static void put_servers_all(const struct page *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->s->pool_count; i++)
        n += p->s->pool[i].server_count;
    html_count(p->out, n);
}

static void put_uptime(const struct page *p)
{
    html_time(p->out, p->s->uptime);
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
    html_text(p->out, PACKAGE_VERSION);
}

static void put_health(const struct page *p)
{
    if (p->s->health == HEALTHZ_OK && p->s->problems.count > 0)
        put_problem_count(p);
    else
        html_text(p->out, healthz_name(p->s->health));
}

static void put_host(const struct page *p)
{
    html_text(p->out, p->s->node);
}

/* The title of the tab shows the number of problems. */
static void put_title(const struct page *p)
{
    if (p->s->problems.count > 0)
        fprintf(p->out, "(%zu) ", p->s->problems.count);
    html_text(p->out, p->s->node);
    fputs(" - zproxy", p->out);
}

static void put_generation(const struct page *p)
{
    fprintf(p->out, "%u", p->s->generation);
}

static void status_page_put_sessions(const struct page *p)
{
    html_count(p->out, p->s->sessions);
}

static void put_max_sessions(const struct page *p)
{
    html_count(p->out, p->s->max_sessions);
}

static void put_total(const struct page *p)
{
    html_count(p->out, p->s->totals.sessions);
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
    { "pools", put_pools },
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

/* Without random numbers of the kernel the nonce is empty: the browser shows the tables without
 * style and script. */
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
