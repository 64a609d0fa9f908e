#include "upgrade/parcel.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PARCEL_MAGIC 0x7a70726fu

struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t count;
    uint32_t size;
    uint32_t fds;
};

const char *parcel_type_name(unsigned type)
{
    static const char *const names[] = {
        [PARCEL_OFFER] = "offer",       [PARCEL_ACCEPT] = "accept",
        [PARCEL_REFUSE] = "refuse",     [PARCEL_CONFIG] = "config",
        [PARCEL_SERVERS] = "servers",   [PARCEL_ANSWERS] = "answers",
        [PARCEL_SOCKET] = "socket",     [PARCEL_ADMIN] = "admin",
        [PARCEL_HANDED] = "handed",     [PARCEL_ENTRANCE] = "entrance",
        [PARCEL_SETTLED] = "settled",   [PARCEL_PREPARED] = "prepared",
        [PARCEL_MOMENTS] = "moments",   [PARCEL_LATE] = "late",
        [PARCEL_ALL] = "all",           [PARCEL_OWN] = "own",
        [PARCEL_LOG_LOSS] = "log loss",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

void parcel_init(struct parcel *p, enum parcel_type type)
{
    p->type = (uint16_t)type;
    p->count = 0;
    p->size = 0;
    p->fd_count = 0;
}

/* Before an item stands, in one word, which of its descriptors there are. */
bool parcel_add(struct parcel *p, const void *item, size_t size, const int *fd, size_t fds)
{
    uint64_t present = 0;
    size_t needed = 0;
    for (size_t i = 0; i < fds; i++) {
        if (fd[i] == -1)
            continue;
        present |= UINT64_C(1) << i;
        needed++;
    }
    size_t padded = (size + 7) / 8 * 8;
    if (p->size + sizeof present + padded > PARCEL_BYTES || p->fd_count + needed > PARCEL_FDS)
        return false;
    memcpy(p->data + p->size, &present, sizeof present);
    memcpy(p->data + p->size + sizeof present, item, size);
    memset(p->data + p->size + sizeof present + size, 0, padded - size);
    p->size += sizeof present + padded;
    for (size_t i = 0; i < fds; i++)
        if (fd[i] != -1)
            p->fd[p->fd_count++] = fd[i];
    p->count++;
    return true;
}

bool parcel_take(struct parcel *p, struct parcel_place *at, void *item, size_t size, int *fd,
                 size_t fds)
{
    uint64_t present = 0;
    size_t padded = (size + 7) / 8 * 8;
    if (at->data + sizeof present + padded > p->size)
        return false;
    memcpy(&present, p->data + at->data, sizeof present);
    if (at->fd + (size_t)__builtin_popcountll(present) > p->fd_count ||
        (fds < 64 && present >> fds != 0))
        return false;
    memcpy(item, p->data + at->data + sizeof present, size);
    at->data += sizeof present + padded;
    for (size_t i = 0; i < fds; i++)
        fd[i] = (present >> i & 1) != 0 ? p->fd[at->fd++] : -1;
    return true;
}

void parcel_close_rest(struct parcel *p, const struct parcel_place *at)
{
    for (size_t i = at->fd; i < p->fd_count; i++)
        close(p->fd[i]);
    p->fd_count = at->fd;
}

/* ---- on the way ---- */

/* The kernel lets no more descriptors of a user be on their way than one process may have open
 * (ETOOMANYREFS, unix(7)): the other side takes them before long. */
#define IN_FLIGHT_MS 2

static void set_patience(int sock, int option, unsigned ms)
{
    const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    (void)setsockopt(sock, SOL_SOCKET, option, &patience, sizeof patience);
}

static int failure(int error)
{
    return error == EAGAIN ? -ETIMEDOUT : error == ECONNRESET ? -EPIPE : -error;
}

bool parcel_is_text(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

int parcel_send(int sock, const struct parcel *p, unsigned patience)
{
    struct head head = { PARCEL_MAGIC, PARCEL_VERSION,    p->type,
                         p->count,     (uint32_t)p->size, (uint32_t)p->fd_count };
    struct iovec parts[] = { { &head, sizeof head }, { (void *)p->data, p->size } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(PARCEL_FDS * sizeof(int))];
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
    set_patience(sock, SO_SNDTIMEO, patience);
    ssize_t n;
    for (unsigned waited = 0;; waited += errno == EINTR ? 0 : IN_FLIGHT_MS) {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n != -1 || (errno != EINTR && (errno != ETOOMANYREFS || waited >= patience)))
            break;
        if (errno == ETOOMANYREFS)
            (void)poll(NULL, 0, IN_FLIGHT_MS);
    }
    return n == -1 ? failure(errno) : 0;
}

static void take_rights(struct parcel *p, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        p->fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (p->fd_count > PARCEL_FDS)
            p->fd_count = PARCEL_FDS; /* cannot be: there was no room for more */
        memcpy(p->fd, CMSG_DATA(c), p->fd_count * sizeof(int));
    }
}

static int damaged(struct parcel *p, const char *wrong)
{
    p->wrong = wrong;
    return -EBADMSG;
}

static int check_head(const struct head *head, struct parcel *p, ssize_t n)
{
    if ((size_t)n < sizeof *head || head->magic != PARCEL_MAGIC)
        return damaged(p, "it does not begin as a message of a handover does");
    p->version = head->version;
    if (head->version != PARCEL_VERSION)
        return -EPROTONOSUPPORT;
    if (head->size != (size_t)n - sizeof *head)
        return damaged(p, "it is shorter or longer than it says");
    return head->fds == p->fd_count ? 0
                                    : damaged(p, "it has more or fewer descriptors than it says");
}

static int check_whole(const struct head *head, struct parcel *p, const struct msghdr *msg,
                       ssize_t n)
{
    if ((msg->msg_flags & MSG_TRUNC) != 0)
        return damaged(p, "it is too long");
    if ((msg->msg_flags & MSG_CTRUNC) != 0)
        return damaged(p, "there is no room for all of its descriptors (ulimit -n)");
    return check_head(head, p, n);
}

int parcel_receive(int sock, struct parcel *p, unsigned patience)
{
    struct head head;
    struct iovec parts[] = { { &head, sizeof head }, { p->data, PARCEL_BYTES } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(PARCEL_FDS * sizeof(int))];
    } rights;
    struct msghdr msg = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = &rights,
        .msg_controllen = sizeof rights,
    };
    p->fd_count = 0;
    p->wrong = NULL;
    set_patience(sock, SO_RCVTIMEO, patience);
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        return failure(errno);
    if (n == 0)
        return -EPIPE;
    take_rights(p, &msg);
    int rc = check_whole(&head, p, &msg, n);
    if (rc < 0) {
        const struct parcel_place none = { 0, 0 };
        parcel_close_rest(p, &none);
        return rc;
    }
    p->type = head.type;
    p->count = head.count;
    p->size = head.size;
    return 0;
}
