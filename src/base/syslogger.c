#include "base/syslogger.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 64

static int fd = -1;
static unsigned users; /* log and access_log may both go to syslog */

static int connect_daemon(void)
{
    const struct sockaddr_un daemon = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    return connect(fd, (const struct sockaddr *)&daemon, sizeof daemon);
}

int syslogger_open(void)
{
    if (users == 0) {
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd == -1)
            return -errno;
        (void)connect_daemon();
    }
    users++;
    return 0;
}

void syslogger_close(void)
{
    if (--users > 0)
        return;
    close(fd);
    fd = -1;
}

static size_t write_head(char head[HEAD_MAX], int priority, uint64_t seconds)
{
    char when[sizeof "Nov 21 05:25:39"];
    struct tm tm;
    time_t written = (time_t)seconds;
    localtime_r(&written, &tm);
    strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
    return (size_t)snprintf(head, HEAD_MAX, "<%d>%s zproxy[%ld]: ", priority, when, (long)getpid());
}

int syslogger_send(int priority, uint64_t seconds, const char *text, size_t len)
{
    char head[HEAD_MAX];
    struct iovec parts[] = {
        { .iov_base = head, .iov_len = write_head(head, priority, seconds) },
        { .iov_base = (void *)text, .iov_len = len },
    };
    const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
        return 0;
    if (errno == EAGAIN || errno == EMSGSIZE)
        return -errno;
    /* the daemon was restarted, or started after us */
    if (connect_daemon() == -1 || sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
        return -errno;
    return 0;
}

int syslogger_fd(void)
{
    return fd;
}
