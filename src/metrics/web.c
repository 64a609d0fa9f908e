#include "metrics/web.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/deadline.h"
#include "control/healthz.h"
#include "metrics/history.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "metrics/prometheus.h"
#include "metrics/snapshot.h"
#include "metrics/stats_json.h"
#include "metrics/status_page.h"

#define BUSIEST 20 /* sessions listed */
/* The least time between two scans of all sessions, ms; 1 ms more for each 5 sessions, so that
 * scans do not load the workers. */
#define BUSIEST_REST_MS         2000
#define BUSIEST_SESSIONS_PER_MS 5
#define HEALTHZ_LISTENER        "/healthz/"
/* How long a request waits for a scan, ms: a worker that hangs must not delay the page that shows
 * it. */
#define BUSIEST_WAIT_MS 2000
#define WAITING_MAX     32 /* requests that wait; further ones get the former list */

enum status {
    STATUS_OK = 200,
    STATUS_NOT_FOUND = 404,
    STATUS_FAILED = 500,
    STATUS_UNAVAILABLE = 503,
};

/* A request that waits for the list of the busiest sessions. */
struct pending_request {
    STAILQ_ENTRY(pending_request) in_web;
    struct http_call *call;
    void (*answer)(struct web *web, struct http_call *call, uint64_t since);
    uint64_t since;
};

STAILQ_HEAD(pending_requests, pending_request);

struct web {
    struct runtime *rt;
    struct process_files proc;
    uv_timer_t history_timer;
    struct history history;
    struct session_list_row row[BUSIEST];
    struct busiest busiest;
    uint64_t session_list_time; /* ms; 0: never */
    bool session_list_runs;
    bool session_list_is_late;
    struct deadline session_list_deadline; /* expires BUSIEST_WAIT_MS after the scan began */
    struct pending_requests waiting;
    size_t waiting_count;
};

/* ---- responses ---- */

/* A text that is written to memory. */
struct text_buffer {
    FILE *out;
    char *text;
    size_t size;
};

static bool text_buffer_open(struct text_buffer *t)
{
    t->text = NULL;
    t->size = 0;
    t->out = open_memstream(&t->text, &t->size);
    return t->out != NULL;
}

static void web_send_buffer(struct http_call *call, unsigned status, const char *type,
                            const char *policy, struct text_buffer *t)
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

static void web_send_line(struct http_call *call, unsigned status, const char *line)
{
    struct text_buffer t;
    if (text_buffer_open(&t))
        fprintf(t.out, "%s\n", line);
    web_send_buffer(call, status, "text/plain; charset=utf-8", NULL, &t);
}

/* ---- pages ---- */

/* The text is written in pieces, while the client reads it: with many servers it is long. */
struct metrics_reply {
    struct snapshot snapshot;
    struct metrics metrics;
};

static bool next_metrics(void *arg, FILE *out)
{
    struct metrics_reply *t = arg;
    return metrics_next(&t->metrics, out);
}

static void free_metrics(void *arg)
{
    struct metrics_reply *t = arg;
    snapshot_free(&t->snapshot);
    free(t);
}

static void answer_metrics(struct web *web, struct http_call *call)
{
    struct metrics_reply *t = calloc(1, sizeof *t);
    if (t == NULL || snapshot_take(web->rt, &t->snapshot) < 0) {
        free(t);
        web_send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    t->metrics.s = &t->snapshot;
    process_read(&web->proc, &t->metrics.process);
    const struct http_answer a = {
        .status = STATUS_OK,
        .type = PROMETHEUS_TYPE,
        .next = next_metrics,
        .done = free_metrics,
        .arg = t,
    };
    http_answer(call, &a);
}

/* listener: NULL for the process. */
static void answer_health(struct web *web, struct http_call *call, const char *listener)
{
    enum healthz health = HEALTHZ_STARTING;
    if (listener == NULL)
        health = healthz_of_process(web->rt);
    else if (healthz_of_listener(web->rt, listener, &health) == -ENOENT) {
        web_send_line(call, STATUS_NOT_FOUND, "not found: there is no such listener");
        return;
    }
    web_send_line(call, health == HEALTHZ_OK ? STATUS_OK : STATUS_UNAVAILABLE,
                  healthz_name(health));
}

/* Written in pieces, too. */
struct json_reply {
    struct snapshot snapshot;
    struct session_list_row row[BUSIEST];
    struct busiest busiest;
    struct history history;
    struct stats_json json;
};

static bool next_json(void *arg, FILE *out)
{
    struct json_reply *t = arg;
    return stats_json_next(&t->json, out);
}

static void free_json(void *arg)
{
    struct json_reply *t = arg;
    if (t == NULL)
        return;
    snapshot_free(&t->snapshot);
    history_fini(&t->history);
    free(t);
}

/* Returns NULL when out of memory. */
static struct json_reply *json_new(const struct web *web, uint64_t since)
{
    struct json_reply *t = calloc(1, sizeof *t);
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
    struct json_reply *t = json_new(web, since);
    if (t == NULL) {
        web_send_line(call, STATUS_FAILED, "out of memory");
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
    struct text_buffer t;
    char nonce[STATUS_PAGE_NONCE];
    char policy[STATUS_PAGE_POLICY];
    (void)since;
    if (snapshot_take(web->rt, &s) < 0) {
        web_send_line(call, STATUS_FAILED, "out of memory");
        return;
    }
    status_page_policy(nonce, policy);
    if (text_buffer_open(&t))
        status_page_print(&s, &web->busiest, nonce, t.out);
    snapshot_free(&s);
    web_send_buffer(call, STATUS_OK, STATUS_PAGE_TYPE, policy, &t);
}

/* ---- the busiest sessions ---- */

static void answer_waiting(struct web *web)
{
    struct pending_request *r;
    while ((r = STAILQ_FIRST(&web->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&web->waiting, in_web);
        web->waiting_count--;
        r->answer(web, r->call, r->since);
        free(r);
    }
}

/* The scan takes too long: answers with the former list. */
static void on_session_list_late(uv_timer_t *timer)
{
    struct web *web = timer->data;
    web->session_list_is_late = true;
    answer_waiting(web);
}

static void on_session_list(void *arg, const struct session_list_row *row, size_t count)
{
    struct web *web = arg;
    web->session_list_runs = web->session_list_is_late = false;
    deadline_stop(&web->session_list_deadline);
    web->session_list_time = uv_now(web->rt->loop);
    web->busiest.count = row == NULL ? 0 : count;
    if (web->busiest.count > 0)
        memcpy(web->row, row, count * sizeof *row);
    answer_waiting(web);
}

static bool is_recent(const struct web *web)
{
    uint64_t rest =
        BUSIEST_REST_MS + conn_limit_used(&web->rt->conn_limit) / BUSIEST_SESSIONS_PER_MS;
    return web->session_list_time != 0 && uv_now(web->rt->loop) - web->session_list_time < rest;
}

static uint64_t web_parse_number(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* Answers with a recent list of the busiest sessions: at once, or after a scan. */
static void answer_with_sessions(struct web *web, struct http_call *call,
                                 void (*answer)(struct web *, struct http_call *, uint64_t))
{
    uint64_t since = web_parse_number(http_query(call, "since"));
    if (!is_recent(web) && !web->session_list_runs)
        web->session_list_runs =
            session_list_start(&web->rt->session_lists, true, BUSIEST, on_session_list, web) == 0;
    bool waits =
        web->session_list_runs && !web->session_list_is_late && web->waiting_count < WAITING_MAX;
    struct pending_request *r = waits ? calloc(1, sizeof *r) : NULL;
    if (r == NULL) {
        answer(web, call, since);
        return;
    }
    *r = (struct pending_request){ .call = call, .answer = answer, .since = since };
    if (STAILQ_EMPTY(&web->waiting) &&
        !uv_is_closing((const uv_handle_t *)&web->session_list_deadline))
        deadline_start(&web->session_list_deadline, on_session_list_late, BUSIEST_WAIT_MS);
    STAILQ_INSERT_TAIL(&web->waiting, r, in_web);
    web->waiting_count++;
}

/* ---- requests ---- */

static void on_web_request(void *arg, struct http_call *call, const char *path)
{
    struct web *web = arg;
    if (strcmp(path, "/metrics") == 0)
        answer_metrics(web, call);
    else if (strcmp(path, "/healthz") == 0)
        answer_health(web, call, NULL);
    else if (strncmp(path, HEALTHZ_LISTENER, strlen(HEALTHZ_LISTENER)) == 0)
        answer_health(web, call, path + strlen(HEALTHZ_LISTENER));
    else if (strcmp(path, "/stats.json") == 0)
        answer_with_sessions(web, call, answer_json);
    else if (strcmp(path, "/") == 0)
        answer_with_sessions(web, call, answer_page);
    else
        web_send_line(call, STATUS_NOT_FOUND,
                      "not found: there are /, /metrics, /stats.json, /healthz, /healthz/LISTENER");
}

/* ---- start and end ---- */

static void on_history_timer(uv_timer_t *timer)
{
    struct web *web = timer->data;
    const struct runtime *rt = web->rt;
    struct addr at;
    struct file_id file;
    if (rt->current != NULL && http_socket(rt->http, &at, &file) != -1)
        history_sample(&web->history, runtime_conf(rt), &rt->pools, uv_now(timer->loop));
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
    rt->http = http_new(rt->loop, on_web_request, web);
    uv_timer_init(rt->loop, &web->history_timer);
    deadline_init(&web->session_list_deadline, rt->loop);
    web->history_timer.data = web->session_list_deadline.timer.data = web;
    uv_timer_start(&web->history_timer, on_history_timer, HISTORY_STEP, HISTORY_STEP);
    return rt->http == NULL ? -ENOMEM : 0;
}

/* Answers the waiting requests, which frees them; no client reads the answers any more. */
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
