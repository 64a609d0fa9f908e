/* A pool with workers that pick, wait, fail and release, while a control thread changes it. The
 * counts must be right at the end; ThreadSanitizer and AddressSanitizer find the rest. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "pool_rig.h"

#define WORKERS  4
#define SESSIONS 8 /* of one worker at a time */
#define ROUNDS   50000

struct session {
    struct waiter waiter;
    struct server *server; /* NULL: it waits, or is unused */
    bool waits;
    bool connected;
};

struct worker {
    pthread_t thread;
    struct grace_reader reader;
    struct inbox inbox;
    uint64_t random;
    struct session session[SESSIONS];
};

static struct pool_rig rig;
static struct worker workers[WORKERS];
static _Atomic unsigned at_work;

static void no_wake(struct grace_reader *r)
{
    (void)r;
}

static void no_inbox_wake(struct inbox *in)
{
    (void)in;
}

static unsigned draw(struct worker *w, unsigned below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % below;
}

static uint64_t now(void)
{
    return atomic_load(&rig.now);
}

static void enter(struct worker *w, struct session *s)
{
    enum pool_refusal refusal = POOL_NO_SERVER;
    const struct pick_request request = { .key = draw(w, 1000), .now = now() };
    *s = (struct session){ .waiter = { .inbox = &w->inbox, .key = request.key } };
    pool_ref(rig.pool);
    s->server = pool_pick(rig.pool, &request, &refusal);
    if (s->server == NULL && refusal != POOL_NO_SERVER)
        s->waits = pool_enqueue(rig.pool, &s->waiter, now(), &s->server) == 0;
    if (s->server == NULL && !s->waits)
        pool_unref(rig.pool);
}

static void leave(struct session *s)
{
    if (s->waits)
        pool_cancel(rig.pool, &s->waiter, now());
    if (s->server != NULL && !s->connected)
        pool_connect_cancelled(rig.pool, s->server, now());
    if (s->server != NULL)
        pool_release(rig.pool, s->server, now());
    pool_unref(rig.pool);
    *s = (struct session){ .server = NULL };
}

static void try_connect(struct worker *w, struct session *s)
{
    if (draw(w, 4) > 0) {
        pool_connected(rig.pool, s->server, now());
        pool_connect_took(rig.pool, s->server, draw(w, 100), false, now());
        s->connected = true;
    } else {
        pool_connect_failed(rig.pool, s->server, now());
        s->connected = true; /* its connect is over */
        leave(s);
    }
}

static void take_in(struct worker *w)
{
    struct waiter *granted;
    while ((granted = inbox_pop(&w->inbox)) != NULL) {
        struct session *s = (struct session *)granted; /* its first member */
        s->waits = false;
        s->server = s->waiter.granted;
        if (s->server == NULL) /* no server was left */
            pool_unref(rig.pool);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct session *s = &w->session[draw(w, SESSIONS)];
        if (s->server == NULL && !s->waits)
            enter(w, s);
        else if (s->server != NULL && !s->connected && draw(w, 4) > 0)
            try_connect(w, s);
        else if (!s->waits || draw(w, 8) == 0)
            leave(s);
        take_in(w);
        grace_quiescent(&rig.grace, &w->reader);
    }
    for (int i = 0; i < SESSIONS; i++)
        if (w->session[i].server != NULL || w->session[i].waits)
            leave(&w->session[i]);
    atomic_store(&w->reader.seen, UINT64_MAX);
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

static const char *const lines[] = {
    "server = 10.0.0.1:80 name=a max_connections=2\nserver = 10.0.0.2:80 name=b weight=3 "
    "max_connections=3\n",
    "server = 10.0.0.1:80 name=a max_connections=2\n",
    "server = 10.0.0.2:80 name=x weight=2 max_connections=3\nserver = 10.0.0.3:80 name=c "
    "max_connections=2 backup\n",
    "server = 10.0.0.3:80 name=c max_connections=2\nserver = 10.0.0.1:80 name=a weight=9 "
    "max_connections=2\n",
};

#define VARIANTS ((int)(sizeof lines / sizeof lines[0]))
#define COMMON   "max_queue = 5\nmax_fails = 2\nfail_timeout = 3ms\nslow_start = 5ms\n"

static void start_workers(void)
{
    atomic_store(&at_work, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){ .random = (uint64_t)i + 1, .reader.wake = no_wake };
        inbox_init(&w->inbox, no_inbox_wake);
        grace_register(&rig.grace, &w->reader);
        ck_assert_int_eq(pthread_create(&w->thread, NULL, work, w), 0);
    }
}

static void stop_workers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        ck_assert_ptr_null(inbox_pop(&workers[i].inbox));
        inbox_fini(&workers[i].inbox);
        grace_unregister(&rig.grace, &workers[i].reader);
    }
}

static void give_up(const struct config_pool *conf)
{
    struct pool_update *update = NULL;
    ck_assert_int_eq(pool_prepare(rig.pool, conf, &update), 0);
    pool_abort(update);
}

/* The control thread, as fast as it can. */
static void change(const struct config_pool *const *confs, unsigned turn)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(rig.pool, &count);
    pool_set_up(rig.pool, servers[turn / 3 % count], turn % 5 != 0, now());
    if (turn % 3 == 0)
        ck_assert_int_eq(pool_rig_put(&rig, confs[turn % VARIANTS]), 0);
    if (turn % 7 == 0)
        pool_pause(rig.pool, turn % 14 == 0, now());
    if (turn % 4 == 0)
        give_up(confs[turn % VARIANTS]);
    grace_reclaim(&rig.grace);
    pool_tidy(rig.pool);
    atomic_fetch_add(&rig.now, 1);
    sched_yield();
}

static const char *const policies[] = { "round_robin", "least_conn", "random",
                                        "hash",        "first",      "least_time" };

#define POLICIES ((int)(sizeof policies / sizeof policies[0]))

static void run(const char *balance)
{
    const struct config_pool *confs[VARIANTS];
    char text[1024];
    snprintf(text, sizeof text, "%s" COMMON "balance = %s\n", lines[0], balance);
    pool_rig_open(&rig, text);
    for (int i = 0; i < VARIANTS; i++) {
        snprintf(text, sizeof text, "%s" COMMON "balance = %s\nqueue_when = %s\n", lines[i],
                 balance, i % 2 == 0 ? "full" : "down");
        confs[i] = pool_rig_conf(&rig, text);
    }
    start_workers();
    for (unsigned turn = 0; atomic_load(&at_work) > 0; turn++)
        change(confs, turn);
    stop_workers();
    ck_assert_uint_eq(pool_waiting(rig.pool), 0);
    ck_assert_uint_eq(pool_sessions(rig.pool), 0);
    pool_rig_close(&rig); /* finds slots that were not released */
}

START_TEST(no_slot_is_lost)
{
    run(policies[_i]);
}
END_TEST

/* ---- waiting beside a free slot ---- */

#define TURNS 3000

static pthread_barrier_t turn_begins;

/* Half of the sessions have tried one of the two servers, half the other. */
static void *take_turns(void *arg)
{
    struct worker *w = arg;
    struct pool_tried *tried = NULL;
    struct server *never = pool_rig_server(&rig, (w - workers) % 2 == 0 ? "a" : "b");
    ck_assert_int_eq(pool_mark_tried(rig.pool, &tried, never), 0);
    for (int i = 0; i < TURNS; i++) {
        struct waiter waiter = { .inbox = &w->inbox, .tried = tried };
        struct server *srv = pool_rig_pick(&rig, tried);
        if (srv == NULL && pool_enqueue(rig.pool, &waiter, now(), &srv) == 0) {
            while (inbox_pop(&w->inbox) == NULL)
                sched_yield();
            srv = waiter.granted;
        }
        pool_release(rig.pool, srv, now());
        pthread_barrier_wait(&turn_begins);
    }
    free(tried);
    return NULL;
}

START_TEST(no_session_waits_beside_a_free_slot)
{
    char text[256];
    snprintf(text, sizeof text,
             "server = 10.0.0.1:80 name=a max_connections=1\n"
             "server = 10.0.0.2:80 name=b max_connections=1\nmax_queue = 100\nbalance = %s\n"
             "queue_when = %s\n",
             policies[_i / 2], _i % 2 == 0 ? "full" : "down");
    pool_rig_open(&rig, text);
    pthread_barrier_init(&turn_begins, NULL, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        inbox_init(&workers[i].inbox, no_inbox_wake);
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, take_turns, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        inbox_fini(&workers[i].inbox);
    }
    pthread_barrier_destroy(&turn_begins);
    pool_rig_close(&rig);
}
END_TEST

static void add(TCase *t)
{
    tcase_add_loop_test(t, no_slot_is_lost, 0, POLICIES);
    tcase_add_loop_test(t, no_session_waits_beside_a_free_slot, 0, 2 * POLICIES);
}

int main(void)
{
    return config_rig_main("pool_threads", add);
}
