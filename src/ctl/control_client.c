#include "ctl/control_client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FAILED      "error: "
#define FAILED_JSON "{\"errors\":"

/* path: an address as in zproxy.ini(5), or a path alone. Returns the socket or -errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    path += strncmp(path, "unix:", 5) == 0 ? 5 : 0;
    size_t length = strlen(path);
    if (length >= sizeof at.sun_path)
        return -ENAMETOOLONG;
    memcpy(at.sun_path, path, length);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (path[0] == '@')
        at.sun_path[0] = '\0';
    else
        size++;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&at, size) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

int control_client_open(struct control_client *t, const char *path)
{
    int fd = connect_to(path);
    t->path = path;
    t->stream = fd < 0 ? NULL : fdopen(fd, "r+");
    if (fd < 0)
        return fd;
    if (t->stream != NULL) {
        control_client_set_timeout(t, t->timeout);
        return 0;
    }
    close(fd);
    return -ENOMEM;
}

void control_client_close(struct control_client *t)
{
    if (t->stream != NULL)
        fclose(t->stream);
    t->stream = NULL;
}

void control_client_set_timeout(struct control_client *t, uint64_t ms)
{
    const struct timeval time = { .tv_sec = (time_t)(ms / 1000),
                                  .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
    t->timeout = ms;
    if (t->stream != NULL)
        (void)setsockopt(fileno(t->stream), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

pid_t control_client_peer(const struct control_client *t)
{
    struct ucred peer = { .pid = 0 };
    socklen_t size = sizeof peer;
    if (t->stream == NULL ||
        getsockopt(fileno(t->stream), SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1)
        return 0;
    return peer.pid;
}

bool control_client_await_end(const struct control_client *t, uint64_t ms)
{
    struct pollfd fd = { .fd = fileno(t->stream), .events = POLLIN };
    return poll(&fd, 1, ms < INT_MAX ? (int)ms : INT_MAX) == 1;
}

/* Writes to the descriptor: a stdio stream must seek between reading and writing, and a socket
 * cannot seek. */
static int control_client_send_line(FILE *stream, bool json, const char *command)
{
    char *line = NULL;
    int length = asprintf(&line, "%s%s\n", json ? "json " : "", command);
    if (length < 0)
        return -ENOMEM;
    int rc = 0;
    for (int sent = 0; sent < length && rc == 0;) {
        ssize_t n = send(fileno(stream), line + sent, (size_t)(length - sent), MSG_NOSIGNAL);
        if (n == -1 && errno != EINTR)
            rc = -errno;
        sent += n > 0 ? (int)n : 0;
    }
    free(line);
    return rc;
}

static int control_client_read_answer(FILE *stream, char **answer)
{
    char *line = NULL;
    size_t room = 0;
    size_t size = 0;
    ssize_t n = 0;
    FILE *out = open_memstream(answer, &size);
    if (out == NULL)
        return -ENOMEM;
    while ((n = getline(&line, &room, stream)) > 0 && strcmp(line, "\n") != 0)
        fwrite(line, 1, (size_t)n, out);
    int end = n < 0 && ferror(stream) && errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
    free(line);
    if (fclose(out) == 0 && n > 0)
        return 0;
    free(*answer);
    *answer = NULL;
    return n > 0 ? -ENOMEM : end;
}

static int request_once(struct control_client *t, bool json, const char *command, char **answer)
{
    *answer = NULL;
    int rc = t->stream == NULL ? -EPIPE : control_client_send_line(t->stream, json, command);
    return rc < 0 ? rc : control_client_read_answer(t->stream, answer);
}

int control_client_request(struct control_client *t, bool json, const char *command, char **answer)
{
    int rc = request_once(t, json, command, answer);
    if (rc != -EPIPE && rc != -ECONNRESET)
        return rc;
    control_client_close(t);
    rc = control_client_open(t, t->path);
    return rc < 0 ? rc : request_once(t, json, command, answer);
}

bool control_client_has_failed(const char *answer, bool json)
{
    const char *mark = json ? FAILED_JSON : FAILED;
    return strncmp(answer, mark, strlen(mark)) == 0;
}

void control_client_print(const char *answer, bool json)
{
    if (!control_client_has_failed(answer, json)) {
        fputs(answer, stdout);
        fflush(stdout);
        return;
    }
    while (*answer != '\0') {
        size_t length = strcspn(answer, "\n");
        bool marked = !json && strncmp(answer, FAILED, strlen(FAILED)) == 0;
        size_t skip = marked ? strlen(FAILED) : 0;
        fprintf(stderr, "%s%.*s\n", json ? "" : "zproxyctl: ", (int)(length - skip), answer + skip);
        answer += length + (answer[length] == '\n');
    }
}
