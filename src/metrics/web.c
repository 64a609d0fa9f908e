#include "metrics/web.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/deadline.h"
#include "metrics/history.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "metrics/snapshot.h"
#include "metrics/stats_json.h"
#include "metrics/status_page.h"

#define BUSIEST       20
#define CENSUS_REST   2000 /* ms between two looks at all sessions, */
#define CENSUS_MAX_MS 2000 /* a worker that stands still does not keep the page from showing it */
#define WAITING_MAX   32   /* requests that wait for it; more are answered without */
#define CENSUS_RATE   5    /* and one more for so many sessions: workers have better things to do */

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
    struct process_files proc;
    uv_timer_t step;
    struct history history;
    struct census_row row[BUSIEST];
    struct busiest busiest;
    uint64_t census_time; /* ms; 0: never */
    bool census_runs;
    bool census_is_late;
    struct deadline late; /* it has taken CENSUS_MAX_MS */
    struct requests_waiting waiting;
    size_t waiting_count;
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
    const struct http_answer a = {
        .status = status, .type = type, .policy = policy, .text = t->text, .length = t->size
    };
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

/* Those of many servers are made piece by piece, while the client reads them. */
struct metrics_text {
    struct snapshot snapshot;
    struct metrics metrics;
};

static bool next_metrics(void *arg, FILE *out)
{
    struct metrics_text *t = arg;
    return metrics_next(&t->metrics, out);
}

static void free_metrics(void *arg)
{
    struct metrics_text *t = arg;
    snapshot_free(&t->snapshot);
    free(t);
}

static void answer_metrics(struct web *web, struct http_call *call)
{
    struct metrics_text *t = calloc(1, sizeof *t);
    if (t == NULL || snapshot_take(web->rt, &t->snapshot) < 0) {
        free(t);
        send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    t->metrics.s = &t->snapshot;
    process_read(&web->proc, &t->metrics.process);
    const struct http_answer a = {
        .status = STATUS_OK,
        .type = METRICS_TYPE,
        .next = next_metrics,
        .done = free_metrics,
        .arg = t,
    };
    http_answer(call, &a);
}

static void answer_health(struct web *web, struct http_call *call)
{
    enum snapshot_health health = snapshot_health(web->rt);
    send_line(call, health == SNAPSHOT_OK ? STATUS_OK : STATUS_UNAVAILABLE,
              snapshot_health_name(health));
}

/* Likewise. */
struct json_text {
    struct snapshot snapshot;
    struct census_row row[BUSIEST];
    struct busiest busiest;
    struct history history;
    struct stats_json json;
};

static bool next_json(void *arg, FILE *out)
{
    struct json_text *t = arg;
    return stats_json_next(&t->json, out);
}

static void free_json(void *arg)
{
    struct json_text *t = arg;
    if (t == NULL)
        return;
    snapshot_free(&t->snapshot);
    history_fini(&t->history);
    free(t);
}

/* NULL when out of memory. */
static struct json_text *json_new(const struct web *web, uint64_t since)
{
    struct json_text *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    memcpy(t->row, web->row, sizeof t->row);
    t->busiest = (struct busiest){ .row = t->row, .count = web->busiest.count };
    t->json = (struct stats_json){
        .s = &t->snapshot, .busiest = &t->busiest, .history = &t->history, .since = since
    };
    if (history_copy(&web->history, &t->history) == 0 && snapshot_take(web->rt, &t->snapshot) == 0)
        return t;
    free_json(t);
    return NULL;
}

static void answer_json(struct web *web, struct http_call *call, uint64_t since)
{
    struct json_text *t = json_new(web, since);
    if (t == NULL) {
        send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    const struct http_answer a = {
        .status = STATUS_OK,
        .type = STATS_JSON_TYPE,
        .next = next_json,
        .done = free_json,
        .arg = t,
    };
    http_answer(call, &a);
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
        web->waiting_count--;
        r->answer(web, r->call, r->since);
        free(r);
    }
}

/* With the busiest sessions of the time before. */
static void on_late(uv_timer_t *timer)
{
    struct web *web = timer->data;
    web->census_is_late = true;
    answer_waiting(web);
}

static void on_census(void *arg, const struct census_row *row, size_t count)
{
    struct web *web = arg;
    web->census_runs = web->census_is_late = false;
    deadline_stop(&web->late);
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
    bool waits = web->census_runs && !web->census_is_late && web->waiting_count < WAITING_MAX;
    struct request_waiting *r = waits ? calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        answer(web, call, since);
        return;
    }
    *r = (struct request_waiting){ .call = call, .answer = answer, .since = since };
    if (STAILQ_EMPTY(&web->waiting) && !uv_is_closing((const uv_handle_t *)&web->late))
        deadline_start(&web->late, on_late, CENSUS_MAX_MS);
    STAILQ_INSERT_TAIL(&web->waiting, r, in_web);
    web->waiting_count++;
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
    struct file_id file;
    if (rt->current != NULL && http_socket(rt->http, &at, &file) != -1)
        history_step(&web->history, runtime_conf(rt), &rt->pools, uv_now(timer->loop));
}

int web_open(struct runtime *rt)
{
    struct web *web = calloc(1, sizeof *web);
    if (web == NULL)
        return -ENOMEM;
    web->rt = rt;
    process_open(&web->proc);
    web->busiest.row = web->row;
    STAILQ_INIT(&web->waiting);
    history_init(&web->history);
    rt->web = web;
    rt->http = http_new(rt->loop, on_request, web);
    uv_timer_init(rt->loop, &web->step);
    deadline_init(&web->late, rt->loop);
    web->step.data = web->late.timer.data = web;
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
    process_close(&web->proc);
    free(web);
    rt->web = NULL;
    rt->http = NULL;
}
