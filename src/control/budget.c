#include "control/budget.h"

#include <inttypes.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/admin.h"
#include "control/http.h"

/* Descriptors that belong to no session: standard ones, logs, the control loop; epoll sets, event
 * descriptor and reserve of a worker. Rounded up. */
#define OWN_PROCESS 32
#define OWN_WORKER  12
#define OWN_ADMIN   (ADMIN_CLIENTS_MAX + 2) /* and the socket, twice while it is changed */
#define OWN_HTTP    (HTTP_CLIENTS_MAX + HTTP_CLIENTS_CLOSING + 8) /* and those of libmicrohttpd */

/* One pipe for every twenty sessions. When no pipe is free, a flow copies once. */
#define PIPES_PER_DESCRIPTORS 40
#define PIPES_MIN             16

#define PAGE 4096

/* [global] workers; 0 is one for each usable CPU. */
static uint64_t budget_workers(const struct config *c)
{
    cpu_set_t usable;
    if (c->global.workers != 0)
        return c->global.workers;
    if (sched_getaffinity(0, sizeof usable, &usable) == -1)
        return 1;
    return (uint64_t)CPU_COUNT(&usable);
}

uint64_t budget_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            return raised.rlim_cur;
    }
    return limit.rlim_cur;
}

static uint64_t read_sysctl(const char *path)
{
    uint64_t value = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%" SCNu64, &value) != 1)
        value = 0;
    fclose(f);
    return value;
}

static uint64_t listeners(const struct config *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->listen_count; i++)
        for (size_t j = 0; j < c->listen[i].bind_count; j++)
            n += c->listen[i].bind[j].fd != NULL ? 1 : c->listen[i].bind[j].addr_count;
    return n;
}

/* All servers may be checked at once. A name counts as one server. */
static uint64_t checked_servers(const struct config *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->pool_count; i++)
        if (c->pool[i].check != CONFIG_CHECK_NONE)
            n += c->pool[i].server_count;
    return n;
}

static uint64_t budget_at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t budget_at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t pipes_of(const struct budget *b, const struct config *c)
{
    if (c->global.fixed.max_pipes != 0)
        return c->global.fixed.max_pipes;
    uint64_t pipes = budget_at_least(b->descriptors / PIPES_PER_DESCRIPTORS, PIPES_MIN);
    if (b->user_pages != 0)
        pipes = budget_at_most(pipes, budget_at_least(b->user_pages / b->pipe_pages, 1));
    return pipes;
}

/* What is left for sessions. Pipes get no more than half of it, whatever max_pipes is: a flow
 * without a pipe copies, but a client without descriptors has to wait. */
static uint64_t session_descriptors(const struct budget *b)
{
    uint64_t left = b->descriptors > b->own ? b->descriptors - b->own : 0;
    return left - budget_at_most(2 * b->pipes, left / 2);
}

void budget_compute(struct budget *b, const struct config *c, uint64_t descriptors,
                    bool unprivileged)
{
    b->workers = budget_workers(c);
    b->descriptors = descriptors;
    b->listening = b->workers * listeners(c);
    b->own = OWN_PROCESS + (c->admin.socket.len != 0 ? OWN_ADMIN : 0) +
             (c->admin.http.len != 0 ? OWN_HTTP : 0) + checked_servers(c) +
             b->workers * OWN_WORKER + b->listening;
    b->pipe_pages = budget_at_least(c->global.fixed.pipe_size / PAGE, 1);
    b->user_pages = unprivileged ? read_sysctl("/proc/sys/fs/pipe-user-pages-soft") : 0;
    b->pipes = pipes_of(b, c);
    uint64_t possible = budget_at_least(session_descriptors(b) / 2, 1);
    b->sessions = possible;
    if (c->global.max_connections != 0)
        b->sessions = budget_at_most(possible, c->global.max_connections);
    b->by_descriptors = c->global.max_connections == 0 || c->global.max_connections > possible;
}

/* The descriptors needed for this number of sessions and for everything else. */
static uint64_t descriptors_for(const struct budget *b, uint64_t sessions)
{
    return 2 * sessions + b->own + 2 * b->pipes;
}

static bool budget_fits(const struct budget *b, uint64_t sessions)
{
    return b->listening + 2 * sessions < b->descriptors;
}

static void print_shortage(const struct budget *b, FILE *out)
{
    uint64_t target = descriptors_for(b, b->sessions);
    fprintf(out,
            "listening sockets: %" PRIu64 " addresses for each of %" PRIu64 " workers take %" PRIu64
            " descriptors, of %" PRIu64 " (RLIMIT_NOFILE); set LimitNOFILE=%" PRIu64
            " in the unit, or ulimit -Hn %" PRIu64 " before the start\n",
            b->listening / b->workers, b->workers, b->listening, b->descriptors, target, target);
}

bool budget_suffices(const struct budget *b, uint64_t sessions, FILE *errors)
{
    if (!budget_fits(b, sessions))
        print_shortage(b, errors);
    return budget_fits(b, sessions);
}

static void print_sessions(const struct budget *b, uint64_t wanted, FILE *out)
{
    fprintf(out, "sessions: %" PRIu64 " at most, two descriptors each", b->sessions);
    if (wanted == 0 || wanted > b->sessions) {
        uint64_t target = wanted != 0 ? wanted : 2 * b->sessions;
        fprintf(out,
                "; for %" PRIu64 " set LimitNOFILE=%" PRIu64 " in the unit, or ulimit -Hn %" PRIu64
                " before the start",
                target, descriptors_for(b, target), descriptors_for(b, target));
    }
    fputc('\n', out);
}

void budget_print(const struct budget *b, const struct config *c, FILE *out, const char *prefix)
{
    fprintf(out,
            "%sdescriptors: %" PRIu64 " (RLIMIT_NOFILE), of which %" PRIu64 " for %" PRIu64
            " workers, their listeners, checks and the program itself%s\n",
            prefix, b->descriptors, b->own, b->workers,
            b->descriptors < b->own ? ": too few, zproxy may not start" : "");
    fprintf(out, "%spipes: %" PRIu64 " at most, of %" PRIu64 " pages each, two descriptors each",
            prefix, b->pipes, b->pipe_pages);
    if (b->user_pages != 0)
        fprintf(out,
                "; sysctl fs.pipe-user-pages-soft=%" PRIu64 " gives this user %" PRIu64
                ", raise it for more",
                b->user_pages, b->user_pages / b->pipe_pages);
    fprintf(out, "\n%s", prefix);
    if (budget_fits(b, 0))
        print_sessions(b, c->global.max_connections, out);
    else
        print_shortage(b, out);
}
