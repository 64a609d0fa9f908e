#include "handover/handover_message.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HANDOVER_MAGIC 0x7a70726fu

/* What a datagram begins with; the items follow. */
struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t count;
    uint32_t size;
    uint32_t fds;
};

const char *handover_message_type_name(unsigned type)
{
    static const char *const names[] = {
        [HANDOVER_OFFER] = "offer",
        [HANDOVER_ACCEPT] = "accept",
        [HANDOVER_REFUSE] = "refuse",
        [HANDOVER_CONFIG] = "config",
        [HANDOVER_SERVERS] = "servers",
        [HANDOVER_ANSWERS] = "answers",
        [HANDOVER_SOCKET] = "socket",
        [HANDOVER_ADMIN] = "admin",
        [HANDOVER_INHERITED] = "inherited",
        [HANDOVER_LISTENERS] = "listeners",
        [HANDOVER_POOLS] = "pools",
        [HANDOVER_SESSIONS] = "sessions",
        [HANDOVER_PREPARED] = "prepared",
        [HANDOVER_PROGRESS] = "progress",
        [HANDOVER_LATE_SESSIONS] = "late_sessions",
        [HANDOVER_COMPLETE] = "complete",
        [HANDOVER_TAKEN_OVER] = "taken_over",
        [HANDOVER_LOG_LOSS] = "log_loss",
        [HANDOVER_TLS] = "tls",
        [HANDOVER_STAYING] = "staying",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

void handover_message_init(struct handover_message *m, enum handover_message_type type)
{
    m->type = (uint16_t)type;
    m->count = 0;
    m->size = 0;
    m->fd_count = 0;
}

/* An item is preceded by a bit set of those of its descriptors that are present. */
bool handover_message_add(struct handover_message *m, const void *item, size_t size, const int *fd,
                          size_t fds)
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
    if (m->size + sizeof present + padded > HANDOVER_MESSAGE_BYTES ||
        m->fd_count + needed > HANDOVER_MESSAGE_FDS)
        return false;
    memcpy(m->data + m->size, &present, sizeof present);
    memcpy(m->data + m->size + sizeof present, item, size);
    memset(m->data + m->size + sizeof present + size, 0, padded - size);
    m->size += sizeof present + padded;
    for (size_t i = 0; i < fds; i++)
        if (fd[i] != -1)
            m->fd[m->fd_count++] = fd[i];
    m->count++;
    return true;
}

bool handover_message_take(struct handover_message *m, struct handover_message_cursor *at,
                           void *item, size_t size, int *fd, size_t fds)
{
    uint64_t present = 0;
    size_t padded = (size + 7) / 8 * 8;
    if (at->data + sizeof present + padded > m->size)
        return false;
    memcpy(&present, m->data + at->data, sizeof present);
    if (at->fd + (size_t)__builtin_popcountll(present) > m->fd_count ||
        (fds < 64 && present >> fds != 0))
        return false;
    memcpy(item, m->data + at->data + sizeof present, size);
    at->data += sizeof present + padded;
    for (size_t i = 0; i < fds; i++)
        fd[i] = (present >> i & 1) != 0 ? m->fd[at->fd++] : -1;
    return true;
}

void handover_message_close_rest(struct handover_message *m,
                                 const struct handover_message_cursor *at)
{
    for (size_t i = at->fd; i < m->fd_count; i++)
        close(m->fd[i]);
    m->fd_count = at->fd;
}

/* ---- sending ---- */

/* A user may have no more descriptors in flight than RLIMIT_NOFILE allows (ETOOMANYREFS, unix(7)).
 * The receiver takes them soon, so sending is retried at this interval. */
#define IN_FLIGHT_RETRY_MS 2

static void set_timeout(int sock, int option, unsigned ms)
{
    const struct timeval timeout = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
    (void)setsockopt(sock, SOL_SOCKET, option, &timeout, sizeof timeout);
}

/* EAGAIN is how SO_SNDTIMEO and SO_RCVTIMEO expire; see socket(7). */
static int socket_error(int error)
{
    return error == EAGAIN ? -ETIMEDOUT : error == ECONNRESET ? -EPIPE : -error;
}

bool handover_text_is_terminated(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

int handover_message_send(int sock, const struct handover_message *m, unsigned timeout_ms)
{
    struct head head = { HANDOVER_MAGIC, HANDOVER_VERSION,  m->type,
                         m->count,       (uint32_t)m->size, (uint32_t)m->fd_count };
    struct iovec parts[] = { { &head, sizeof head }, { (void *)m->data, m->size } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(HANDOVER_MESSAGE_FDS * sizeof(int))];
    } rights;
    struct msghdr msg = { .msg_iov = parts, .msg_iovlen = 2 };
    if (m->fd_count > 0) {
        memset(&rights, 0, sizeof rights);
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN(m->fd_count * sizeof(int));
        memcpy(CMSG_DATA(&rights.header), m->fd, m->fd_count * sizeof(int));
        msg.msg_control = &rights;
        msg.msg_controllen = CMSG_SPACE(m->fd_count * sizeof(int));
    }
    set_timeout(sock, SO_SNDTIMEO, timeout_ms);
    ssize_t n;
    for (unsigned waited = 0;; waited += errno == EINTR ? 0 : IN_FLIGHT_RETRY_MS) {
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
        if (n != -1 || (errno != EINTR && (errno != ETOOMANYREFS || waited >= timeout_ms)))
            break;
        if (errno == ETOOMANYREFS)
            (void)poll(NULL, 0, IN_FLIGHT_RETRY_MS);
    }
    return n == -1 ? socket_error(errno) : 0;
}

/* ---- receiving ---- */

static void receive_fds(struct handover_message *m, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        m->fd_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (m->fd_count > HANDOVER_MESSAGE_FDS)
            m->fd_count = HANDOVER_MESSAGE_FDS; /* impossible: the buffer has no room for more */
        memcpy(m->fd, CMSG_DATA(c), m->fd_count * sizeof(int));
    }
}

static int bad_message(struct handover_message *m, const char *problem)
{
    m->problem = problem;
    return -EBADMSG;
}

static int check_head(const struct head *head, struct handover_message *m, ssize_t n)
{
    if ((size_t)n < sizeof *head || head->magic != HANDOVER_MAGIC)
        return bad_message(m, "it is not a message of a handover");
    m->version = head->version;
    if (head->version != HANDOVER_VERSION)
        return -EPROTONOSUPPORT;
    if (head->size != (size_t)n - sizeof *head)
        return bad_message(m, "it is shorter or longer than its header says");
    return head->fds == m->fd_count
               ? 0
               : bad_message(m, "it has more or fewer descriptors than its header says");
}

static int check_message(const struct head *head, struct handover_message *m,
                         const struct msghdr *msg, ssize_t n)
{
    if ((msg->msg_flags & MSG_TRUNC) != 0)
        return bad_message(m, "it is too long");
    if ((msg->msg_flags & MSG_CTRUNC) != 0)
        return bad_message(m, "not all of its descriptors could be opened (ulimit -n)");
    return check_head(head, m, n);
}

int handover_message_receive(int sock, struct handover_message *m, unsigned timeout_ms)
{
    struct head head;
    struct iovec parts[] = { { &head, sizeof head }, { m->data, HANDOVER_MESSAGE_BYTES } };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(HANDOVER_MESSAGE_FDS * sizeof(int))];
    } rights;
    struct msghdr msg = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = &rights,
        .msg_controllen = sizeof rights,
    };
    m->fd_count = 0;
    m->problem = NULL;
    set_timeout(sock, SO_RCVTIMEO, timeout_ms);
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        return socket_error(errno);
    if (n == 0)
        return -EPIPE;
    receive_fds(m, &msg);
    int rc = check_message(&head, m, &msg, n);
    if (rc < 0) {
        const struct handover_message_cursor none = { 0, 0 };
        handover_message_close_rest(m, &none);
        return rc;
    }
    m->type = head.type;
    m->count = head.count;
    m->size = head.size;
    return 0;
}
