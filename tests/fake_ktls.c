#include "fake_ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* The names are those of ld(1): --wrap.
 * NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

struct fake_ktls fake_ktls;

void fake_ktls_begin(void)
{
    memset(&fake_ktls, 0, sizeof fake_ktls);
}

void fake_ktls_receive(int fd, uint8_t type, const void *bytes, size_t size)
{
    fake_ktls.fd = fd;
    fake_ktls.type = type;
    fake_ktls.size = size;
    memcpy(fake_ktls.bytes, bytes, size);
}

static int failed(int error)
{
    errno = error;
    return -1;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (level == IPPROTO_TCP && name == TCP_ULP)
        return 0;
    if (level != SOL_TLS)
        return __real_setsockopt(fd, level, name, value, size);
    if (++fake_ktls.keys_set == fake_ktls.refuse)
        return failed(fake_ktls.error);
    return 0;
}

/* The number is at the end of each of the structures. */
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    if (level != SOL_TLS)
        return __real_getsockopt(fd, level, name, value, size);
    memset(value, 0, *size);
    for (socklen_t i = 0; i < 8; i++)
        ((unsigned char *)value)[*size - 1 - i] = (unsigned char)(fake_ktls.sequence >> (8 * i));
    return 0;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (c == NULL || c->cmsg_level != SOL_TLS)
        return __real_sendmsg(fd, message, flags);
    fake_ktls.sent++;
    fake_ktls.sent_type = *CMSG_DATA(c);
    fake_ktls.sent_size = message->msg_iov->iov_len;
    memcpy(fake_ktls.sent_bytes, message->msg_iov->iov_base, fake_ktls.sent_size);
    return send(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags);
}

static bool is_interrupted(void)
{
    if (fake_ktls.eintr == 0)
        return false;
    fake_ktls.eintr--;
    return true;
}

static bool has_record(int fd)
{
    return fake_ktls.size > 0 && fake_ktls.fd == fd;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    if (is_interrupted())
        return failed(EINTR);
    return has_record(fd) ? failed(EIO) : __real_recv(fd, bytes, size, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    if (is_interrupted())
        return failed(EINTR);
    if (!has_record(fd))
        return __real_recvmsg(fd, message, flags);
    struct cmsghdr *c = message->msg_control;
    c->cmsg_level = SOL_TLS;
    c->cmsg_type = TLS_GET_RECORD_TYPE;
    c->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(c) = fake_ktls.type;
    size_t size = fake_ktls.size;
    memcpy(message->msg_iov->iov_base, fake_ktls.bytes, size);
    fake_ktls.size = 0;
    return (ssize_t)size;
}
/* NOLINTEND(bugprone-reserved-identifier) */
