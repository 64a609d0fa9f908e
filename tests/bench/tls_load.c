/* The load of the bench whose clients speak TLS: the clients and the servers behind the proxy, in
 * one process with one epoll set. The servers do not speak TLS. Talks to its caller as load.c. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"
#include "hist.h"
#include "usage.h"

#define MESSAGE_MAX (64u << 10)
#define BULK_CHUNK  (16u << 10) /* a record */
#define BULK_TURNS  16
#define EVENTS      256
#define OPENING_MAX 32 /* handshakes of sessions being set up at one time */
#define PIDS_MAX    64
#define STALL_NS    (UINT64_C(20) * 1000000000u)
#define SETUP_SIZE  64u

enum mode {
    MODE_TRANSFER,
    MODE_EXCHANGE,
    MODE_CONNECT,
};

enum role {
    ROLE_LISTEN,
    ROLE_CLIENT,
    ROLE_SERVER,
};

struct conn {
    int fd;
    enum role role;
    SSL *ssl; /* of a client */
    bool connected, parked;
    uint32_t events;
    unsigned size; /* of a message */
    unsigned got;
    uint64_t started; /* ns */
};

static struct {
    enum mode mode;
    struct range target, server;
    unsigned clients, idle, size;
    bool up, resume, old;
    uint64_t warm, length; /* ns */
    pid_t pids[PIDS_MAX];
    size_t pid_count;
    int core, load_core;
} opt = { .clients = 1, .size = 64, .up = true, .core = -1, .load_core = -1 };

static int epfd;
static SSL_CTX *ctx;
static SSL_SESSION *session; /* to be resumed */
static struct conn **clients, **servers;
static unsigned opened, standing, server_count;
static bool running, counting;
static uint64_t progress_at, total, failed, moved;
static struct hist hist;
static unsigned char message[MESSAGE_MAX], inbox[MESSAGE_MAX];

static void want(struct conn *c, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };
    if (c->events != events &&
        epoll_ctl(epfd, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &ev) == -1)
        die("epoll_ctl: %s", strerror(errno));
    c->events = events;
}

static struct conn *conn_new(int fd, enum role role)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL)
        die("out of memory");
    c->fd = fd;
    c->role = role;
    c->size = running ? opt.size : SETUP_SIZE;
    return c;
}

static void conn_end(struct conn *c)
{
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

/* ---- clients ---- */

static void client_open(void)
{
    static unsigned turn;
    struct sockaddr_in a = opt.target.first;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        die("socket: %s", strerror(errno));
    a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + turn % opt.target.count));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (opt.mode == MODE_CONNECT) { /* many source addresses: ports are in TIME_WAIT */
        struct sockaddr_in from = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(0x7f000101 + turn % 64) };
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        bind(fd, (struct sockaddr *)&from, sizeof(from));
    }
    turn++;
    struct conn *c = conn_new(fd, ROLE_CLIENT);
    c->started = usage_now();
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    c->ssl = SSL_new(ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
        die("out of memory");
    SSL_set_connect_state(c->ssl);
    SSL_set_tlsext_host_name(c->ssl, "server.test");
    if (opt.resume && session != NULL)
        SSL_set_session(c->ssl, session);
    if (opt.mode != MODE_CONNECT)
        clients[opened] = c;
    opened++;
    want(c, EPOLLOUT);
}

static bool would_block(const SSL *ssl, int rc)
{
    int error = SSL_get_error(ssl, rc);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void client_broken(struct conn *c, const char *what, int rc)
{
    if (opt.mode != MODE_CONNECT)
        die("%s broke: %d, %s", what, SSL_get_error(c->ssl, rc),
            ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    failed++;
    conn_end(c);
    client_open();
}

static void client_send(struct conn *c)
{
    int rc = SSL_write(c->ssl, message, (int)c->size);
    c->got = 0;
    if (rc != (int)c->size)
        die("a message does not fit");
}

static void client_exchanged(struct conn *c)
{
    uint64_t now = usage_now();
    progress_at = now;
    if (!running) { /* stands */
        c->parked = true;
        standing++;
        if (opened < opt.clients + opt.idle)
            client_open();
        return;
    }
    total++;
    if (counting)
        hist_add(&hist, now - c->started);
    if (opt.mode == MODE_CONNECT) {
        SSL_shutdown(c->ssl);
        conn_end(c);
        client_open();
        return;
    }
    c->started = now;
    client_send(c);
}

static void client_read(struct conn *c)
{
    ERR_clear_error();
    int rc = SSL_read(c->ssl, inbox, (int)sizeof(inbox));
    if (rc <= 0) {
        if (!would_block(c->ssl, rc))
            client_broken(c, "a session", rc);
        return;
    }
    c->got += (unsigned)rc;
    if (!c->parked && c->got >= c->size)
        client_exchanged(c);
    else if (SSL_has_pending(c->ssl))
        client_read(c);
}

static void client_bulk(struct conn *c)
{
    ERR_clear_error();
    for (int turn = 0; turn < BULK_TURNS; turn++) {
        int rc = opt.up ? SSL_write(c->ssl, message, BULK_CHUNK)
                        : SSL_read(c->ssl, inbox, (int)sizeof(inbox));
        if (rc <= 0 && would_block(c->ssl, rc))
            return;
        if (rc <= 0)
            client_broken(c, "a stream", rc);
        if (!opt.up)
            moved += (unsigned)rc;
    }
}

static void client_event(struct conn *c)
{
    if (!c->connected) {
        ERR_clear_error();
        int rc = SSL_do_handshake(c->ssl);
        if (rc != 1 && would_block(c->ssl, rc)) {
            want(c, SSL_want_write(c->ssl) ? EPOLLOUT : EPOLLIN);
            return;
        }
        if (rc != 1) {
            client_broken(c, "a handshake", rc);
            return;
        }
        c->connected = true;
        want(c, EPOLLIN);
        client_send(c);
        return;
    }
    if (running && opt.mode == MODE_TRANSFER)
        client_bulk(c);
    else
        client_read(c);
}

/* ---- servers ---- */

static void server_accept(const struct conn *listener)
{
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = conn_new(fd, ROLE_SERVER);
        want(c, EPOLLIN);
        if (opt.mode != MODE_CONNECT && server_count < opt.clients + opt.idle)
            servers[server_count++] = c;
    }
}

static void server_bulk(struct conn *c)
{
    for (int turn = 0; turn < BULK_TURNS; turn++) {
        ssize_t n = opt.up ? recv(c->fd, inbox, 4u << 20, MSG_TRUNC)
                           : send(c->fd, message, sizeof(message), MSG_NOSIGNAL);
        if (n == -1 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("a stream broke at the server: %s", n == 0 ? "end" : strerror(errno));
        if (opt.up)
            moved += (size_t)n;
    }
}

static void server_event(struct conn *c)
{
    if (running && opt.mode == MODE_TRANSFER) {
        server_bulk(c);
        return;
    }
    ssize_t n = recv(c->fd, inbox, sizeof(inbox), 0);
    if (n <= 0) {
        if (n == -1 && errno == EAGAIN)
            return;
        conn_end(c);
        return;
    }
    if (send(c->fd, inbox, (size_t)n, MSG_NOSIGNAL) != n && opt.mode != MODE_CONNECT)
        die("an answer does not fit");
}

/* ---- the loop ---- */

static void turn(void)
{
    struct epoll_event ev[EVENTS];
    int n = epoll_wait(epfd, ev, EVENTS, 10);
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if (c->role == ROLE_LISTEN)
            server_accept(c);
        else if (c->role == ROLE_CLIENT)
            client_event(c);
        else
            server_event(c);
    }
}

static void run_for(uint64_t ns)
{
    uint64_t end = usage_now() + ns;
    while (usage_now() < end)
        turn();
}

static void servers_open(void)
{
    int one = 1;
    for (unsigned i = 0; i < opt.server.count; i++) {
        struct sockaddr_in a = opt.server.first;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd == -1)
            die("socket: %s", strerror(errno));
        a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + i));
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 || listen(fd, 4096) == -1)
            die("cannot listen on port %u: %s", ntohs(a.sin_port), strerror(errno));
        want(conn_new(fd, ROLE_LISTEN), EPOLLIN);
    }
}

static void sessions_set_up(void)
{
    unsigned all = opt.clients + opt.idle;
    clients = calloc(all, sizeof(struct conn *));
    servers = calloc(all, sizeof(struct conn *));
    if (clients == NULL || servers == NULL)
        die("out of memory");
    progress_at = usage_now();
    while (opened < all && opened < OPENING_MAX)
        client_open();
    while (standing < all) {
        turn();
        if (usage_now() > progress_at + STALL_NS)
            die("stalled with %u of %u sessions set up", standing, all);
    }
}

static void work_begin(void)
{
    running = true;
    for (unsigned i = 0; i < server_count && opt.mode == MODE_TRANSFER && !opt.up; i++)
        want(servers[i], EPOLLOUT);
    for (unsigned i = 0; i < opt.clients; i++) {
        struct conn *c = opt.mode == MODE_CONNECT ? NULL : clients[i];
        if (opt.mode == MODE_CONNECT) {
            client_open();
        } else if (opt.mode == MODE_TRANSFER) {
            want(c, opt.up ? EPOLLOUT : EPOLLIN);
        } else {
            c->parked = false;
            c->size = opt.size;
            c->started = usage_now();
            client_send(c);
        }
    }
}

static void work_run(void)
{
    struct usage a, b;
    work_begin();
    run_for(opt.warm);
    counting = true;
    uint64_t before = moved;
    usage_take(&a, opt.pids, opt.pid_count, opt.core, opt.load_core);
    run_for(opt.length);
    usage_take(&b, opt.pids, opt.pid_count, opt.core, opt.load_core);
    counting = false;
    putchar('{');
    print_number("bytes", (double)(moved - before));
    print_hist(&hist);
    print_number("total", (double)total);
    print_number("failed", (double)failed);
    print_usage(&a, &b, opt.core, opt.load_core);
}

/* ---- begin ---- */

static int on_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = s;
    return 1;
}

static void context_open(void)
{
    ctx = SSL_CTX_new(TLS_client_method());
    int version = opt.old ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)
        die("OpenSSL: %s", ERR_reason_error_string(ERR_peek_error()));
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    if (!opt.resume)
        return;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

static void usage(void)
{
    fputs("usage: tls_load transfer|exchange|connect -t TARGET -s SERVERS [-n CLIENTS] [-i IDLE]\n"
          "                [-z SIZE] [-d up|down] [-r] [-o] [-w WARM-MS] [-l LENGTH-MS]\n"
          "                [-p PID]... [-k CORE] [-K LOAD-CORE]\n"
          "-r: sessions are resumed; -o: TLS 1.2\n",
          stderr);
    exit(1);
}

static void option(int c)
{
    switch (c) {
    case 't':
        opt.target = parse_range(optarg);
        break;
    case 's':
        opt.server = parse_range(optarg);
        break;
    case 'n':
        opt.clients = parse_number(optarg, 100000);
        break;
    case 'i':
        opt.idle = parse_number(optarg, 100000);
        break;
    case 'z':
        opt.size = parse_number(optarg, BULK_CHUNK);
        break;
    case 'd':
        opt.up = strcmp(optarg, "down") != 0;
        break;
    case 'r':
        opt.resume = true;
        break;
    case 'o':
        opt.old = true;
        break;
    case 'w':
        opt.warm = parse_number(optarg, 3600000) * UINT64_C(1000000);
        break;
    case 'l':
        opt.length = parse_number(optarg, 3600000) * UINT64_C(1000000);
        break;
    case 'p':
        if (opt.pid_count == PIDS_MAX)
            die("more than %d processes", PIDS_MAX);
        opt.pids[opt.pid_count++] = (pid_t)parse_number(optarg, 1u << 22);
        break;
    case 'k':
        opt.core = (int)parse_number(optarg, 4095);
        break;
    case 'K':
        opt.load_core = (int)parse_number(optarg, 4095);
        break;
    default:
        usage();
    }
}

static void options(int argc, char **argv)
{
    static const char *const modes[] = { "transfer", "exchange", "connect" };
    unsigned mode = 0;
    int c;
    while (argc > 1 && mode < 3 && strcmp(argv[1], modes[mode]) != 0)
        mode++;
    if (argc < 2 || mode == 3)
        usage();
    opt.mode = (enum mode)mode;
    optind = 2;
    while ((c = getopt(argc, argv, "t:s:n:i:z:d:row:l:p:k:K:")) != -1)
        option(c);
    if (optind != argc || opt.target.first.sin_port == 0 || opt.server.first.sin_port == 0 ||
        opt.length == 0 || opt.size == 0 || opt.clients == 0)
        usage();
}

int main(int argc, char **argv)
{
    struct rlimit rl;
    options(argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    signal(SIGPIPE, SIG_IGN);
    memset(message, 'z', sizeof(message));
    if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
        die("epoll_create1: %s", strerror(errno));
    context_open();
    servers_open();
    if (opt.mode != MODE_CONNECT)
        sessions_set_up();
    puts("ready");
    fflush(stdout);
    await_line();
    work_run();
    await_line();
    return 0;
}
