#include "session/session_record.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool_rig.h"
#include "session/session_close.h"
#include "session/session_record_tls.h"
#include "starve.h"
#include "tls/tls_side.h"

/* One worker's sessions, without the worker. */
struct worker_rig {
    uv_loop_t loop;
    struct event_set set;
    struct sessions all;
};

static struct pool_rig rig;
static struct conn_limit conn_limit;
static struct listener_state_list listener_states;
static struct frontend frontend;
static struct pipe_quota quota;
static _Atomic uint64_t last_id;
static struct worker_rig old;
static struct worker_rig new;
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

static void open_worker_rig(struct worker_rig *o)
{
    memset(o, 0, sizeof *o);
    ck_assert_int_eq(uv_loop_init(&o->loop), 0);
    ck_assert_int_eq(event_set_init(&o->set, &o->loop, BUSY_POLL_NEVER, 0), 0);
    ck_assert_int_eq(relay_stock_init(&o->all.relay_stock, true, &quota, 64 * 1024), 0);
    sessions_init(&o->all, &o->set, &last_id, on_ended, NULL, on_wake_inbox);
}

static void close_worker_rig(struct worker_rig *o)
{
    sessions_fini(&o->all);
    relay_stock_fini(&o->all.relay_stock);
    event_set_fini(&o->set);
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
    LIST_INIT(&listener_states);
    conn_limit_init(&conn_limit, 0, on_wake, NULL);
    struct listener_state *e = listener_state_get(&listener_states, "l", on_wake, NULL);
    ck_assert_int_eq(frontend_init(&frontend, &rig.conf[0]->listen[0], &conn_limit, e, find, NULL),
                     0);
    quota.left = 64;
    open_worker_rig(&old);
    open_worker_rig(&new);
}

static void end(void)
{
    close_worker_rig(&old);
    close_worker_rig(&new);
    ck_assert_uint_eq(conn_limit_used(&conn_limit), 0);
    ck_assert(frontend_is_idle(&frontend));
    frontend_fini(&frontend);
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

static void turn(struct worker_rig *o)
{
    uv_update_time(&o->loop);
    event_set_sleep(&o->set, UINT64_MAX);
    event_set_wake(&o->set);
    event_set_dispatch(&o->set, event_set_look(&o->set));
    sessions_process(&o->all);
}

static struct session *only(struct worker_rig *o)
{
    return LIST_FIRST(&o->all.all);
}

static bool is_relaying(struct worker_rig *o)
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
    ck_assert(frontend_acquire_slot(&frontend));
    session_begin(&old.all, &frontend, fd, &peer);
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
    struct session_setup t;
    int fd[SESSION_RECORD_SETUP_FDS];
    session_record_setup(s, &t, fd);
    duplicate(fd, SESSION_RECORD_SETUP_FDS);
    struct server *srv = pool_adopt(rig.pool, &t.server, t.server_name);
    ck_assert_ptr_nonnull(srv);
    frontend_force_slot(&frontend);
    return session_record_restore(&new.all, &frontend, rig.pool, srv, &t, fd);
}

static int resume_copy(struct session *copy, const struct session *s)
{
    struct session_progress m;
    int fd[SESSION_RECORD_PROGRESS_FDS];
    session_record_progress(s, &m, fd);
    duplicate(fd, SESSION_RECORD_PROGRESS_FDS);
    return session_record_resume(copy, &m, fd);
}

/* The session leaves the old one, as if that had ended without touching it. */
static void move_session(void)
{
    struct session *s = only(&old);
    ck_assert(session_record_is_final(s));
    struct session *copy = begin_copy(s);
    ck_assert_ptr_nonnull(copy);
    ck_assert_int_eq(resume_copy(copy, s), 0);
    ck_assert_uint_eq(copy->id, s->id);
    ck_assert_uint_eq(copy->began, s->began);
    ck_assert_uint_eq(copy->up.bytes, s->up.bytes);
    s->staged = true;
    session_discard(s);
    ck_assert_uint_eq(gauge_get(&old.all.count), 0);
}

static void send_text(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static bool receives(int fd, const char *text)
{
    char got[64];
    ssize_t n = recv(fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT);
    if (n < (ssize_t)strlen(text) || memcmp(got, text, strlen(text)) != 0)
        return false;
    return recv(fd, got, strlen(text), 0) == (ssize_t)strlen(text);
}

static bool receives_end(int fd)
{
    char got;
    return recv(fd, &got, 1, MSG_DONTWAIT) == 0;
}

static void finish(struct worker_rig *o)
{
    shutdown(client, SHUT_WR);
    shutdown(server, SHUT_WR);
    RUN_UNTIL(o, gauge_get(&o->all.count) == 0);
    ck_assert(receives_end(client) && receives_end(server));
}

START_TEST(a_session_goes_on_elsewhere)
{
    begin_session();
    send_text(client, "before");
    RUN_UNTIL(&old, receives(server, "before"));
    move_session();
    send_text(client, "question");
    RUN_UNTIL(&new, receives(server, "question"));
    send_text(server, "answer");
    RUN_UNTIL(&new, receives(client, "answer"));
    ck_assert_uint_eq(only(&new)->up.bytes, strlen("beforequestion"));
    ck_assert_uint_eq(only(&new)->down.bytes, strlen("answer"));
    finish(&new);
}
END_TEST

START_TEST(bytes_that_came_meanwhile_are_found)
{
    begin_session();
    move_session();
    ck_assert_ptr_nonnull(only(&new));
    send_text(client, "there already"); /* no event before the first wake-up */
    RUN_UNTIL(&new, receives(server, "there already"));
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
START_TEST(bytes_in_a_pipe_are_handed_over)
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
    move_session();
    ck_assert_uint_gt(only(&new)->up.pipe->held, 0);
    ck_assert_uint_eq(count_at_server(), sent);
    finish(&new);
}
END_TEST

START_TEST(a_half_closed_session_goes_on_in_its_other_half)
{
    begin_session();
    shutdown(client, SHUT_WR);
    RUN_UNTIL(&old, receives_end(server));
    move_session();
    send_text(server, "the rest");
    RUN_UNTIL(&new, receives(client, "the rest"));
    ck_assert_uint_eq(only(&new)->first_fin, SESSION_END_CLIENT_FIN);
    finish(&new);
}
END_TEST

START_TEST(one_that_is_dropped_leaves_no_trace)
{
    begin_session();
    struct session *copy = begin_copy(only(&old));
    ck_assert_ptr_nonnull(copy);
    session_record_discard(copy);
    ck_assert_uint_eq(gauge_get(&new.all.count), 0);
    send_text(client, "still here");
    RUN_UNTIL(&old, receives(server, "still here"));
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
    session_record_discard(copy);
}
END_TEST

/* Its client gets the alert, and FIN behind it, though another process has the socket. */
START_TEST(a_failed_handshake_ends_without_a_reset_while_it_is_staged)
{
    begin_session();
    struct session *copy = begin_copy(only(&old));
    only(&old)->staged = true;
    send_text(client, "which is not read");
    session_close(only(&old), SESSION_END_TLS_FAILED);
    RUN_UNTIL(&old, gauge_get(&old.all.count) == 0);
    ck_assert(receives_end(client));
    session_record_discard(copy);
}
END_TEST

/* Whatever the old program's pipes held, the new one's buffer takes it. */
START_TEST(a_pipe_larger_than_the_buffer_is_copied_whole)
{
    static char big[1024 * 1024];
    int ends[2];
    struct session_progress m;
    int fd[SESSION_RECORD_PROGRESS_FDS];
    begin_session();
    struct session *copy = begin_copy(only(&old));
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETPIPE_SZ, (int)sizeof big), (int)sizeof big);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i % 251);
    ck_assert_int_eq(write(ends[1], big, sizeof big), (ssize_t)sizeof big);
    session_record_progress(only(&old), &m, fd);
    m.up.state = FLOW_DRAIN;
    m.up.held = sizeof big;
    m.up.copy = 1; /* the kernel refused to splice */
    fd[SESSION_RECORD_UP_OUT] = ends[0];
    fd[SESSION_RECORD_UP_IN] = ends[1];
    ck_assert_ptr_null(session_record_check_progress(copy, &m, fd, only(&old)->active));
    ck_assert_int_eq(session_record_resume(copy, &m, fd), 0);
    only(&old)->staged = true;
    session_discard(only(&old));
    ck_assert_uint_eq(count_at_server(), sizeof big);
    finish(&new);
}
END_TEST

/* What a damaged message may say of a session, one thing at a time. */
static const char *corrupt_setup(int how, const struct session *s, int none)
{
    struct session_setup t;
    int fd[SESSION_RECORD_SETUP_FDS];
    session_record_setup(s, &t, fd);
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
        memset(&t.server.dual_stack, 0x7f, sizeof t.server.dual_stack);
        break;
    case 8:
        t.client.sa.sa_family = 77;
        break;
    case 9:
        fd[SESSION_RECORD_CLIENT] = -1;
        break;
    case 10:
        fd[SESSION_RECORD_CLIENT] = none;
        break;
    case 11:
        fd[SESSION_RECORD_SERVER] = none;
        break;
    case 12:
        t.has_server = 0;
        break;
    case 13:
        t.has_file = 1;
        break;
    case 14:
        fd[SESSION_RECORD_FILE] = none;
        break;
    case 15:
        t.has_file = 1;
        t.file_length = -1;
        fd[SESSION_RECORD_FILE] = none;
        break;
    case 16:
        t.admitted = 0xff;
        break;
    case 17:
        t.has_proxy_info = 1;
        t.destination.sa.sa_family = 77;
        break;
    case 18:
        fd[SESSION_RECORD_CLIENT] = listener;
        break;
    default:
        return NULL;
    }
    const char *why = session_record_check_setup(&t, fd, s->began);
    ck_assert_msg(why != NULL, "terms spoilt in way %d", how);
    return why;
}

static const char *corrupt_progress(int how, const struct session *s, int none)
{
    struct session_progress m;
    int fd[SESSION_RECORD_PROGRESS_FDS];
    session_record_progress(s, &m, fd);
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
        m.up.state = FLOW_CLOSE + 1;
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
        fd[SESSION_RECORD_UP_OUT] = none;
        break;
    case 8:
        fd[SESSION_RECORD_DOWN_OUT] = fd[SESSION_RECORD_DOWN_IN] = none;
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
    case 15:
        m.down.state = FLOW_CLOSE; /* without TLS */
        break;
    case 16:
        m.tls_sides = SESSION_RECORD_TLS_CLIENT; /* of a listener without TLS */
        break;
    case 17:
        m.tls_sides = 0x80;
        break;
    case 18:
        m.down.cut = 7;
        break;
    default:
        return NULL;
    }
    const char *why = session_record_check_progress(s, &m, fd, s->active);
    ck_assert_msg(why != NULL, "moment spoilt in way %d", how);
    return why;
}

START_TEST(a_session_that_cannot_be_is_refused)
{
    struct session_setup t;
    struct session_progress m;
    int fd[SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS];
    begin_session();
    const struct session *s = only(&old);
    int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    session_record_setup(s, &t, fd);
    session_record_progress(s, &m, fd + SESSION_RECORD_SETUP_FDS);
    ck_assert_ptr_null(session_record_check_setup(&t, fd, s->began));
    ck_assert_ptr_null(
        session_record_check_progress(s, &m, fd + SESSION_RECORD_SETUP_FDS, s->active));
    for (int how = 0; corrupt_setup(how, s, none) != NULL;)
        how++;
    for (int how = 0; corrupt_progress(how, s, none) != NULL;)
        how++;
    close(none);
    finish(&old);
}
END_TEST

static struct session_tls tls_of(const struct session *s)
{
    struct session_tls t;
    memset(&t, 0, sizeof t);
    t.id = s->id;
    t.side = SESSION_RECORD_TLS_CLIENT;
    t.kernel = (struct tls_kernel){ .server = true, .version = TLS_1_3 };
    strcpy(t.cipher, "TLS_AES_128_GCM_SHA256");
    return t;
}

static bool corrupt_tls(int how, struct session_tls *t)
{
    static const unsigned char no_bool = 2;
    switch (how) {
    case 0:
        t->side = 0;
        break;
    case 1:
        t->side = SESSION_RECORD_TLS_CLIENT | SESSION_RECORD_TLS_SERVER;
        break;
    case 2:
        t->resumed = 2;
        break;
    case 3:
        t->has_peer = 0xff;
        break;
    case 4:
        t->kernel.version = 0x0302;
        break;
    case 5:
        t->kernel.cipher = TLS_CIPHERS;
        break;
    case 6:
        t->kernel.server = false;
        break;
    case 7:
        memcpy(&t->kernel.close_sent, &no_bool, 1);
        break;
    case 8:
        t->kernel.secret[TLS_SEND].length = 32; /* in one direction alone */
        break;
    case 9:
        t->cipher[0] = '\0';
        break;
    case 10:
        memset(t->cipher, 'x', sizeof t->cipher);
        break;
    case 11:
        memset(t->peer, 'x', sizeof t->peer);
        break;
    default:
        return false;
    }
    return true;
}

/* The last check is whether the socket has TLS, which this one has not. */
START_TEST(tls_that_cannot_be_is_refused)
{
    static const char no_socket[] = "its socket has no TLS in the kernel";
    begin_session();
    const struct session *s = only(&old);
    struct session_tls t = tls_of(s);
    ck_assert_str_eq(session_record_check_tls(s, &t), no_socket);
    for (int how = 0; corrupt_tls(how, &t); how++) {
        const char *why = session_record_check_tls(s, &t);
        ck_assert_msg(why != NULL && strcmp(why, no_socket) != 0, "spoilt in way %d", how);
        t = tls_of(s);
    }
    finish(&old);
}
END_TEST

/* It may be sent to the server: cut, it would be another name. */
START_TEST(the_longest_name_of_a_peer_is_handed_over)
{
    char name[TLS_STREAM_NAME_MAX];
    struct session_tls t;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    begin_session();
    struct session *copy = begin_copy(only(&old));
    t = tls_of(only(&old));
    only(&old)->client.tls = tls_side_restore(&t.kernel, t.cipher, name);
    session_record_tls(only(&old), SESSION_RECORD_TLS_CLIENT, &t);
    ck_assert_int_eq(session_record_set_tls(copy, &t), 0);
    ck_assert_str_eq(copy->client.tls->peer, name);
    session_record_discard(copy);
    tls_side_free(only(&old)->client.tls);
    only(&old)->client.tls = NULL;
    finish(&old);
}
END_TEST

START_TEST(without_memory_nothing_is_left_behind)
{
    begin_session();
    struct session *copy = NULL;
    for (int memory = 0; copy == NULL; memory++) {
        struct session_setup t;
        int fd[SESSION_RECORD_SETUP_FDS];
        session_record_setup(only(&old), &t, fd);
        duplicate(fd, SESSION_RECORD_SETUP_FDS);
        struct server *srv = pool_adopt(rig.pool, &t.server, t.server_name);
        frontend_force_slot(&frontend);
        starve_after(memory);
        copy = session_record_restore(&new.all, &frontend, rig.pool, srv, &t, fd);
        starve_after(-1);
        if (copy == NULL && memory == 0) { /* not even a session: its places are the caller's */
            frontend_release_slot(&frontend);
            server_release(srv);
        }
        ck_assert_uint_eq(gauge_get(&new.all.count), copy != NULL);
    }
    session_record_discard(copy);
    finish(&old);
}
END_TEST

static void add(TCase *t)
{
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_session_goes_on_elsewhere);
    tcase_add_test(t, bytes_that_came_meanwhile_are_found);
    if (relay_stock_can_splice()) /* else there are never any */
        tcase_add_test(t, bytes_in_a_pipe_are_handed_over);
    tcase_add_test(t, a_pipe_larger_than_the_buffer_is_copied_whole);
    tcase_add_test(t, a_session_that_cannot_be_is_refused);
    tcase_add_test(t, tls_that_cannot_be_is_refused);
    tcase_add_test(t, the_longest_name_of_a_peer_is_handed_over);
    tcase_add_test(t, a_half_closed_session_goes_on_in_its_other_half);
    tcase_add_test(t, one_that_is_dropped_leaves_no_trace);
    tcase_add_test(t, one_that_ends_while_it_is_staged_is_ended_for_its_peers);
    tcase_add_test(t, a_failed_handshake_ends_without_a_reset_while_it_is_staged);
    tcase_add_test(t, without_memory_nothing_is_left_behind);
}

int main(void)
{
    return config_rig_main("record", add);
}
