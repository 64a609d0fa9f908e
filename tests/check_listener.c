#include "session/listener.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool_rig.h"

#define LISTENERS  40
#define CLIENTS    4  /* of each */
#define PER_WAKEUP 32 /* that all listeners of a worker accept at most */

static struct pool_rig rig;
static struct conn_limit conn_limit;
static struct listener_state_list listener_states;
static struct frontend frontend[LISTENERS]; /* of one listener each, so that it has a counter */
static _Atomic uint64_t last_id;
static uv_loop_t loop;
static struct event_set set;
static struct sessions sessions;
static struct listeners all;
static int client[LISTENERS * CLIENTS];
static size_t clients;

static void on_ended(struct sessions *ended, void *arg)
{
    (void)ended;
    (void)arg;
}

static void on_wake_inbox(struct inbox *in)
{
    (void)in;
}

static void on_wake(void *arg)
{
    (void)arg;
}

static struct pool *find(const void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return rig.pool;
}

/* Its clients are refused at once: this is about accept(2). */
static void open_frontend(struct frontend *f, const char *name)
{
    const struct access_rule deny_all = { { .family = AF_UNSPEC }, false };
    struct listener_state *state = listener_state_get(&listener_states, name, on_wake, NULL);
    ck_assert_int_eq(frontend_init(f, &rig.conf[0]->listen[0], &conn_limit, state, find, NULL), 0);
    f->access = access_new(&deny_all, 1);
    ck_assert_ptr_nonnull(f->access);
}

static void begin(void)
{
    pool_rig_open(&rig, "server = 127.0.0.1:1\n");
    LIST_INIT(&listener_states);
    conn_limit_init(&conn_limit, 0, on_wake, NULL);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(event_set_init(&set, &loop, BUSY_POLL_NEVER, 0), 0);
    sessions_init(&sessions, &set, &last_id, on_ended, NULL, on_wake_inbox);
    listeners_init(&all, &loop, &sessions, on_wake, NULL);
    clients = 0;
}

static void end(void)
{
    listeners_fini(&all);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    sessions_fini(&sessions);
    event_set_fini(&set);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    for (size_t i = 0; i < LISTENERS; i++)
        frontend_fini(&frontend[i]);
    memset(frontend, 0, sizeof frontend);
    while (clients > 0)
        close(client[--clients]);
    pool_rig_close(&rig);
}

/* A listener whose clients have connected and wait to be accepted. */
static void open_listener(size_t i, size_t waiting)
{
    char name[16];
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    struct pollfd ready = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
                            .events = POLLIN };
    ck_assert_int_eq(bind(ready.fd, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(ready.fd, 8), 0);
    ck_assert_int_eq(getsockname(ready.fd, (struct sockaddr *)&at, &len), 0);
    for (; waiting > 0; waiting--) {
        client[clients] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(client[clients++], (struct sockaddr *)&at, len), 0);
        ck_assert_int_eq(poll(&ready, 1, 20000), 1);
    }
    snprintf(name, sizeof name, "l%zu", i);
    open_frontend(&frontend[i], name);
    struct listener *l = listener_new();
    ck_assert_ptr_nonnull(l);
    listener_open(l, &all, ready.fd, &frontend[i]);
}

static void run_wakeup(void)
{
    event_set_sleep(&set, UINT64_MAX);
    uv_run(&loop, UV_RUN_NOWAIT);
    event_set_wake(&set);
    listeners_retry(&all);
}

static uint64_t accepted_by(size_t i)
{
    return counter_get(&frontend[i].listener_state->connections);
}

static uint64_t accepted(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < LISTENERS; i++)
        sum += accepted_by(i);
    return sum;
}

/* Counts the wake-ups in which each listener accepted. One that has clients waiting is at most one
 * behind the others. */
static void count_turns(uint64_t *had, unsigned *turns)
{
    unsigned most = 0;
    for (size_t i = 0; i < LISTENERS; i++) {
        turns[i] += accepted_by(i) > had[i];
        had[i] = accepted_by(i);
        most = turns[i] > most ? turns[i] : most;
    }
    for (size_t i = 0; i < LISTENERS; i++)
        ck_assert(had[i] == CLIENTS || turns[i] + 1 >= most);
}

START_TEST(a_wake_up_accepts_few_clients_of_many_listeners_and_each_has_its_turn)
{
    uint64_t had[LISTENERS] = { 0 };
    unsigned turns[LISTENERS] = { 0 };
    for (size_t i = 0; i < LISTENERS; i++)
        open_listener(i, CLIENTS);
    for (int wakeups = 0; wakeups < 1000 && accepted() < LISTENERS * CLIENTS; wakeups++) {
        uint64_t before = accepted();
        run_wakeup();
        ck_assert_uint_le(accepted(), before + PER_WAKEUP);
        count_turns(had, turns);
    }
    ck_assert_uint_eq(accepted(), LISTENERS * CLIENTS);
}
END_TEST

/* There is room again below max_connections, but just then no descriptor. The wake-up for the room
 * does not come again. */
START_TEST(a_resume_that_fails_is_tried_again)
{
    struct rlimit before;
    struct rlimit none = { 0 };
    conn_limit_set_max(&conn_limit, 1);
    conn_limit_force(&conn_limit);
    open_listener(0, 1);
    for (int wakeups = 0; wakeups < 1000 && LIST_EMPTY(&all.paused); wakeups++)
        run_wakeup();
    ck_assert(!LIST_EMPTY(&all.paused));
    conn_limit_release(&conn_limit);
    fd_reserve_release(&sessions.fd_reserve);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    listeners_resume(&all);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert(!LIST_EMPTY(&all.paused));
    ck_assert_uint_ne(all.retry_at, UINT64_MAX);
    for (int wakeups = 0; wakeups < 20000 && accepted_by(0) == 0; wakeups++) {
        usleep(1000);
        run_wakeup();
    }
    ck_assert_uint_eq(accepted_by(0), 1);
}
END_TEST

START_TEST(a_listener_that_closes_accepts_as_many_as_its_queue_holds)
{
    open_listener(0, CLIENTS);
    frontend[0].options.backlog = CLIENTS - 2;
    listeners_drain(&all);
    ck_assert_uint_eq(accepted_by(0), CLIENTS - 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listener");
    TCase *c = tcase_create("listener");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, a_wake_up_accepts_few_clients_of_many_listeners_and_each_has_its_turn);
    tcase_add_test(c, a_resume_that_fails_is_tried_again);
    tcase_add_test(c, a_listener_that_closes_accepts_as_many_as_its_queue_holds);
    suite_add_tcase(s, c);
    return suite_main(s);
}
