#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/safe_open.h"
#include "base/syslogger.h"

#define FILE_BATCH (64 * 1024)

/* A file system or a daemon may pause for seconds. The reader of a pipe is a program on this
 * machine that reads all the time. */
#define RING_SIZE      (1024 * 1024)
#define PIPE_RING_SIZE (128 * 1024)

static const int priorities[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR, [LOG_LEVEL_WARNING] = LOG_WARNING, [LOG_LEVEL_NOTICE] = LOG_NOTICE,
    [LOG_LEVEL_INFO] = LOG_INFO, [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* ---- opening ---- */

static int log_sink_file_open(const struct log_sink *s)
{
    return safe_open_append(s->path, 0640, s->owner, s->group);
}

/* Whether the file ends in the middle of a line. *size: of the file. */
static bool ends_mid_line(int fd, off_t *size)
{
    char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];
    char last = '\n';
    struct stat st;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* fd is write-only */
    int reader = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (reader == -1)
        return false;
    *size = st.st_size;
    bool cut = pread(reader, &last, 1, st.st_size - 1) == 1 && last != '\n';
    close(reader);
    return cut;
}

/* Whether a former process left a partial line, on a full disk or by a crash. A line that another
 * process is writing at this moment does not count: the file grows within 10 ms. */
static bool has_partial_line(int fd)
{
    const struct timespec moment = { .tv_nsec = 10 * 1000 * 1000 };
    off_t size = 0;
    off_t later = 0;
    if (!ends_mid_line(fd, &size))
        return false;
    nanosleep(&moment, NULL);
    return ends_mid_line(fd, &later) && size == later;
}

/* O_NONBLOCK applies to the open file description, which other processes (a shell, a pipeline)
 * share: opens a new one. A regular file never blocks, and processes that share its position do not
 * overwrite each other's output: its description stays shared. */
static int stderr_open(void)
{
    struct stat st;
    if (fstat(STDERR_FILENO, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode)))
        return STDERR_FILENO;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd == -1 ? STDERR_FILENO : fd;
}

/* sd_journal_stream_fd(3). The variable is inherited even if standard error was redirected, so the
 * descriptor is compared with it. */
static bool is_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    uint64_t device = 0;
    uint64_t inode = 0;
    struct stat st;
    return text != NULL && sscanf(text, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static bool log_sink_is_stream(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

/* Sets how much one write may take, by kind of target. */
static void log_sink_set_limits(struct log_sink *s)
{
    struct stat st;
    bool known = fstat(s->fd, &st) == 0;
    s->is_socket = known && S_ISSOCK(st.st_mode);
    s->ring = RING_SIZE;
    if (known && S_ISREG(st.st_mode)) {
        s->batch = FILE_BATCH;
    } else if (s->is_socket) {
        s->batch = log_sink_is_stream(s->fd) ? FILE_BATCH : 0;
    } else {
        s->batch = PIPE_BUF; /* atomic, pipe(7): other processes may write to it */
        s->ring = PIPE_RING_SIZE;
    }
}

int log_sink_open(struct log_sink *s, const struct log_target *target, uid_t owner, gid_t group)
{
    *s = (struct log_sink){
        .kind = target->kind,
        .fd = -1,
        .facility = target->facility,
        .path = target->path,
        .owner = owner,
        .group = group,
        .ring = RING_SIZE,
    };
    switch (target->kind) {
    case LOG_TARGET_STDERR:
        s->fd = stderr_open();
        s->is_journal = is_journal(STDERR_FILENO);
        log_sink_set_limits(s);
        break;
    case LOG_TARGET_FILE: {
        int fd = log_sink_file_open(s);
        if (fd < 0)
            return fd;
        s->fd = fd;
        log_sink_set_limits(s);
        s->partial_length = has_partial_line(fd);
        s->partial[0] = '\n';
        break;
    }
    case LOG_TARGET_SYSLOG:
        return syslogger_open();
    case LOG_TARGET_SAME:
    case LOG_TARGET_OFF:
        break;
    }
    return 0;
}

int log_sink_reopen(struct log_sink *s, bool *lost)
{
    *lost = false;
    if (s->kind != LOG_TARGET_FILE)
        return 0;
    int fd = log_sink_file_open(s);
    if (fd < 0)
        return fd;
    *lost = log_sink_flush_partial(s) < 0;
    close(s->fd);
    s->fd = fd;
    log_sink_set_limits(s);
    s->partial_length = has_partial_line(fd);
    s->partial[0] = '\n';
    return 0;
}

void log_sink_close(struct log_sink *s)
{
    if (s->fd != -1 && s->fd != STDERR_FILENO)
        close(s->fd);
    if (s->kind == LOG_TARGET_SYSLOG)
        syslogger_close();
    s->fd = -1;
}

/* ---- writing ---- */

size_t log_sink_prefix(const struct log_sink *s, enum log_level level, char *prefix)
{
    if (!s->is_journal)
        return 0;
    prefix[0] = '<';
    prefix[1] = (char)('0' + priorities[level]);
    prefix[2] = '>';
    return LOG_SINK_PREFIX;
}

static ssize_t write_some(const struct log_sink *s, const char *text, size_t length)
{
    ssize_t n = 0;
    do
        n = s->is_socket ? send(s->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(s->fd, text, length);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n == 0 ? -EIO : n;
}

int log_sink_flush_partial(struct log_sink *s)
{
    while (s->partial_length > 0) {
        ssize_t n = write_some(s, s->partial, s->partial_length);
        if (n < 0)
            return (int)n;
        s->partial_length -= (size_t)n;
        memmove(s->partial, s->partial + n, s->partial_length);
    }
    return 0;
}

/* The length of the whole lines that one write may take; at least one line. */
static size_t log_sink_batch_length(const struct log_sink *s, const char *text, size_t length)
{
    size_t first = (size_t)((const char *)memchr(text, '\n', length) - text) + 1;
    if (s->batch == 0 || first >= s->batch)
        return first;
    if (length <= s->batch)
        return length;
    return (size_t)((const char *)memrchr(text, '\n', s->batch) - text) + 1;
}

/* n of `length` bytes are written: keeps the rest of the line that they end in. Returns the
 * position behind that line. */
static size_t keep_partial(struct log_sink *s, const char *text, size_t n, size_t length)
{
    if (n == length || text[n - 1] == '\n')
        return n;
    s->partial_length = (size_t)((const char *)memchr(text + n, '\n', length - n) - (text + n)) + 1;
    memcpy(s->partial, text + n, s->partial_length);
    return n + s->partial_length;
}

ssize_t log_sink_write(struct log_sink *s, enum log_level level, uint64_t seconds, const char *text,
                       size_t length)
{
    if (s->kind == LOG_TARGET_SYSLOG) { /* a datagram needs no end of line */
        int rc = syslogger_send(s->facility | priorities[level], seconds, text, length - 1);
        return rc < 0 ? rc : (ssize_t)length;
    }
    int rc = log_sink_flush_partial(s);
    if (rc < 0)
        return rc;
    size_t batch = log_sink_batch_length(s, text, length);
    ssize_t n = write_some(s, text, batch);
    return n < 0 ? n : (ssize_t)keep_partial(s, text, (size_t)n, batch);
}

int log_sink_fd(const struct log_sink *s)
{
    return s->kind == LOG_TARGET_SYSLOG ? syslogger_fd() : s->fd;
}

const char *log_sink_name(const struct log_sink *s)
{
    switch (s->kind) {
    case LOG_TARGET_FILE:
        return s->path;
    case LOG_TARGET_SYSLOG:
        return "syslog";
    case LOG_TARGET_STDERR:
    case LOG_TARGET_SAME:
    case LOG_TARGET_OFF:
        break;
    }
    return "standard error";
}
