#include "handover/handover_state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/rig.h"
#include "handover/handover_messages.h"
#include "suite.h"

/* Both processes of a handover are this one, one after the other: the old one sends its state into
 * a socket and ends; the new one restores it. The values to compare are copied out of both. */
struct counters {
    struct server server;
    struct health_state result;
    struct listener_state listener;
    struct end_counts ended;
    struct runtime rt;
    bool paused;
    uint64_t last_usable;
};

static struct rig rig;
static struct counters fresh; /* of the old process, before fill() */
static struct counters old;
static struct counters new;
static uint64_t last; /* the last value given to a counter; no two have the same */

/* The counters of a structure are adjacent. These ranges include a counter that was added to the
 * structure but not to the tables of handover_messages.h. */
#define FIRST_TO(object, first, end)                                         \
    (uint64_t *)((char *)(object) + offsetof(__typeof__(*(object)), first)), \
        (uint64_t *)((char *)(object) + offsetof(__typeof__(*(object)), end))
#define COUNTERS_OF_SERVER(s) FIRST_TO(s, counter, check)
#define LISTENER_COUNTERS(s)  FIRST_TO(s, connections, ended)
#define END_COUNTERS(s)       (uint64_t *)(s)->ended, (uint64_t *)(s)->ended + SESSION_ENDS
#define TOTALS(t)             (uint64_t *)(t), (uint64_t *)((t) + 1)
_Static_assert(sizeof(struct worker_totals) % sizeof(uint64_t) == 0, "counters only");

static void fill(uint64_t *at, const uint64_t *end)
{
    while (at < end)
        *at++ = ++last;
}

static void check_same(uint64_t *a, const uint64_t *a_end, uint64_t *b, const uint64_t *b_end)
{
    ck_assert_int_eq(a_end - a, b_end - b);
    for (size_t i = 0; a + i < a_end; i++)
        ck_assert_msg(a[i] == b[i], "counter %zu of these is lost", i);
}

static struct server *one_server(struct pool **pool)
{
    size_t count = 0;
    *pool = pools_find(&rig.rt.pools, "main");
    ck_assert_ptr_nonnull(*pool);
    struct server *const *servers = pool_servers(*pool, &count);
    ck_assert_uint_gt(count, 0);
    return servers[0];
}

static void copy_out(struct counters *to)
{
    struct pool *pool = NULL;
    const struct server *srv = one_server(&pool);
    const struct health_state *result = health_find_state(rig.rt.health, pool, srv);
    const struct listener_state *in = LIST_FIRST(&rig.rt.listener_states);
    const struct end_counts *ended = end_counts_find(&in->ended, "main");
    ck_assert_ptr_nonnull(result);
    ck_assert_ptr_nonnull(ended);
    memcpy(&to->server, srv, sizeof to->server);
    memcpy(&to->result, result, sizeof to->result);
    memcpy(&to->listener, in, sizeof to->listener);
    memcpy(&to->ended, ended, sizeof to->ended);
    memcpy(&to->rt, &rig.rt, sizeof to->rt);
    to->paused = pool_is_paused(pool);
    to->last_usable = pool_last_usable(pool, 0);
    workers_totals(&rig.rt.workers, &to->rt.workers.retired);
}

static void fill_server(struct pool *pool, struct server *srv)
{
    struct health_state result = {
        .up = false, .settled = true, .passed = true, .why = "HTTP 200"
    };
    fill(COUNTERS_OF_SERVER(srv));
    atomic_store(&srv->weight, 77);
    atomic_store(&srv->state, CONFIG_STATE_DRAIN);
    atomic_store(&srv->up, false);
    atomic_store(&srv->max_connections, ++last);
    atomic_store(&srv->out_until, ++last);
    atomic_store(&srv->slow_start_began, ++last);
    atomic_store(&srv->slow_start_length, ++last);
    atomic_store(&srv->connect_time, ++last);
    pool_restore(pool, true, ++last);
    fill(FIRST_TO(&result, streak, why));
    health_restore(rig.rt.health, pool, srv, &result);
}

static void fill_all(void)
{
    struct pool *pool = NULL;
    struct server *srv = one_server(&pool);
    struct listener_state *in = LIST_FIRST(&rig.rt.listener_states);
    fill_server(pool, srv);
    fill(LISTENER_COUNTERS(in));
    fill(END_COUNTERS(end_counts_find(&in->ended, "main")));
    fill(TOTALS(&rig.rt.workers.retired));
    rig.rt.reloads = ++last;
    rig.rt.failed_reloads = ++last;
    rig.rt.began = ++last;
    rig.rt.health_override = HEALTH_SET_FAIL;
    rig.rt.was_healthy = in->was_healthy = true;
    in->health_override = HEALTH_SET_OK;
    atomic_store(&rig.rt.last_session_id, ++last);
}

static void run_old(int sock)
{
    struct handover_channel c;
    rig_begin(&rig);
    copy_out(&fresh);
    fill_all();
    copy_out(&old);
    ck_assert_int_eq(handover_channel_init(&c, sock, "the new program"), 0);
    ck_assert_msg(handover_state_send(&c, &rig.rt) == 0, "%s", c.error);
    handover_channel_fini(&c);
    rig_end(&rig);
}

static void run_new(int sock)
{
    struct handover_channel c;
    struct config *conf = rig_begin_empty(&rig);
    struct handover_state state = {
        .rt = &rig.rt, .channel = &c, .file_config = conf, .errors = stderr
    };
    ck_assert_int_eq(handover_channel_init(&c, sock, "the old program"), 0);
    while (handover_channel_receive(&c) == 0)
        ck_assert_msg(handover_state_receive(&state) == 0, "%s", c.error);
    ck_assert_msg(handover_state_finish(&state) == 0, "%s", c.error);
    copy_out(&new);
    handover_state_fini(&state);
    handover_channel_fini(&c);
    config_free(conf);
    ck_assert_int_eq(workers_start(&rig.rt.workers), 0);
    rig_end(&rig);
}

static void hand_over(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    run_old(pair[0]);
    close(pair[0]);
    run_new(pair[1]);
    close(pair[1]);
}

#define SAME(type, name, kind)                                                   \
    ck_assert_msg(fresh.OBJECT.name != old.OBJECT.name, #name " is not tested"); \
    ck_assert_msg(old.OBJECT.name == new.OBJECT.name, #name " is lost");

START_TEST(every_value_of_the_tables_survives)
{
    hand_over();
#define OBJECT server
    HANDOVER_SERVER_STATE(SAME)
    HANDOVER_SERVER_LIMITS(SAME)
#undef OBJECT
    ck_assert(old.paused && new.paused);
    ck_assert_uint_eq(new.last_usable, old.last_usable);
#define OBJECT result
    HANDOVER_HEALTH_VALUES(SAME)
#undef OBJECT
#define OBJECT listener
    HANDOVER_LISTENER_VALUES(SAME)
#undef OBJECT
#define OBJECT rt
    HANDOVER_PROCESS_COUNTERS(SAME)
    SAME(uint64_t, last_session_id, HANDOVER_VALUE_ANY)
#undef OBJECT
    ck_assert(!new.result.up);
    ck_assert_str_eq(new.result.why, old.result.why);
}
END_TEST

START_TEST(no_counter_is_missing_in_the_tables)
{
    hand_over();
    check_same(COUNTERS_OF_SERVER(&old.server), COUNTERS_OF_SERVER(&new.server));
    check_same(FIRST_TO(&old.result, streak, why), FIRST_TO(&new.result, streak, why));
    check_same(LISTENER_COUNTERS(&old.listener), LISTENER_COUNTERS(&new.listener));
    check_same(END_COUNTERS(&old.ended), END_COUNTERS(&new.ended));
    check_same(TOTALS(&old.rt.workers.retired), TOTALS(&new.rt.workers.retired));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("handover_state");
    TCase *t = tcase_create("handover_state");
    tcase_add_test(t, every_value_of_the_tables_survives);
    tcase_add_test(t, no_counter_is_missing_in_the_tables);
    suite_add_tcase(s, t);
    return suite_main(s);
}
