#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "handover/handover_channel.h"
#include "handover/handover_messages.h"
#include "handover/handover_receive.h"
#include "rig.h"

const char fuzz_name[] = "handover";

/* An input describes messages of a handover. Each is first made as the old program would send it
 * and is then edited:
 *
 *     one byte each: its type, the number of items, the number of edits
 *     four bytes for each edit: its kind (enum edit_kind), its place (two bytes), a value
 *
 * So inputs are short, and keep their meaning when a structure changes. */
#define MESSAGES_MAX 24
#define TYPES        24 /* more than exist */
#define ITEMS_MAX    8
#define EDITS_MAX    16
#define HELD_BYTES   5 /* in the pipe */
#define NOW_MS       (handover_channel_now_us() / 1000)

enum edit_kind {
    EDIT_BYTE,       /* set to the value */
    EDIT_NUMBER,     /* eight bytes, set to one of `numbers` */
    EDIT_FILL,       /* all from there on, set to the value */
    EDIT_ZERO,       /* eight bytes */
    EDIT_SIZE,       /* shortened by the value, as its header says */
    EDIT_COUNT,      /* items in the header, set to the value */
    EDIT_HEAD,       /* a byte of the header, set to the value */
    EDIT_DESCRIPTOR, /* replaced by another one */
    EDIT_DROP,       /* the last descriptors, as the header says */
    EDIT_KINDS,
};

static const uint64_t numbers[] = {
    1,
    2,
    3,
    9,
    64,
    65,
    255,
    256,
    257,
    0x7fffffff,
    1u << 31,
    ~UINT64_C(0) >> 32,
    UINT64_C(1) << 32,
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT64_MAX,
};
#define NUMBERS (sizeof numbers / sizeof *numbers)

/* As in handover_message.c. */
struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t count;
    uint32_t size;
    uint32_t fds;
};

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static unsigned next(struct input *in)
{
    return in->at == in->end ? 0 : *in->at++;
}

/* ---- valid items ---- */

struct old {
    int sock;      /* to the new process */
    int front;     /* a listening socket */
    int admin;     /* another one */
    int config;    /* a file with the configuration */
    int server[2]; /* connected sockets; the first of each pair is handed over */
    int client[2];
    int pipe[2]; /* with HELD_BYTES bytes */
    int null;
    struct addr front_at;
    struct addr admin_at;
    uint64_t id; /* of the last session */
};

static void listen_at(int *fd, struct addr *at, const char *name)
{
    char cwd[4096];
    char text[4200];
    const char *why = NULL;
    FUZZ_REQUIRE(getcwd(cwd, sizeof cwd) != NULL);
    snprintf(text, sizeof text, "unix:%s/%s", cwd, name);
    FUZZ_REQUIRE(addr_parse(at, text, &why) == 0);
    (void)unlink(name);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_REQUIRE(*fd != -1 && bind(*fd, &at->sa, at->len) == 0 && listen(*fd, 5) == 0);
}

static void old_open(struct old *o, int sock)
{
    const int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    memset(o, 0, sizeof *o);
    o->sock = sock;
    listen_at(&o->front, &o->front_at, "front.sock");
    listen_at(&o->admin, &o->admin_at, "admin.sock");
    o->config = open("first.ini", O_RDONLY | O_CLOEXEC);
    o->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    FUZZ_REQUIRE(o->config != -1 && o->null != -1);
    FUZZ_REQUIRE(socketpair(AF_UNIX, kind, 0, o->server) == 0);
    FUZZ_REQUIRE(socketpair(AF_UNIX, kind, 0, o->client) == 0);
    FUZZ_REQUIRE(pipe2(o->pipe, O_NONBLOCK | O_CLOEXEC) == 0);
    FUZZ_REQUIRE(write(o->pipe[1], "bytes", HELD_BYTES) == HELD_BYTES);
}

static void old_close(struct old *o)
{
    const int fds[] = { o->front,     o->admin,     o->config,    o->null,    o->server[0],
                        o->server[1], o->client[0], o->client[1], o->pipe[0], o->pipe[1] };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
}

static struct session_setup valid_setup(const struct old *o, uint64_t id)
{
    struct session_setup t;
    const char *why = NULL;
    memset(&t, 0, sizeof t);
    t.id = id;
    t.began = NOW_MS;
    t.generation = 2;
    t.has_server = t.admitted = 1;
    addr_peer_set(&t.client, &o->front_at.sa, sizeof(sa_family_t));
    FUZZ_REQUIRE(addr_parse(&t.server, "127.0.0.2:9", &why) == 0);
    strcpy(t.server_name, "one");
    strcpy(t.pool, "main");
    return t;
}

/* With bytes in the pipe to the client. */
static struct session_progress valid_progress(void)
{
    struct session_progress m;
    memset(&m, 0, sizeof m);
    m.connected = m.active = NOW_MS;
    m.attempts = m.pool_attempts = 1;
    m.state = SESSION_RELAYING;
    m.down = (struct flow_progress){ .bytes = 100, .held = HELD_BYTES, .state = FLOW_DRAIN };
    return m;
}

static void put_offer(struct old *o, struct handover_message *p)
{
    struct handover_process e;
    memset(&e, 0, sizeof e);
    e.last_session_id = 1000;
    e.log_level = LOG_LEVEL_NOTICE;
    (void)handover_message_add(p, &e, sizeof e, &o->null, 1);
}

static void put_config(struct old *o, struct handover_message *p, unsigned item)
{
    const struct handover_config e = { item > 1 ? 1 : 2 - item, item == 0 };
    (void)handover_message_add(p, &e, sizeof e, &o->config, 1);
}

static void put_socket(const struct addr *at, int fd, struct handover_message *p)
{
    struct handover_socket e;
    memset(&e, 0, sizeof e);
    e.at = *at;
    e.count = 1;
    (void)handover_message_add(p, &e, sizeof e, &fd, 1);
}

static void put_inherited(struct old *o, struct handover_message *p, unsigned item)
{
    struct handover_inherited e;
    memset(&e, 0, sizeof e);
    e.number = 3 + (int32_t)item;
    strcpy(e.name, "web");
    (void)handover_message_add(p, &e, sizeof e, &o->front, 1);
}

static void put_answer(struct handover_message *p)
{
    struct handover_answer e;
    const char *why = NULL;
    memset(&e, 0, sizeof e);
    strcpy(e.pool, "main");
    FUZZ_REQUIRE(addr_parse(&e.addr, "127.0.0.9:9", &why) == 0);
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
}

/* All but the first were added at run time. */
static void put_server(struct handover_message *p, unsigned item)
{
    struct handover_server e;
    const char *why = NULL;
    memset(&e, 0, sizeof e);
    strcpy(e.pool, "main");
    strcpy(e.name, item == 0 ? "one" : "added");
    e.added = item > 0;
    FUZZ_REQUIRE(addr_parse(&e.addr, item == 0 ? "127.0.0.2:9" : "127.0.0.8:9", &why) == 0);
    e.weight = 7;
    e.up = 1;
    e.max_connections = 100;
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
}

static void put_listener(struct handover_message *p, unsigned item)
{
    struct handover_listener e;
    memset(&e, 0, sizeof e);
    strcpy(e.name, "front");
    strcpy(e.pool, item % 2 == 0 ? "" : "main");
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
}

static void put_pool(struct handover_message *p, unsigned item)
{
    struct handover_pool e;
    memset(&e, 0, sizeof e);
    strcpy(e.name, "main");
    e.paused = item % 2;
    e.last_usable = NOW_MS;
    e.rebalancing = item % 2;
    e.rebalance.counted = 1;
    e.rebalance.length = 1000;
    e.rebalance.planned = e.rebalance.to_move = e.rebalance.most = 3;
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
}

static void put_session(struct old *o, struct handover_message *p)
{
    const int fd[SESSION_RECORD_SETUP_FDS] = { o->client[0], o->server[0], -1 };
    const struct session_setup t = valid_setup(o, ++o->id);
    (void)handover_message_add(p, &t, sizeof t, fd, SESSION_RECORD_SETUP_FDS);
}

static void put_progress(struct old *o, struct handover_message *p, unsigned item)
{
    const int fd[SESSION_RECORD_PROGRESS_FDS] = { -1, -1, o->pipe[0], o->pipe[1] };
    struct handover_progress e;
    memset(&e, 0, sizeof e);
    e.id = item + 1;
    e.progress = valid_progress();
    (void)handover_message_add(p, &e, sizeof e, fd, SESSION_RECORD_PROGRESS_FDS);
}

/* Every second one waits for a server. */
static void put_late(struct old *o, struct handover_message *p, unsigned item)
{
    const int relays[] = { o->client[0], o->server[0], -1, -1, -1, o->pipe[0], o->pipe[1] };
    const int waits[] = { o->client[0], -1, -1, -1, -1, -1, -1 };
    struct handover_late e;
    memset(&e, 0, sizeof e);
    e.setup = valid_setup(o, ++o->id);
    e.progress = valid_progress();
    if (item % 2 == 1) {
        e.setup.has_server = 0;
        memset(&e.progress.down, 0, sizeof e.progress.down);
        e.progress.state = SESSION_WAITING;
        e.progress.wait_until = NOW_MS + 1000;
    }
    (void)handover_message_add(p, &e, sizeof e, item % 2 == 1 ? waits : relays,
                               SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS);
}

/* The sockets have no TLS, so it is refused by the last of its checks. */
static void put_tls(struct handover_message *p, unsigned item)
{
    struct session_tls e;
    memset(&e, 0, sizeof e);
    e.id = item + 1;
    e.side = SESSION_RECORD_TLS_CLIENT;
    e.kernel = (struct tls_kernel){ .server = true, .version = TLS_1_3 };
    memcpy(e.cipher, "TLS_AES_128_GCM_SHA256", 22);
    (void)handover_message_add(p, &e, sizeof e, NULL, 0);
}

static void put_item(struct old *o, struct handover_message *p, unsigned item)
{
    switch ((enum handover_message_type)p->type) {
    case HANDOVER_OFFER:
        put_offer(o, p);
        break;
    case HANDOVER_CONFIG:
        put_config(o, p, item);
        break;
    case HANDOVER_SERVERS:
        put_server(p, item);
        break;
    case HANDOVER_ANSWERS:
        put_answer(p);
        break;
    case HANDOVER_SOCKET:
        put_socket(&o->front_at, o->front, p);
        break;
    case HANDOVER_ADMIN:
        put_socket(&o->admin_at, o->admin, p);
        break;
    case HANDOVER_INHERITED:
        put_inherited(o, p, item);
        break;
    case HANDOVER_LISTENERS:
        put_listener(p, item);
        break;
    case HANDOVER_POOLS:
        put_pool(p, item);
        break;
    case HANDOVER_SESSIONS:
        put_session(o, p);
        break;
    case HANDOVER_PROGRESS:
        put_progress(o, p, item);
        break;
    case HANDOVER_LATE_SESSIONS:
        put_late(o, p, item);
        break;
    case HANDOVER_TLS:
        put_tls(p, item);
        break;
    case HANDOVER_ACCEPT:
    case HANDOVER_REFUSE:
    case HANDOVER_PREPARED:
    case HANDOVER_COMPLETE:
    case HANDOVER_TAKEN_OVER:
    case HANDOVER_LOG_LOSS:
    case HANDOVER_STAYING:
        break;
    }
}

/* ---- edits and messages ---- */

static void edit(const struct old *o, struct head *h, struct handover_message *p, struct input *in)
{
    const int others[] = { o->null,    o->config,    o->front,   o->client[1],
                           o->pipe[0], o->server[1], o->pipe[1], o->admin };
    const unsigned kind = next(in) % EDIT_KINDS;
    const size_t where = next(in) + 256 * next(in);
    const unsigned value = next(in);
    const size_t at = p->size < 8 ? 0 : where % (p->size - 7);
    switch ((enum edit_kind)kind) {
    case EDIT_BYTE:
        p->data[p->size == 0 ? 0 : where % p->size] = (char)value;
        break;
    case EDIT_NUMBER:
        memcpy(p->data + at, &numbers[value % NUMBERS], 8);
        break;
    case EDIT_FILL:
        memset(p->data + at, (int)value, p->size - at);
        break;
    case EDIT_ZERO:
        memset(p->data + at, 0, 8);
        break;
    case EDIT_SIZE:
        p->size -= value > p->size ? p->size : value;
        h->size = (uint32_t)p->size;
        break;
    case EDIT_COUNT:
        h->count = value < NUMBERS ? (uint32_t)numbers[value] : value;
        break;
    case EDIT_HEAD:
        ((char *)h)[where % sizeof *h] = (char)value;
        break;
    case EDIT_DESCRIPTOR:
        if (p->fd_count > 0)
            p->fd[where % p->fd_count] = others[value % (sizeof others / sizeof *others)];
        break;
    case EDIT_DROP:
        p->fd_count -= value % 4 > p->fd_count ? p->fd_count : value % 4;
        h->fds = (uint32_t)p->fd_count;
        break;
    case EDIT_KINDS:
        break;
    }
}

static bool send_message(const struct old *o, struct head *h, struct handover_message *p)
{
    struct iovec parts[] = { { h, sizeof *h }, { p->data, p->size } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(HANDOVER_MESSAGE_FDS * sizeof(int))];
    } rights;
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
    if (p->fd_count > 0) {
        memset(&rights, 0, sizeof rights);
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(p->fd_count * sizeof(int));
        memcpy(CMSG_DATA(&rights.header), p->fd, p->fd_count * sizeof(int));
        msg.msg_control = &rights;
        msg.msg_controllen = CMSG_SPACE(p->fd_count * sizeof(int));
    }
    return sendmsg(o->sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) != -1;
}

static bool make_and_send(struct old *o, struct handover_message *p, struct input *in)
{
    handover_message_init(p, (enum handover_message_type)(next(in) % TYPES));
    const unsigned items = next(in) % (ITEMS_MAX + 1);
    const unsigned edits = next(in) % (EDITS_MAX + 1);
    for (unsigned i = 0; i < items; i++)
        put_item(o, p, i);
    struct head h = { 0x7a70726fu, HANDOVER_VERSION,  p->type,
                      p->count,    (uint32_t)p->size, (uint32_t)p->fd_count };
    for (unsigned i = 0; i < edits; i++)
        edit(o, &h, p, in);
    return send_message(o, &h, p);
}

/* Sends all messages before the other side reads, as far as they fit into the socket. */
static void send_all(struct old *o, struct input *in)
{
    struct handover_message *p = malloc(sizeof *p);
    FUZZ_REQUIRE(p != NULL);
    for (int i = 0; i < MESSAGES_MAX && in->at < in->end; i++)
        if (!make_and_send(o, p, in))
            break;
    free(p);
    (void)shutdown(o->sock, SHUT_WR);
}

/* ---- invariants ---- */

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    FUZZ_REQUIRE(d != NULL);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

/* A failure must come with a line of text. */
static void receive(struct rig *g, int sock, struct config *file_config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *errors = open_memstream(&text, &size);
    FUZZ_REQUIRE(errors != NULL);
    const int rc = handover_receive(&g->rt, sock, file_config, errors);
    FUZZ_REQUIRE(fclose(errors) == 0);
    FUZZ_REQUIRE(rc == 0 || (size > 0 && text[size - 1] == '\n'));
    free(text);
}

static void run_one(struct input *in)
{
    struct rig g;
    struct old o;
    int pair[2];
    struct config *file_config = rig_begin_empty(&g);
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    old_open(&o, pair[0]);
    send_all(&o, in);
    receive(&g, pair[1], file_config);
    /* the program would exit after a failure; here its workers reset the received sessions */
    FUZZ_REQUIRE(workers_start(&g.rt.workers) == 0);
    uv_run(&g.loop, UV_RUN_NOWAIT);
    config_free(file_config);
    old_close(&o);
    close(pair[0]);
    close(pair[1]);
    rig_end(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = { bytes, bytes + n };
    static bool begun; /* the first input opens descriptors that stay open */
    const size_t before = open_descriptors();
    run_one(&in);
    FUZZ_REQUIRE(!begun || open_descriptors() == before);
    begun = true;
    return 0;
}
