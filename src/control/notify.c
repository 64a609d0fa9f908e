#include "control/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"

#define RETRY_MS 100

void notify_init(struct notify *n, uv_loop_t *loop)
{
    n->fd = -1;
    n->waiting = 0;
    uv_timer_init(loop, &n->retry); /* cannot fail */
    n->retry.data = n;
}

void notify_open(struct notify *n)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    n->fd = -1;
    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    size_t len = strlen(path);
    if (len >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* an abstract name */
        to.sun_path[0] = '\0';
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (n->fd != -1 && connect(n->fd, (struct sockaddr *)&to, size) == -1)
        notify_close(n);
}

void notify_close(struct notify *n)
{
    if (n->fd != -1)
        close(n->fd);
    n->fd = -1;
    n->waiting = 0;
}

/* ---- messages that are kept ---- */

static bool starts_with(const char *message, const char *word)
{
    return strncmp(message, word, strlen(word)) == 0;
}

static void remove_message(struct notify *n, size_t i)
{
    n->waiting--;
    memmove(n->message[i], n->message[i + 1], (n->waiting - i) * sizeof n->message[0]);
}

/* The STATUS= line of a message, which is its last line; NULL: none. */
static char *notify_status_line(char *message)
{
    if (starts_with(message, "STATUS="))
        return message;
    char *line = strstr(message, "\nSTATUS=");
    return line;
}

static void drop_status(struct notify *n)
{
    for (size_t i = n->waiting; i-- > 0;) {
        char *line = notify_status_line(n->message[i]);
        if (line != NULL)
            *line = '\0';
        if (n->message[i][0] == '\0')
            remove_message(n, i);
    }
}

/* When a reload begins, one before it whose messages are all unsent is dropped. */
static void drop_reload(struct notify *n)
{
    for (size_t i = 0; i + 1 < n->waiting; i++) {
        if (!starts_with(n->message[i], "RELOADING=1") ||
            !starts_with(n->message[i + 1], "READY=1"))
            continue;
        remove_message(n, i + 1);
        remove_message(n, i);
        return;
    }
}

static bool has_watchdog(const struct notify *n)
{
    for (size_t i = 0; i < n->waiting; i++)
        if (starts_with(n->message[i], "WATCHDOG=1"))
            return true;
    return false;
}

static void notify_add(struct notify *n, char *text)
{
    if (notify_status_line(text) != NULL)
        drop_status(n);
    if (starts_with(text, "RELOADING=1"))
        drop_reload(n);
    if (starts_with(text, "WATCHDOG=1") && has_watchdog(n))
        return;
    if (n->waiting == NOTIFY_WAITING)
        remove_message(n, 0);
    memcpy(n->message[n->waiting++], text, NOTIFY_MAX);
}

/* ---- sending ---- */

static void send_waiting(struct notify *n)
{
    while (n->waiting > 0) {
        const char *text = n->message[0];
        if (send(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
            return;
        remove_message(n, 0);
    }
}

/* A timer, since epoll does not report room in the queue of the receiving socket. */
static void notify_on_retry(uv_timer_t *timer)
{
    struct notify *n = timer->data;
    if (n->fd != -1)
        send_waiting(n);
    if (n->waiting == 0)
        uv_timer_stop(timer);
}

void notify_send(struct notify *n, const char *fmt, ...)
{
    char text[NOTIFY_MAX] = { 0 };
    va_list args;
    if (n->fd == -1)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    notify_add(n, text);
    send_waiting(n);
    if (n->waiting > 0 && !uv_is_closing((uv_handle_t *)&n->retry))
        uv_timer_start(&n->retry, notify_on_retry, RETRY_MS, RETRY_MS);
}

void notify_ready(struct notify *n, uint64_t workers, bool took_over)
{
    char main_pid[32] = "";
    char text[HUMAN_MAX];
    if (took_over)
        snprintf(main_pid, sizeof main_pid, "MAINPID=%ld\n", (long)getpid());
    notify_send(n, "READY=1\n%sSTATUS=relaying with %s", main_pid,
                human_count(workers, "worker", text));
}

void notify_flush(struct notify *n, uint64_t timeout)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    for (uint64_t waited = 0; n->fd != -1; waited += 10) {
        send_waiting(n);
        if (n->waiting == 0 || waited >= timeout)
            return;
        nanosleep(&pause, NULL);
    }
}

/* ---- a barrier ---- */

/* Sends BARRIER=1, alone as the manager wants it, with a descriptor. */
static bool send_barrier(const struct notify *n, int fd)
{
    static const char text[] = "BARRIER=1";
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec part = { .iov_base = (char *)text, .iov_len = sizeof text - 1 };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes };
    m.msg_controllen = sizeof control.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(n->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != -1;
}

/* The manager closes the writing end of a pipe. One that does not know the message, or takes no
 * descriptors, closes it as well. */
int notify_barrier(const struct notify *n)
{
    int ends[2];
    if (n->fd == -1 || n->waiting > 0 || pipe2(ends, O_CLOEXEC) == -1)
        return -1;
    bool sent = send_barrier(n, ends[1]);
    close(ends[1]);
    if (sent)
        return ends[0];
    close(ends[0]);
    return -1;
}

bool notify_barrier_is_over(int barrier)
{
    struct pollfd closed = { .fd = barrier };
    return poll(&closed, 1, 0) == 1;
}
