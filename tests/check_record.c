#include "session/record.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool_rig.h"
#include "starve.h"

/* One worker's sessions, without the worker. */
struct side_of_it {
    uv_loop_t loop;
    uv_async_t awake;
    struct poller poller;
    struct sessions all;
};

static struct pool_rig rig;
static struct gate gate;
static struct entrance_list entrances;
static struct service service;
static struct pipe_quota quota;
static _Atomic uint64_t last_id;
static struct side_of_it old;
static struct side_of_it new;
static int listener = -1;
static int client = -1; /* the far ends */
static int server = -1;
static size_t open_at_begin;

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

static void on_ended(struct sessions *all, void *arg)
{
    (void)all;
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

static void open_side(struct side_of_it *o)
{
    memset(o, 0, sizeof *o);
    ck_assert_int_eq(uv_loop_init(&o->loop), 0);
    ck_assert_int_eq(uv_async_init(&o->loop, &o->awake, NULL), 0);
    ck_assert_int_eq(poller_init(&o->poller, &o->loop, VIGIL_NEVER, 0), 0);
    ck_assert_int_eq(mover_init(&o->all.mover, true, &quota, 64 * 1024), 0);
    sessions_init(&o->all, &o->poller, &last_id, on_ended, NULL, on_wake_inbox);
}

static void close_side(struct side_of_it *o)
{
    sessions_fini(&o->all);
    mover_fini(&o->all.mover);
    poller_fini(&o->poller);
    uv_close((uv_handle_t *)&o->awake, NULL);
    uv_run(&o->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&o->loop), 0);
}

static int listen_somewhere(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static void begin(void)
{
    struct sockaddr_in at;
    char lines[64];
    uv_loop_t first; /* libuv keeps two descriptors from the first loop on */
    ck_assert_int_eq(uv_loop_init(&first), 0);
    ck_assert_int_eq(uv_loop_close(&first), 0);
    open_at_begin = open_descriptors();
    listener = listen_somewhere(&at);
    snprintf(lines, sizeof lines, "server = 127.0.0.1:%u\n", ntohs(at.sin_port));
    pool_rig_open(&rig, lines);
    LIST_INIT(&entrances);
    gate_init(&gate, 0, on_wake, NULL);
    struct entrance *e = entrance_get(&entrances, "l", on_wake, NULL);
    ck_assert_int_eq(service_init(&service, &rig.conf[0]->listen[0], &gate, e, find, NULL), 0);
    quota.left = 64;
    open_side(&old);
    open_side(&new);
}

static void end(void)
{
    close_side(&old);
    close_side(&new);
    ck_assert_uint_eq(gate_inside(&gate), 0);
    ck_assert(service_is_idle(&service));
    service_fini(&service);
    pool_rig_close(&rig);
    close(listener);
    if (client != -1)
        close(client);
    if (server != -1)
        close(server);
    client = server = -1;
    ck_assert_int_eq(quota.left, 64);
    ck_assert_uint_eq(open_descriptors(), open_at_begin);
}

/* Runs wake-ups until what is asked for has come about, but so many at most. */
#define RUN_UNTIL(o, condition)                       \
    do {                                              \
        bool met = (condition);                       \
        for (int i = 0; i < 20000 && !met; i++) {     \
            turn(o);                                  \
            met = (condition);                        \
        }                                             \
        ck_assert_msg(met, "not so: %s", #condition); \
    } while (0)

static void turn(struct side_of_it *o)
{
    uv_async_send(&o->awake); /* or it would wait for events that a test has not brought about */
    sessions_run(&o->all, UINT64_MAX);
}

static struct session *only(struct side_of_it *o)
{
    return LIST_FIRST(&o->all.all);
}

static bool is_relaying(struct side_of_it *o)
{
    return only(o) != NULL && only(o)->state == SESSION_RELAYING;
}

/* A session of the old one, which relays. */
static void begin_session(void)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    struct addr_peer peer;
    int front = listen_somewhere(&at);
    client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    int fd = accept4(front, (struct sockaddr *)&at, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(front);
    addr_peer_set(&peer, (struct sockaddr *)&at, len);
    ck_assert(service_enter(&service));
    session_begin(&old.all, &service, fd, &peer);
    RUN_UNTIL(&old, is_relaying(&old));
    server = accept(listener, NULL, NULL);
    ck_assert_int_ge(server, 0);
}

/* As the kernel does it on the way to another process. */
static void duplicate(int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            ck_assert_int_ge(fd[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, 0), 0);
}

static struct session *begin_copy(const struct session *s)
{
    struct session_terms t;
    int fd[RECORD_TERMS_FDS];
    record_terms(s, &t, fd);
    duplicate(fd, RECORD_TERMS_FDS);
    struct backend *b = pool_adopt(rig.pool, &t.server, t.server_name);
    ck_assert_ptr_nonnull(b);
    service_force(&service);
    return record_begin(&new.all, &service, rig.pool, b, &t, fd);
}

static int resume_copy(struct session *copy, const struct session *s)
{
    struct session_moment m;
    int fd[RECORD_MOMENT_FDS];
    record_moment(s, &m, fd);
    duplicate(fd, RECORD_MOMENT_FDS);
    return record_resume(copy, &m, fd);
}

/* The session leaves the old one, as if that had ended without touching it. */
static void hand_over(void)
{
    struct session *s = only(&old);
    ck_assert(record_is_settled(s));
    struct session *copy = begin_copy(s);
    ck_assert_ptr_nonnull(copy);
    ck_assert_int_eq(resume_copy(copy, s), 0);
    ck_assert_uint_eq(copy->id, s->id);
    ck_assert_uint_eq(copy->began, s->began);
    ck_assert_uint_eq(copy->up.bytes, s->up.bytes);
    s->staged = true;
    session_forget(s);
    ck_assert_uint_eq(gauge_get(&old.all.count), 0);
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static bool hears(int fd, const char *text)
{
    char got[64];
    ssize_t n = recv(fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT);
    if (n < (ssize_t)strlen(text) || memcmp(got, text, strlen(text)) != 0)
        return false;
    return recv(fd, got, strlen(text), 0) == (ssize_t)strlen(text);
}

static bool hears_end(int fd)
{
    char got;
    return recv(fd, &got, 1, MSG_DONTWAIT) == 0;
}

static void finish(struct side_of_it *o)
{
    shutdown(client, SHUT_WR);
    shutdown(server, SHUT_WR);
    RUN_UNTIL(o, gauge_get(&o->all.count) == 0);
    ck_assert(hears_end(client) && hears_end(server));
}

START_TEST(a_session_goes_on_elsewhere)
{
    begin_session();
    say(client, "before");
    RUN_UNTIL(&old, hears(server, "before"));
    hand_over();
    say(client, "question");
    RUN_UNTIL(&new, hears(server, "question"));
    say(server, "answer");
    RUN_UNTIL(&new, hears(client, "answer"));
    ck_assert_uint_eq(only(&new)->up.bytes, strlen("beforequestion"));
    ck_assert_uint_eq(only(&new)->down.bytes, strlen("answer"));
    finish(&new);
}
END_TEST

START_TEST(bytes_that_came_meanwhile_are_found)
{
    begin_session();
    hand_over();
    ck_assert_ptr_nonnull(only(&new));
    say(client, "there already"); /* nobody is told before the first wake-up */
    RUN_UNTIL(&new, hears(server, "there already"));
    finish(&new);
}
END_TEST

/* The client ends: how many bytes come to the server, each as it should be at its place. */
static size_t count_at_server(void)
{
    static char block[16384];
    size_t got = 0;
    shutdown(client, SHUT_WR);
    fcntl(server, F_SETFL, O_NONBLOCK);
    for (ssize_t n = 1; n != 0;) {
        turn(&new);
        while ((n = recv(server, block, sizeof block, 0)) > 0)
            for (ssize_t i = 0; i < n; i++, got++)
                assert_quietly((unsigned char)block[i] == got % 251);
    }
    return got;
}

/* Everything between the two is full, and a pipe holds bytes: they arrive in their order. */
START_TEST(bytes_in_a_pipe_come_along)
{
    static char block[16384];
    size_t sent = 0;
    begin_session();
    fcntl(client, F_SETFL, O_NONBLOCK);
    while (only(&old)->up.pipe == NULL) {
        for (size_t i = 0; i < sizeof block; i++)
            block[i] = (char)((sent + i) % 251);
        ssize_t n = send(client, block, sizeof block, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        turn(&old);
    }
    ck_assert_uint_gt(only(&old)->up.pipe->held, 0);
    hand_over();
    ck_assert_uint_gt(only(&new)->up.pipe->held, 0);
    ck_assert_uint_eq(count_at_server(), sent);
    finish(&new);
}
END_TEST

START_TEST(a_half_closed_session_goes_on_in_its_other_half)
{
    begin_session();
    shutdown(client, SHUT_WR);
    RUN_UNTIL(&old, hears_end(server));
    hand_over();
    say(server, "the rest");
    RUN_UNTIL(&new, hears(client, "the rest"));
    ck_assert_uint_eq(only(&new)->first_fin, SESSION_END_CLIENT_FIN);
    finish(&new);
}
END_TEST

START_TEST(one_that_is_dropped_leaves_no_trace)
{
    begin_session();
    struct session *copy = begin_copy(only(&old));
    ck_assert_ptr_nonnull(copy);
    record_drop(copy);
    ck_assert_uint_eq(gauge_get(&new.all.count), 0);
    say(client, "still here");
    RUN_UNTIL(&old, hears(server, "still here"));
    finish(&old);
}
END_TEST

/* The peers hear of the end at once, though the other one has the sockets open. */
START_TEST(one_that_ends_while_it_is_staged_is_ended_for_its_peers)
{
    begin_session();
    struct session *copy = begin_copy(only(&old));
    only(&old)->staged = true;
    finish(&old);
    record_drop(copy);
}
END_TEST

/* Whatever the old program's pipes held, the new one's buffer takes it. */
START_TEST(a_pipe_larger_than_the_buffer_is_copied_whole)
{
    static char big[1024 * 1024];
    int ends[2];
    struct session_moment m;
    int fd[RECORD_MOMENT_FDS];
    begin_session();
    struct session *copy = begin_copy(only(&old));
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETPIPE_SZ, (int)sizeof big), (int)sizeof big);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i % 251);
    ck_assert_int_eq(write(ends[1], big, sizeof big), (ssize_t)sizeof big);
    record_moment(only(&old), &m, fd);
    m.up.state = FLOW_DRAIN;
    m.up.held = sizeof big;
    m.up.copy = 1; /* the kernel refused to splice */
    fd[RECORD_UP_OUT] = ends[0];
    fd[RECORD_UP_IN] = ends[1];
    ck_assert_ptr_null(record_check_moment(copy, &m, fd, only(&old)->active));
    ck_assert_int_eq(record_resume(copy, &m, fd), 0);
    only(&old)->staged = true;
    session_forget(only(&old));
    ck_assert_uint_eq(count_at_server(), sizeof big);
    finish(&new);
}
END_TEST

/* What a damaged message may say of a session, one thing at a time. */
static const char *spoilt_terms(int how, const struct session *s, int none)
{
    struct session_terms t;
    int fd[RECORD_TERMS_FDS];
    record_terms(s, &t, fd);
    switch (how) {
    case 0:
        t.id = 0;
        break;
    case 1:
        t.has_server = 2;
        break;
    case 2:
        t.began = UINT64_MAX;
        break;
    case 3:
        memset(t.pool, 'x', sizeof t.pool);
        break;
    case 4:
        memset(t.server_name, 'x', sizeof t.server_name);
        break;
    case 5:
        t.server.len = sizeof t.server;
        break;
    case 6:
        t.server.sa.sa_family = 77;
        break;
    case 7:
        memset(&t.server.dual, 0x7f, sizeof t.server.dual);
        break;
    case 8:
        t.client.sa.sa_family = 77;
        break;
    case 9:
        fd[RECORD_CLIENT] = -1;
        break;
    case 10:
        fd[RECORD_CLIENT] = none;
        break;
    case 11:
        fd[RECORD_SERVER] = none;
        break;
    case 12:
        t.has_server = 0;
        break;
    case 13:
        t.has_file = 1;
        break;
    case 14:
        fd[RECORD_FILE] = none;
        break;
    case 15:
        t.has_file = 1;
        t.file_length = -1;
        fd[RECORD_FILE] = none;
        break;
    case 16:
        t.admitted = 0xff;
        break;
    case 17:
        t.has_learned = 1;
        t.destination.sa.sa_family = 77;
        break;
    case 18:
        fd[RECORD_CLIENT] = listener;
        break;
    default:
        return NULL;
    }
    const char *why = record_check_terms(&t, fd, s->began);
    ck_assert_msg(why != NULL, "terms spoilt in way %d", how);
    return why;
}

static const char *spoilt_moment(int how, const struct session *s, int none)
{
    struct session_moment m;
    int fd[RECORD_MOMENT_FDS];
    record_moment(s, &m, fd);
    switch (how) {
    case 0:
        m.state = SESSION_ENDED;
        break;
    case 1:
        m.state = 0xff;
        break;
    case 2:
        m.state = SESSION_ANSWERING;
        break;
    case 3:
        m.state = SESSION_WAITING;
        break;
    case 4:
        m.up.state = FLOW_DONE + 1;
        break;
    case 5:
        m.down.state = FLOW_DRAIN; /* without a pipe */
        break;
    case 6:
        m.up.held = 1;
        break;
    case 7:
        m.up.held = UINT32_MAX;
        m.up.state = FLOW_DRAIN;
        fd[RECORD_UP_OUT] = none;
        break;
    case 8:
        fd[RECORD_DOWN_OUT] = fd[RECORD_DOWN_IN] = none;
        break;
    case 9:
        m.up.copy = 2;
        break;
    case 10:
        m.down_ended = 9;
        break;
    case 11:
        m.first_fin = SESSION_END_IDLE_TIMEOUT;
        break;
    case 12:
        m.failure = SESSION_ENDS;
        break;
    case 13:
        m.active = UINT64_MAX;
        break;
    case 14:
        m.connected = UINT64_MAX / 2;
        break;
    default:
        return NULL;
    }
    const char *why = record_check_moment(s, &m, fd, s->active);
    ck_assert_msg(why != NULL, "moment spoilt in way %d", how);
    return why;
}

START_TEST(a_session_that_cannot_be_is_refused)
{
    struct session_terms t;
    struct session_moment m;
    int fd[RECORD_TERMS_FDS + RECORD_MOMENT_FDS];
    begin_session();
    const struct session *s = only(&old);
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    record_terms(s, &t, fd);
    record_moment(s, &m, fd + RECORD_TERMS_FDS);
    ck_assert_ptr_null(record_check_terms(&t, fd, s->began));
    ck_assert_ptr_null(record_check_moment(s, &m, fd + RECORD_TERMS_FDS, s->active));
    for (int how = 0; spoilt_terms(how, s, none) != NULL;)
        how++;
    for (int how = 0; spoilt_moment(how, s, none) != NULL;)
        how++;
    close(none);
    finish(&old);
}
END_TEST

START_TEST(without_memory_nothing_is_left_behind)
{
    begin_session();
    struct session *copy = NULL;
    for (int memory = 0; copy == NULL; memory++) {
        struct session_terms t;
        int fd[RECORD_TERMS_FDS];
        record_terms(only(&old), &t, fd);
        duplicate(fd, RECORD_TERMS_FDS);
        struct backend *b = pool_adopt(rig.pool, &t.server, t.server_name);
        service_force(&service);
        starve_after(memory);
        copy = record_begin(&new.all, &service, rig.pool, b, &t, fd);
        starve_after(-1);
        if (copy == NULL && memory == 0) { /* not even a session: its places are the caller's */
            service_retreat(&service);
            backend_release(b);
        }
        ck_assert_uint_eq(gauge_get(&new.all.count), copy != NULL);
    }
    record_drop(copy);
    finish(&old);
}
END_TEST

static void add(TCase *t)
{
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_session_goes_on_elsewhere);
    tcase_add_test(t, bytes_that_came_meanwhile_are_found);
    if (mover_can_splice()) /* else there are never any */
        tcase_add_test(t, bytes_in_a_pipe_come_along);
    tcase_add_test(t, a_pipe_larger_than_the_buffer_is_copied_whole);
    tcase_add_test(t, a_session_that_cannot_be_is_refused);
    tcase_add_test(t, a_half_closed_session_goes_on_in_its_other_half);
    tcase_add_test(t, one_that_is_dropped_leaves_no_trace);
    tcase_add_test(t, one_that_ends_while_it_is_staged_is_ended_for_its_peers);
    tcase_add_test(t, without_memory_nothing_is_left_behind);
}

int main(void)
{
    return ini_rig_main("record", add);
}
