#include "command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "command/server_view.h"
#include "session/listener_state.h"

#define WAIT_MS     10000                 /* without a TIME */
#define WAIT_MAX_MS (60 * (uint64_t)1000) /* a client that waits longer asks again */

/* Waits until a pool, a server or a listener has no session. It is found by its name each time: a
 * reload may remove it, and its sessions continue. */
struct session_wait {
    struct request *request;
    char *target; /* as the user wrote it */
    char *name;   /* of the pool or listener */
    char *server; /* a name or an address; NULL: the whole pool, or a listener */
    bool is_listener;
};

static void session_wait_free(struct session_wait *w)
{
    free(w->target);
    free(w->name);
    free(w->server);
    free(w);
}

struct session_sum {
    const struct session_wait *wait;
    uint64_t sessions;
    bool settled; /* false: a removed server may be missing in sessions */
};

/* Pools that were dropped count as well. */
static bool add_pool(const void *arg, const struct pool *p)
{
    struct session_sum *sum = *(struct session_sum *const *)arg;
    const struct session_wait *w = sum->wait;
    if (strcmp(pool_name(p), w->name) != 0)
        return false;
    if (w->server == NULL)
        sum->sessions += pool_sessions(p);
    else
        sum->settled &= pool_count_sessions(p, w->server, &sum->sessions);
    return false;
}

static void add_listener(const struct runtime *rt, struct session_sum *sum)
{
    const struct listener_state *e;
    LIST_FOREACH(e, &rt->listener_states, in_all)
        if (strcmp(e->name, sum->wait->name) == 0)
            sum->sessions += conn_limit_used(&e->conn_limit);
}

/* Returns whether no session is left. */
static bool count_sessions(const struct session_wait *w, uint64_t *sessions)
{
    const struct runtime *rt = w->request->rt;
    struct session_sum sum = { .wait = w, .settled = true };
    struct session_sum *const at = &sum;
    if (w->is_listener)
        add_listener(rt, &sum);
    else
        (void)pools_any(&rt->pools, add_pool, &at);
    *sessions = sum.sessions;
    return sum.sessions == 0 && (sum.settled || conn_limit_used(&rt->conn_limit) == 0);
}

static void print_left(struct request *r, const char *target, uint64_t sessions, bool drained)
{
    static const struct sheet_column columns[] = { { "target", SHEET_TEXT },
                                                   { "sessions", SHEET_COUNT },
                                                   { "drained", SHEET_BOOL } };
    if (!r->json && drained)
        request_print(r, "%s: no session left", target);
    else if (!r->json)
        request_print(r, "%s: %" PRIu64 " session%s left", target, sessions,
                      sessions == 1 ? "" : "s");
    if (!r->json)
        return;
    struct sheet *s = sheet_new(columns, sizeof columns / sizeof *columns);
    if (s != NULL) {
        sheet_text(s, target);
        sheet_number(s, sessions);
        sheet_bool(s, drained);
    }
    request_record(r, s);
}

/* The wait_fn of a wait: answers the command when no session is left, or the time is over. */
static bool on_ask(void *arg, bool last)
{
    struct session_wait *w = arg;
    uint64_t sessions = 0;
    bool drained = count_sessions(w, &sessions);
    if (!drained && !last)
        return false;
    print_left(w->request, w->target, sessions, drained);
    request_finish(w->request);
    session_wait_free(w);
    return true;
}

/* ---- the target ---- */

static bool has_listener(const struct runtime *rt, const char *name)
{
    const struct listener_state *e;
    LIST_FOREACH(e, &rt->listener_states, in_all)
        if (strcmp(e->name, name) == 0)
            return true;
    return false;
}

/* Fails the request if there is no such target now, and it has no session either. */
static bool wait_is_known(struct request *r, const struct session_wait *w)
{
    struct server_matches matches;
    uint64_t sessions = 0;
    if (!count_sessions(w, &sessions))
        return true;
    if (w->is_listener) {
        if (!has_listener(r->rt, w->name))
            request_fail_as(r, REQUEST_NOT_FOUND, "%s: no such listener, try \"show listeners\"",
                            w->name);
    } else if (w->server == NULL) {
        (void)server_view_find_pool(r, w->name);
    } else if (server_view_find(r, w->target, &matches)) {
        server_matches_free(&matches);
    }
    return !r->failed;
}

static struct session_wait *session_wait_new(struct request *r, const char *target,
                                             bool is_listener)
{
    struct session_wait *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    size_t n = is_listener ? strlen(target) : strcspn(target, "/");
    w->request = r;
    w->is_listener = is_listener;
    w->target = strdup(target);
    w->name = strndup(target, n);
    w->server = target[n] == '/' ? strdup(target + n + 1) : NULL;
    if (w->target != NULL && w->name != NULL && (w->server != NULL || target[n] != '/'))
        return w;
    session_wait_free(w);
    return NULL;
}

/* Takes ownership of w. */
static enum request_result wait_begin(struct request *r, struct session_wait *w, uint64_t ms)
{
    uint64_t sessions = 0;
    if (!wait_is_known(r, w)) {
        session_wait_free(w);
        return REQUEST_DONE;
    }
    bool drained = count_sessions(w, &sessions);
    /* if waits_add() fails, the present number is the answer, and the client asks again */
    int rc = drained || ms == 0 ? -EAGAIN : waits_add(&r->rt->waits, ms, on_ask, w);
    if (rc == 0)
        return REQUEST_LATER;
    print_left(r, w->target, sessions, drained);
    session_wait_free(w);
    return REQUEST_DONE;
}

static enum request_result wait_for_target(struct request *r, bool is_listener)
{
    static const struct value time = VALUE_DURATION(0, WAIT_MAX_MS, NULL);
    struct value_error error;
    uint64_t ms = WAIT_MS;
    if (r->count == 2 || (r->count == 3 && strcmp(r->word[1], "for") != 0))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown, expected for TIME", r->word[1]);
    if (r->count == 3 && value_parse(&time, &ms, r->word[2], &error) < 0)
        return request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    struct session_wait *w = session_wait_new(r, r->word[0], is_listener);
    return w == NULL ? request_fail_memory(r) : wait_begin(r, w, ms);
}

static enum request_result command_wait_run(struct request *r)
{
    return wait_for_target(r, false);
}

static enum request_result wait_listener(struct request *r)
{
    return wait_for_target(r, true);
}

static const struct command commands[] = {
    { "wait", "POOL/SERVER [for TIME]",
      "wait until a server, or a whole POOL, has no session; 10s at most by default", 1, 3,
      command_wait_run, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "wait listener", "LISTENER [for TIME]", "wait until a listener has no session", 1, 3,
      wait_listener, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
};

const struct command_list command_wait = COMMAND_LIST(commands);
