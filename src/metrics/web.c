#include "metrics/web.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "metrics/history.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "metrics/snapshot.h"
#include "metrics/stats_json.h"
#include "metrics/status_page.h"

#define BUSIEST     20
#define CENSUS_REST 2000 /* ms between two looks at all sessions, */
#define CENSUS_RATE 5    /* and one more for so many sessions: workers have better things to do */

enum status {
    STATUS_OK = 200,
    STATUS_NOT_FOUND = 404,
    STATUS_FAILED = 500,
    STATUS_UNAVAILABLE = 503,
};

/* A request that is answered when the busiest sessions are known. */
struct request_waiting {
    STAILQ_ENTRY(request_waiting) in_web;
    struct http_call *call;
    void (*answer)(struct web *web, struct http_call *call, uint64_t since);
    uint64_t since;
};

STAILQ_HEAD(requests_waiting, request_waiting);

struct web {
    struct runtime *rt;
    int proc;
    uv_timer_t step;
    struct history history;
    struct census_row row[BUSIEST];
    struct busiest busiest;
    uint64_t census_time; /* ms; 0: never */
    bool census_runs;
    struct requests_waiting waiting;
};

/* ---- an answer ---- */

/* Text in the making. */
struct sheet_of_text {
    FILE *out;
    char *text;
    size_t size;
};

static bool begin_text(struct sheet_of_text *t)
{
    t->text = NULL;
    t->size = 0;
    t->out = open_memstream(&t->text, &t->size);
    return t->out != NULL;
}

static void send_text(struct http_call *call, unsigned status, const char *type, const char *policy,
                      struct sheet_of_text *t)
{
    bool whole = t->out != NULL && ferror(t->out) == 0;
    if (t->out != NULL)
        whole &= fclose(t->out) == 0;
    if (!whole) {
        free(t->text);
        t->text = NULL;
    }
    const struct http_answer a = { status, type, policy, t->text, t->size };
    http_answer(call, &a);
}

static void send_line(struct http_call *call, unsigned status, const char *line)
{
    struct sheet_of_text t;
    if (begin_text(&t))
        fprintf(t.out, "%s\n", line);
    send_text(call, status, "text/plain; charset=utf-8", NULL, &t);
}

/* ---- what is there ---- */

static void answer_metrics(struct web *web, struct http_call *call)
{
    struct snapshot s;
    struct process_figures process;
    struct sheet_of_text t;
    if (snapshot_take(web->rt, &s) < 0) {
        send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    process_read(web->proc, &process);
    if (begin_text(&t))
        metrics_print(&s, &process, t.out);
    snapshot_free(&s);
    send_text(call, STATUS_OK, METRICS_TYPE, NULL, &t);
}

static void answer_health(struct web *web, struct http_call *call)
{
    enum snapshot_health health = snapshot_health(web->rt);
    send_line(call, health == SNAPSHOT_OK ? STATUS_OK : STATUS_UNAVAILABLE,
              snapshot_health_name(health));
}

static void answer_json(struct web *web, struct http_call *call, uint64_t since)
{
    struct snapshot s;
    struct sheet_of_text t;
    if (snapshot_take(web->rt, &s) < 0) {
        send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    if (begin_text(&t))
        stats_json_print(&s, &web->busiest, &web->history, since, t.out);
    snapshot_free(&s);
    send_text(call, STATUS_OK, STATS_JSON_TYPE, NULL, &t);
}

static void answer_page(struct web *web, struct http_call *call, uint64_t since)
{
    struct snapshot s;
    struct sheet_of_text t;
    char nonce[STATUS_PAGE_NONCE];
    char policy[STATUS_PAGE_POLICY];
    (void)since;
    if (snapshot_take(web->rt, &s) < 0) {
        send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    status_page_policy(nonce, policy);
    if (begin_text(&t))
        status_page_print(&s, &web->busiest, nonce, t.out);
    snapshot_free(&s);
    send_text(call, STATUS_OK, STATUS_PAGE_TYPE, policy, &t);
}

/* ---- the busiest sessions ---- */

static void answer_waiting(struct web *web)
{
    struct request_waiting *r;
    while ((r = STAILQ_FIRST(&web->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&web->waiting, in_web);
        r->answer(web, r->call, r->since);
        free(r);
    }
}

static void on_census(void *arg, const struct census_row *row, size_t count)
{
    struct web *web = arg;
    web->census_runs = false;
    web->census_time = uv_now(web->rt->loop);
    web->busiest.count = row == NULL ? 0 : count;
    if (web->busiest.count > 0)
        memcpy(web->row, row, count * sizeof *row);
    answer_waiting(web);
}

static bool is_recent(const struct web *web)
{
    uint64_t rest = CENSUS_REST + gate_inside(&web->rt->gate) / CENSUS_RATE;
    return web->census_time != 0 && uv_now(web->rt->loop) - web->census_time < rest;
}

static uint64_t number_of(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* With the busiest sessions of now, or of a moment ago. */
static void answer_with_sessions(struct web *web, struct http_call *call,
                                 void (*answer)(struct web *, struct http_call *, uint64_t))
{
    uint64_t since = number_of(http_query(call, "since"));
    if (!is_recent(web) && !web->census_runs)
        web->census_runs = census_begin(&web->rt->censuses, true, BUSIEST, on_census, web) == 0;
    struct request_waiting *r = web->census_runs ? calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        answer(web, call, since);
        return;
    }
    *r = (struct request_waiting){ .call = call, .answer = answer, .since = since };
    STAILQ_INSERT_TAIL(&web->waiting, r, in_web);
}

/* ---- requests ---- */

static void on_request(void *arg, struct http_call *call, const char *path)
{
    struct web *web = arg;
    if (strcmp(path, "/metrics") == 0)
        answer_metrics(web, call);
    else if (strcmp(path, "/healthz") == 0)
        answer_health(web, call);
    else if (strcmp(path, "/stats.json") == 0)
        answer_with_sessions(web, call, answer_json);
    else if (strcmp(path, "/") == 0)
        answer_with_sessions(web, call, answer_page);
    else
        send_line(call, STATUS_NOT_FOUND,
                  "not found: there are /, /metrics, /stats.json, /healthz");
}

/* ---- begin and end ---- */

static void on_step(uv_timer_t *timer)
{
    struct web *web = timer->data;
    const struct runtime *rt = web->rt;
    struct addr at;
    if (rt->current != NULL && http_socket(rt->http, &at) != -1)
        history_step(&web->history, runtime_conf(rt), &rt->pools, uv_now(timer->loop));
}

int web_open(struct runtime *rt)
{
    struct web *web = calloc(1, sizeof *web);
    if (web == NULL)
        return -ENOMEM;
    web->rt = rt;
    web->proc = process_open();
    web->busiest.row = web->row;
    STAILQ_INIT(&web->waiting);
    history_init(&web->history);
    rt->web = web;
    rt->http = http_new(rt->loop, on_request, web);
    uv_timer_init(rt->loop, &web->step);
    web->step.data = web;
    uv_timer_start(&web->step, on_step, HISTORY_STEP, HISTORY_STEP);
    return rt->http == NULL ? -ENOMEM : 0;
}

/* Whoever still waits is answered into nothing. */
void web_fini(struct runtime *rt)
{
    struct web *web = rt->web;
    if (web == NULL)
        return;
    answer_waiting(web);
    http_free(rt->http);
    history_fini(&web->history);
    if (web->proc != -1)
        close(web->proc);
    free(web);
    rt->web = NULL;
    rt->http = NULL;
}
