/* The load of the bench: the clients and the servers behind the proxy, in one process with one
 * epoll set, so that the one core left to them does more than the proxy's core can follow.
 *
 * Talks to its caller in lines: says "ready" once every session stands and has carried a message
 * both ways, waits for a line, runs, prints the result as one JSON object, waits for another line
 * (so that sessions are not torn down under an observer), ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "caller.h"
#include "hist.h"
#include "ring.h"
#include "usage.h"

#define MESSAGE_MAX (1u << 20)
#define SEND_CHUNK  (128u << 10)
#define RECV_CHUNK  (4u << 20) /* discarded in the kernel by MSG_TRUNC */
#define EVENTS      256
#define OPENING_MAX 64 /* sessions being set up at one time */
#define PIDS_MAX    64
#define STALL_NS    (UINT64_C(10) * 1000000000u)
#define ET_EVENTS   (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define SETUP_SIZE  64u /* the message of a session that has yet to do its work */

enum mode {
    MODE_TRANSFER, /* bulk, for a time */
    MODE_EXCHANGE, /* a message there and a message back, over and over */
    MODE_CONNECT,  /* the same, with a connection of its own for each */
};

enum role {
    ROLE_LISTEN,
    ROLE_CLIENT, /* sends a message, awaits it back */
    ROLE_ECHO,   /* awaits a message, sends it back */
    ROLE_BULK,   /* sends or discards, or both, as fast as it goes */
};

struct conn {
    int fd;
    enum role role;
    bool parked;      /* a client without work: set up, idle */
    unsigned size;    /* of a message */
    unsigned got;     /* bytes of the message coming in */
    unsigned left;    /* bytes of the message going out that the socket did not take */
    uint64_t tag;     /* first 8 bytes of the message: comes back as it was sent */
    uint64_t started; /* ns */
    uint64_t moved;   /* bytes discarded, in bulk */
    struct conn *next;
};

static struct {
    enum mode mode;
    struct range target, server, source;
    unsigned clients, idle, size;
    bool up, down, epoll, copied;
    uint64_t warm, length; /* ns */
    pid_t pids[PIDS_MAX];
    size_t pid_count;
    int core, load_core;
    const char *client_ns, *server_ns;
} opt = { .clients = 1, .size = 64, .up = true, .core = -1, .load_core = -1 };

static int epfd;
static struct conn *spare;             /* ended, to be used again */
static struct conn **clients, **echos; /* all that stand, for bulk */
static unsigned client_count, echo_count;
static unsigned standing; /* clients whose first message came back */
static unsigned opened;   /* clients begun */
static bool running;      /* past "ready" */
static bool counting;     /* inside the measured time */
static uint64_t progress_at;
static uint64_t total, failed; /* exchanges since "ready"; sessions that broke */
static struct hist hist;
static struct ring ring;
static bool ringing;       /* exchanges go by the ring, not by epoll */
static int page_file = -1; /* what bulk is sent from without a copy */
static unsigned char message[MESSAGE_MAX], inbox[MESSAGE_MAX];

static struct conn *conn_new(int fd, enum role role)
{
    struct conn *c = spare;

    if (c != NULL)
        spare = c->next;
    else if ((c = malloc(sizeof(*c))) == NULL)
        die("out of memory");
    *c = (struct conn){ .fd = fd, .role = role, .size = running ? opt.size : SETUP_SIZE };
    return c;
}

static void conn_end(struct conn *c)
{
    close(c->fd);
    c->next = spare;
    spare = c;
}

static void watch(struct conn *c, int op, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = c };

    if (epoll_ctl(epfd, op, c->fd, &ev) == -1)
        die("epoll_ctl: %s", strerror(errno));
}

/* Sends what is left of the message. */
static int message_send(struct conn *c)
{
    memcpy(message, &c->tag, sizeof(c->tag));
    while (c->left > 0) {
        ssize_t n = send(c->fd, message + (c->size - c->left), c->left, MSG_NOSIGNAL);
        if (n == -1)
            return errno == EAGAIN ? 0 : -errno;
        c->left -= (unsigned)n;
    }
    return 0;
}

/* Takes what has come. Returns 1 when that completes the message, 0 when it does not, a negative
 * errno when the session is over, -EPIPE for an orderly end. */
static int message_receive(struct conn *c)
{
    while (c->got < c->size) {
        ssize_t n = recv(c->fd, inbox, c->size - c->got, 0);
        if (n == -1)
            return errno == EAGAIN ? 0 : -errno;
        if (n == 0)
            return -EPIPE;
        for (unsigned i = c->got; i < sizeof(c->tag) && i < c->got + (unsigned)n; i++)
            ((unsigned char *)&c->tag)[i] = inbox[i - c->got];
        c->got += (unsigned)n;
    }
    c->got = 0;
    return 1;
}

static void client_open(void);

static void client_fail(struct conn *c, int error)
{
    if (opt.mode != MODE_CONNECT || !running)
        die("session %u of %u: %s", standing + 1, opt.clients + opt.idle,
            error == -EPIPE ? "ended by the other side" : strerror(-error));
    failed++;
    if (failed > 1000)
        die("more than 1000 sessions broke, the last one with: %s", strerror(-error));
    conn_end(c);
    client_open();
}

static void client_send(struct conn *c)
{
    int rc;

    c->left = c->size;
    c->tag = c->started;
    if ((rc = message_send(c)) < 0)
        client_fail(c, rc);
}

static void client_open(void)
{
    static unsigned turn;
    struct sockaddr_in a = opt.target.first;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct conn *c;

    if (fd == -1)
        die("socket: %s", strerror(errno));
    turn++;
    if (opt.source.count > 0) { /* many addresses: ports in TIME_WAIT never run out */
        struct sockaddr_in from = opt.source.first;
        from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) + turn % opt.source.count);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1)
            die("bind: %s", strerror(errno));
    }
    if (!running)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + turn % opt.target.count));
    c = conn_new(fd, ROLE_CLIENT);
    c->started = usage_now();
    c->tag = c->started;
    c->left = c->size;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    opened++;
    watch(c, EPOLL_CTL_ADD, ET_EVENTS); /* writable as soon as it is connected: then it sends */
}

/* A client's message came back. */
static void client_done(struct conn *c)
{
    uint64_t now = usage_now();

    if (c->tag != c->started)
        die("a message came back changed");
    progress_at = now;
    if (!running) {
        c->parked = true;
        clients[client_count++] = c;
        standing++;
        if (opened < opt.clients + opt.idle)
            client_open();
        return;
    }
    total++;
    if (counting)
        hist_add(&hist, now - c->started);
    if (opt.mode == MODE_CONNECT) {
        conn_end(c);
        client_open();
        return;
    }
    c->started = now;
    client_send(c);
}

static void on_client(struct conn *c, uint32_t events)
{
    int rc = 0;

    if (c->left > 0 && (events & (EPOLLOUT | EPOLLERR)) && (rc = message_send(c)) < 0) {
        client_fail(c, rc);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
        return;
    if (c->parked)
        client_fail(c, -EPIPE);
    else if ((rc = message_receive(c)) < 0)
        client_fail(c, rc);
    else if (rc == 1)
        client_done(c);
}

/* A server's end of a session: ended by the client only. */
static void on_echo(struct conn *c, uint32_t events)
{
    int rc = 0;

    if (c->left > 0)
        rc = message_send(c);
    while (rc >= 0 && c->left == 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
        if ((rc = message_receive(c)) < 1)
            break;
        c->left = c->size;
        rc = message_send(c);
        if (!(events & EPOLLRDHUP))
            break; /* the next message comes with an edge of its own */
    }
    if (rc < 0)
        conn_end(c);
}

static void on_listen(struct conn *l)
{
    int fd;

    while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        struct conn *c = conn_new(fd, ROLE_ECHO);
        watch(c, EPOLL_CTL_ADD, ET_EVENTS);
        if (!running && echo_count < opt.clients + opt.idle)
            echos[echo_count++] = c;
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept: %s", strerror(errno));
}

/* As a server of files does: the pages go out as they are. Or, as a program does that makes up
 * what it sends: the kernel copies it into pieces of 32 KB. A proxy can tell the difference. */
static ssize_t bulk_send(int fd)
{
    off_t from = 0;

    if (opt.copied)
        return send(fd, message, SEND_CHUNK, MSG_NOSIGNAL);
    return sendfile(fd, page_file, &from, SEND_CHUNK);
}

static void on_bulk(struct conn *c, uint32_t events)
{
    ssize_t n;

    if (events & EPOLLIN) {
        n = recv(c->fd, NULL, RECV_CHUNK, MSG_TRUNC);
        if (n > 0)
            c->moved += (uint64_t)n;
        else if (n == 0 || errno != EAGAIN)
            die("a stream broke: %s", n == 0 ? "ended by the other side" : strerror(errno));
    }
    if (events & EPOLLOUT) {
        n = bulk_send(c->fd);
        if (n == -1 && errno != EAGAIN)
            die("a stream broke: %s", strerror(errno));
    }
}

static void turn(uint64_t until)
{
    struct epoll_event ev[EVENTS];
    uint64_t now = usage_now();
    int n, wait = until > now ? (int)((until - now + 999999) / 1000000) : 0;

    n = epoll_wait(epfd, ev, EVENTS, wait);
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        switch (c->role) {
        case ROLE_LISTEN:
            on_listen(c);
            break;
        case ROLE_CLIENT:
            on_client(c, ev[i].events);
            break;
        case ROLE_ECHO:
            on_echo(c, ev[i].events);
            break;
        case ROLE_BULK:
            on_bulk(c, ev[i].events);
            break;
        }
    }
}

/* Exchanges by the ring: a message is sent and the answer awaited by two entries, and what comes
 * is discarded in the kernel; that it comes back unchanged was seen when the session was set up. */
static void ring_receive(struct conn *c)
{
    struct io_uring_sqe *sqe = ring_next(&ring);

    sqe->opcode = IORING_OP_RECV;
    sqe->fd = c->fd;
    sqe->len = c->size;
    sqe->msg_flags = MSG_TRUNC | MSG_WAITALL;
    sqe->ioprio = IORING_RECVSEND_POLL_FIRST; /* it is never there yet */
    sqe->user_data = (uintptr_t)c;
}

static void ring_send(struct conn *c)
{
    struct io_uring_sqe *sqe = ring_next(&ring);

    sqe->opcode = IORING_OP_SEND;
    sqe->fd = c->fd;
    sqe->addr = (uintptr_t)message;
    sqe->len = c->size;
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = (uintptr_t)c;
}

static void ring_exchange(struct conn *c)
{
    uint64_t now = usage_now();

    if (c->role == ROLE_CLIENT) {
        total++;
        if (counting)
            hist_add(&hist, now - c->started);
        c->started = now;
    }
    ring_send(c);
    ring_receive(c);
}

static void ring_begin(void)
{
    for (unsigned i = 0; i < echo_count; i++)
        ring_receive(echos[i]);
    for (unsigned i = 0; i < opt.clients; i++) {
        clients[i]->started = usage_now();
        ring_send(clients[i]);
        ring_receive(clients[i]);
    }
}

static void ring_run_for(uint64_t ns)
{
    struct __kernel_timespec ts = { .tv_sec = (int64_t)(ns / 1000000000u),
                                    .tv_nsec = (long long)(ns % 1000000000u) };
    struct io_uring_sqe *sqe = ring_next(&ring);
    struct io_uring_cqe *cqe;
    bool over = false;

    sqe->opcode = IORING_OP_TIMEOUT;
    sqe->fd = -1;
    sqe->addr = (uintptr_t)&ts;
    sqe->len = 1;
    while (!over) {
        ring_wait(&ring);
        while ((cqe = ring_peek(&ring)) != NULL) {
            struct conn *c = (struct conn *)(uintptr_t)cqe->user_data;
            int n = cqe->res;
            ring_seen(&ring);
            if (c == NULL)
                over = true;
            else if (n != (int)c->size)
                die("an exchange broke: %s", n < 0 ? strerror(-n) : "ended by the other side");
            else
                ring_exchange(c);
        }
    }
}

static void run_for(uint64_t ns)
{
    uint64_t end = usage_now() + ns;

    if (ringing) {
        ring_run_for(ns);
        return;
    }
    while (usage_now() < end)
        turn(end);
}

static void enter_namespace(const char *path)
{
    int fd;

    if (path == NULL)
        return;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 || setns(fd, CLONE_NEWNET) == -1)
        die("%s: %s", path, strerror(errno));
    close(fd);
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
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* handed down to accepted */
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 || listen(fd, 4096) == -1)
            die("cannot listen on port %u: %s", ntohs(a.sin_port), strerror(errno));
        watch(conn_new(fd, ROLE_LISTEN), EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void sessions_set_up(void)
{
    unsigned all = opt.clients + opt.idle;

    clients = calloc(all, sizeof(*clients));
    echos = calloc(all, sizeof(*echos));
    if (clients == NULL || echos == NULL)
        die("out of memory");
    progress_at = usage_now();
    while (opened < all && opened < OPENING_MAX)
        client_open();
    while (standing < all) {
        turn(usage_now() + STALL_NS / 10);
        if (usage_now() > progress_at + STALL_NS)
            die("stalled with %u of %u sessions set up", standing, all);
    }
    if (echo_count != all)
        die("%u sessions reached the servers, %u were expected", echo_count, all);
}

static void bulk_begin(void)
{
    page_file = memfd_create("bulk", MFD_CLOEXEC);
    if (page_file == -1 || write(page_file, message, SEND_CHUNK) != (ssize_t)SEND_CHUNK)
        die("memfd: %s", strerror(errno));
    for (unsigned i = 0; i < client_count; i++) {
        clients[i]->role = echos[i]->role = ROLE_BULK;
        watch(clients[i], EPOLL_CTL_MOD, (opt.up ? EPOLLOUT : 0u) | (opt.down ? EPOLLIN : 0u));
        watch(echos[i], EPOLL_CTL_MOD, (opt.up ? EPOLLIN : 0u) | (opt.down ? EPOLLOUT : 0u));
    }
}

static void work_begin(void)
{
    running = true;
    switch (opt.mode) {
    case MODE_TRANSFER:
        bulk_begin();
        break;
    case MODE_EXCHANGE:
        for (unsigned i = 0; i < echo_count; i++)
            echos[i]->size = opt.size;
        for (unsigned i = 0; i < opt.clients; i++) { /* the others stay idle */
            clients[i]->parked = false;
            clients[i]->size = opt.size;
            if (ringing)
                continue;
            clients[i]->started = usage_now();
            client_send(clients[i]);
        }
        if (ringing)
            ring_begin();
        break;
    case MODE_CONNECT:
        for (unsigned i = 0; i < opt.clients; i++)
            client_open();
        break;
    }
}

/* Bytes that arrived; fewest and most of one stream and direction, counted from the last call. */
static uint64_t bulk_count(uint64_t *least, uint64_t *most)
{
    uint64_t sum = 0;

    *least = UINT64_MAX;
    *most = 0;
    for (unsigned i = 0; i < 2 * client_count; i++) {
        struct conn *c = i < client_count ? clients[i] : echos[i - client_count];
        if (i < client_count ? !opt.down : !opt.up)
            continue;
        sum += c->moved;
        *least = c->moved < *least ? c->moved : *least;
        *most = c->moved > *most ? c->moved : *most;
        c->moved = 0;
    }
    return sum;
}

static void work_run(void)
{
    struct usage a, b;
    uint64_t least, most, bytes = 0;

    work_begin();
    run_for(opt.warm);
    if (opt.mode == MODE_TRANSFER)
        bulk_count(&least, &most);
    counting = true;
    usage_take(&a, opt.pids, opt.pid_count, opt.core, opt.load_core);
    run_for(opt.length);
    usage_take(&b, opt.pids, opt.pid_count, opt.core, opt.load_core);
    counting = false;
    if (opt.mode == MODE_TRANSFER)
        bytes = bulk_count(&least, &most);

    putchar('{');
    if (opt.mode == MODE_TRANSFER) {
        print_number("bytes", (double)bytes);
        print_number("fairness", most > 0 ? (double)least / (double)most : 0);
    } else {
        print_hist(&hist);
        print_number("total", (double)total);
        print_number("failed", (double)failed);
    }
    print_usage(&a, &b, opt.core, opt.load_core);
}

static void usage(void)
{
    fputs(
        "usage: load transfer|exchange|connect -t TARGET -s SERVERS [-f SOURCES] [-n CLIENTS]\n"
        "            [-i IDLE] [-z SIZE] [-d up|down|both] [-e] [-b] [-w WARM-MS] [-l LENGTH-MS]\n"
        "            [-p PID]... [-k CORE] [-K LOAD-CORE] [-C CLIENT-NETNS] [-S SERVER-NETNS]\n",
        stderr);
    exit(1);
}

static void options(int argc, char **argv)
{
    int c;

    if (argc < 2)
        usage();
    if (strcmp(argv[1], "transfer") == 0)
        opt.mode = MODE_TRANSFER;
    else if (strcmp(argv[1], "exchange") == 0)
        opt.mode = MODE_EXCHANGE;
    else if (strcmp(argv[1], "connect") == 0)
        opt.mode = MODE_CONNECT;
    else
        usage();
    optind = 2;
    while ((c = getopt(argc, argv, "t:s:f:n:i:z:d:ebw:l:p:k:K:C:S:")) != -1) {
        switch (c) {
        case 't':
            opt.target = parse_range(optarg);
            break;
        case 's':
            opt.server = parse_range(optarg);
            break;
        case 'f':
            opt.source = parse_range(optarg);
            break;
        case 'n':
            opt.clients = parse_number(optarg, 100000);
            break;
        case 'i':
            opt.idle = parse_number(optarg, 100000);
            break;
        case 'z':
            opt.size = parse_number(optarg, MESSAGE_MAX);
            break;
        case 'd':
            opt.up = strcmp(optarg, "down") != 0;
            opt.down = strcmp(optarg, "up") != 0;
            break;
        case 'e':
            opt.epoll = true;
            break;
        case 'b':
            opt.copied = true;
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
        case 'C':
            opt.client_ns = optarg;
            break;
        case 'S':
            opt.server_ns = optarg;
            break;
        default:
            usage();
        }
    }
    if (optind != argc || opt.target.count == 0 || opt.server.count == 0 || opt.length == 0 ||
        opt.size < sizeof(uint64_t) || opt.clients == 0)
        usage();
}

static void raise_limit(void)
{
    struct rlimit rl = { 65536, 65536 };

    if (setrlimit(RLIMIT_NOFILE, &rl) == 0 || getrlimit(RLIMIT_NOFILE, &rl) == -1)
        return;
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

int main(int argc, char **argv)
{
    options(argc, argv);
    raise_limit();
    signal(SIGPIPE, SIG_IGN);
    memset(message, 'z', sizeof(message));
    if ((epfd = epoll_create1(EPOLL_CLOEXEC)) == -1)
        die("epoll_create1: %s", strerror(errno));
    enter_namespace(opt.server_ns);
    servers_open();
    enter_namespace(opt.client_ns);
    if (opt.mode != MODE_CONNECT)
        sessions_set_up();
    ringing = opt.mode == MODE_EXCHANGE && !opt.epoll && ring_init(&ring) == 0;
    puts("ready");
    fflush(stdout);
    await_line();
    work_run();
    await_line();
    return 0;
}
