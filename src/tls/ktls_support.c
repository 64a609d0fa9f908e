#include "tls/ktls_support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tls/ktls.h"

#define RECORD_SIZE (16 * 1024)
#define PIPE_PAGE   4096
#define PIPE_ROOMY  (32 * PIPE_PAGE) /* more than KTLS_RECORD_SLOTS */
#define PIPE_SMALL  (2 * PIPE_PAGE)

/* Nothing here takes long; the kernel must not hold up the start. */
#define PATIENCE 2 /* s */

enum {
    USABLE = 1 << 0,
    REPLACES_KEYS = 1 << 1,
};

/* The result is written by control's thread; workers read the flags. Each flag stands for itself,
 * so relaxed order is enough. */
static struct ktls_support result = { .error = "the kernel was not tested yet" };
static _Atomic unsigned flags;

/* ---- a connection to oneself ---- */

struct trial {
    int from; /* sends; -1: not open */
    int to;   /* receives */
    int pipe[2];
    struct tls_keys keys;
    unsigned char sent[RECORD_SIZE];
    unsigned char got[RECORD_SIZE];
};

static void trial_close(struct trial *t)
{
    const int fds[] = { t->from, t->to, t->pipe[0], t->pipe[1] };
    for (int i = 0; i < 4; i++)
        if (fds[i] != -1)
            close(fds[i]);
}

static int set_patience(int fd)
{
    struct timeval limit = { .tv_sec = PATIENCE };
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == -1 ||
                   setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == -1
               ? -errno
               : 0;
}

static int join(int listening, struct trial *t)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    t->from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (t->from == -1 || bind(listening, (struct sockaddr *)&at, sizeof at) == -1 ||
        listen(listening, 1) == -1 || getsockname(listening, (struct sockaddr *)&at, &size) == -1 ||
        set_patience(t->from) < 0 || set_patience(listening) < 0 ||
        connect(t->from, (struct sockaddr *)&at, sizeof at) == -1)
        return -errno;
    t->to = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    return t->to == -1 ? -errno : set_patience(t->to);
}

static int trial_open(struct trial *t)
{
    *t = (struct trial){ .from = -1, .to = -1, .pipe = { -1, -1 } };
    for (int i = 0; i < RECORD_SIZE; i++)
        t->sent[i] = (unsigned char)(i * 7 + i / 251);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening == -1)
        return -errno;
    int rc = join(listening, t);
    close(listening);
    if (rc == 0 && pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK) == -1)
        rc = -errno;
    return rc;
}

/* ---- what is tried ---- */

static int set_keys(struct trial *t, unsigned char filling)
{
    t->keys = (struct tls_keys){ .version = TLS_1_3, .cipher = TLS_AES_128_GCM };
    memset(t->keys.key, filling, sizeof t->keys.key);
    memset(t->keys.iv, filling + 1, sizeof t->keys.iv);
    int rc = ktls_set_keys(t->from, TLS_SEND, &t->keys);
    return rc < 0 ? rc : ktls_set_keys(t->to, TLS_RECEIVE, &t->keys);
}

/* Returns the bytes of the record that came through the pipe, or -errno. */
static int carry(struct trial *t, int pipe_size)
{
    size_t got = 0;
    if (fcntl(t->pipe[1], F_SETPIPE_SZ, pipe_size) == -1)
        return -errno;
    if (write(t->from, t->sent, RECORD_SIZE) != RECORD_SIZE)
        return -errno;
    while (got < RECORD_SIZE) {
        unsigned nonblock = got > 0 ? SPLICE_F_NONBLOCK : 0; /* the rest of the record is there */
        if (splice(t->to, NULL, t->pipe[1], NULL, RECORD_SIZE - got, nonblock) <= 0)
            return got > 0 ? (int)got : -errno;
        ssize_t n;
        while ((n = read(t->pipe[0], t->got + got, RECORD_SIZE - got)) > 0)
            got += (size_t)n;
    }
    return (int)got;
}

static bool is_whole(const struct trial *t, int got)
{
    return got == RECORD_SIZE && memcmp(t->sent, t->got, RECORD_SIZE) == 0;
}

/* A KeyUpdate, and a record with the next keys. */
static bool replaces_keys(struct trial *t)
{
    struct tls_control_reader reader = { 0 };
    if (ktls_send_key_update(t->from) < 0 ||
        splice(t->to, NULL, t->pipe[1], NULL, RECORD_SIZE, 0) != -1 || errno != EINVAL ||
        ktls_read_control(t->to, &reader, t->keys.version, true) != TLS_CONTROL_KEY_UPDATE)
        return false;
    return set_keys(t, 0x5a) == 0 && is_whole(t, carry(t, PIPE_ROOMY));
}

static void judge(struct trial *t, struct ktls_support *found)
{
    int got = carry(t, PIPE_ROOMY);
    if (!is_whole(t, got)) {
        found->error = got < 0 ? strerror(-got) : "a record was changed on its way";
        return;
    }
    found->usable = true;
    found->loses_bytes = !is_whole(t, carry(t, PIPE_SMALL));
    found->replaces_keys = !found->loses_bytes && replaces_keys(t);
}

static void explain(int error, struct ktls_support *found)
{
    switch (error) {
    case ENOENT:
        found->error = "the kernel module tls is not loaded";
        found->advice = "modprobe tls; at boot: the line tls in /etc/modules-load.d/zproxy.conf; "
                        "a kernel without this module must be built with CONFIG_TLS";
        break;
    case ENOPROTOOPT:
        found->error = "this kernel has no TLS";
        found->advice = "Linux 5.1 or later has it, if it is built with CONFIG_TLS";
        break;
    default:
        found->error = strerror(error);
        break;
    }
}

void ktls_support_test(struct ktls_support *found)
{
    struct trial t;
    *found = result;
    if (found->usable)
        return;
    *found = (struct ktls_support){ .error = NULL };
    int rc = trial_open(&t);
    if (rc == 0)
        rc = ktls_attach(t.from);
    if (rc == 0)
        rc = ktls_attach(t.to);
    if (rc == 0)
        rc = set_keys(&t, 0x3c);
    if (rc == 0)
        judge(&t, found);
    else
        explain(-rc, found);
    trial_close(&t);
}

void ktls_support_update(void)
{
    struct ktls_support found;
    ktls_support_test(&found);
    result = found;
    atomic_store_explicit(&flags,
                          (result.usable ? USABLE : 0u) |
                              (result.replaces_keys ? REPLACES_KEYS : 0u),
                          memory_order_relaxed);
}

const struct ktls_support *ktls_support(void)
{
    return &result;
}

bool ktls_is_usable(void)
{
    return (atomic_load_explicit(&flags, memory_order_relaxed) & USABLE) != 0;
}

bool ktls_replaces_keys(void)
{
    return (atomic_load_explicit(&flags, memory_order_relaxed) & REPLACES_KEYS) != 0;
}
