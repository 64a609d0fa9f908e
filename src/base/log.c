#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
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
#include "base/utf8.h"

/* What a line may fill: the rest is for what ends it, "}\n". */
#define LINE_ROOM (LOG_LINE_MAX - 2)
/* A formatted value is cut here, so that with all of its bytes escaped it has a chance to fit. */
#define VALUE_MAX 1024

struct sink {
    enum log_kind kind;
    int fd;
    bool is_socket; /* can be told not to wait without a flag that others share */
    int facility;
    char *path;
    _Atomic uint64_t dropped;
};

/* All but the level and the counters is written before there are threads. */
static struct sink main_sink = { .kind = LOG_KIND_STDERR, .fd = STDERR_FILENO };
static struct sink access_sink = { .kind = LOG_KIND_SAME, .fd = -1 };
static enum log_format format = LOG_FORMAT_TEXT;
static uid_t file_owner = (uid_t)-1;
static gid_t file_group = (gid_t)-1;
static _Atomic int least_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

static const int syslog_priorities[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR, [LOG_LEVEL_WARNING] = LOG_WARNING, [LOG_LEVEL_NOTICE] = LOG_NOTICE,
    [LOG_LEVEL_INFO] = LOG_INFO, [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* --- Sinks --- */

static int file_open(const char *path)
{
    return safe_open_append(path, 0640, file_owner, file_group);
}

/* O_NONBLOCK belongs to the open file, which a shell or a pipeline shares with us: open it anew. A
 * regular file never blocks, and has a position that we share for good. */
static int stderr_open(bool *is_socket)
{
    struct stat st;
    bool known = fstat(STDERR_FILENO, &st) == 0;
    *is_socket = known && S_ISSOCK(st.st_mode);
    if (*is_socket || (known && S_ISREG(st.st_mode)))
        return STDERR_FILENO;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd == -1 ? STDERR_FILENO : fd;
}

static int sink_open(struct sink *s, const struct log_target *to)
{
    int fd = -1;
    s->kind = to->kind;
    s->facility = to->facility;
    switch (to->kind) {
    case LOG_KIND_STDERR:
        fd = stderr_open(&s->is_socket);
        break;
    case LOG_KIND_FILE:
        if ((s->path = strdup(to->path)) == NULL)
            return -ENOMEM;
        if ((fd = file_open(to->path)) < 0)
            return fd;
        break;
    case LOG_KIND_SYSLOG:
        return syslogger_open();
    case LOG_KIND_SAME:
    case LOG_KIND_OFF:
        break;
    }
    s->fd = fd;
    return 0;
}

static int sink_reopen(struct sink *s)
{
    if (s->kind != LOG_KIND_FILE)
        return 0;
    int fd = file_open(s->path);
    if (fd < 0)
        return fd;
    int rc = dup3(fd, s->fd, O_CLOEXEC) == -1 ? -errno : 0; /* a writer sees the old or the new */
    close(fd);
    return rc;
}

static void sink_close(struct sink *s)
{
    if (s->fd != -1 && s->fd != STDERR_FILENO)
        close(s->fd);
    if (s->kind == LOG_KIND_SYSLOG)
        syslogger_close();
    free(s->path);
    s->path = NULL;
    s->fd = -1;
    s->is_socket = false;
    atomic_store(&s->dropped, 0);
}

static bool sink_write(const struct sink *s, enum log_level level, const char *text, size_t len)
{
    ssize_t n = 0;
    if (s->kind == LOG_KIND_SYSLOG) /* a datagram needs no end of line */
        return syslogger_send(s->facility | syslog_priorities[level], text, len - 1);
    do {
        n = s->is_socket ? send(s->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(s->fd, text, len);
    } while (n == -1 && errno == EINTR);
    return n != -1;
}

int log_open(const struct log_settings *settings, const char **failed)
{
    int rc = 0;
    log_close();
    format = settings->format;
    file_owner = settings->owner;
    file_group = settings->group;
    log_set_level(settings->level);
    if ((rc = sink_open(&main_sink, &settings->log)) < 0)
        *failed = settings->log.path;
    else if ((rc = sink_open(&access_sink, &settings->access)) < 0)
        *failed = settings->access.path;
    if (rc < 0)
        log_close();
    return rc;
}

int log_reopen(const char **failed)
{
    struct sink *const sinks[] = { &main_sink, &access_sink };
    int rc = 0;
    for (size_t i = 0; i < sizeof sinks / sizeof *sinks; i++) {
        int sink_rc = sink_reopen(sinks[i]);
        if (sink_rc == 0 || rc < 0)
            continue; /* one failure is told, both are tried */
        rc = sink_rc;
        *failed = sinks[i]->path;
    }
    return rc;
}

void log_close(void)
{
    sink_close(&main_sink);
    sink_close(&access_sink);
    main_sink.kind = LOG_KIND_STDERR;
    main_sink.fd = STDERR_FILENO;
    access_sink.kind = LOG_KIND_SAME;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

bool log_wanted(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&least_level, memory_order_relaxed);
}

bool log_access_wanted(void)
{
    if (access_sink.kind == LOG_KIND_SAME)
        return log_wanted(LOG_LEVEL_INFO);
    return access_sink.kind != LOG_KIND_OFF;
}

/* --- Building a line --- */

/* A line that has overflown stays so until its field is taken back. */
static void put(struct log_line *line, const char *text, size_t n)
{
    if (line->len > LINE_ROOM || n > LINE_ROOM - line->len) {
        line->len = LINE_ROOM + 1;
        return;
    }
    memcpy(line->text + line->len, text, n);
    line->len += n;
}

static void put_string(struct log_line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_hex(struct log_line *line, const char *prefix, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char hex[] = { digits[byte >> 4], digits[byte & 15] };
    put_string(line, prefix);
    put(line, hex, sizeof hex);
}

/* The escapes that logfmt and JSON have in common; 0 where c has none. */
static char escape_of(char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Writes a byte that may not stand in a value as it is: a control, or not UTF-8. */
typedef void put_odd_fn(struct log_line *line, unsigned char byte);

static void put_odd_text(struct log_line *line, unsigned char byte)
{
    put_hex(line, "\\x", byte);
}

static void put_odd_json(struct log_line *line, unsigned char byte)
{
    if (byte < 0x80)
        put_hex(line, "\\u00", byte);
    else
        put_string(line, "\xef\xbf\xbd"); /* U+FFFD */
}

static void put_quoted(struct log_line *line, const char *value, put_odd_fn *put_odd)
{
    size_t left = strlen(value);
    put(line, "\"", 1);
    while (left > 0) {
        size_t n = utf8_length(value, left);
        const char escape[] = { '\\', escape_of(*value) };
        if (escape[1] != 0)
            put(line, escape, sizeof escape);
        else if (n == 0 || is_control(*value))
            put_odd(line, (unsigned char)*value);
        else
            put(line, value, n);
        n = n == 0 ? 1 : n;
        value += n;
        left -= n;
    }
    put(line, "\"", 1);
}

/* Whether logfmt takes the value as it is. */
static bool is_bare(const char *value)
{
    size_t left = strlen(value);
    if (left == 0)
        return false;
    while (left > 0) {
        size_t n = utf8_length(value, left);
        if (n == 0 || *value == ' ' || *value == '=' || escape_of(*value) || is_control(*value))
            return false;
        value += n;
        left -= n;
    }
    return true;
}

static void put_value(struct log_line *line, const char *value)
{
    if (format == LOG_FORMAT_JSON)
        put_quoted(line, value, put_odd_json);
    else if (is_bare(value))
        put_string(line, value);
    else
        put_quoted(line, value, put_odd_text);
}

static void put_key(struct log_line *line, const char *key)
{
    if (format == LOG_FORMAT_JSON) {
        put(line, line->len == 0 ? "{\"" : ",\"", 2);
        put_string(line, key);
        put(line, "\":", 2);
    } else {
        put(line, " ", line->len == 0 ? 0 : 1);
        put_string(line, key);
        put(line, "=", 1);
    }
}

/* Takes back a field that did not fit. */
static void end_field(struct log_line *line, size_t begin)
{
    if (line->len > LINE_ROOM)
        line->len = begin;
}

static struct sink *sink_of(const struct log_line *line)
{
    return line->access && access_sink.kind != LOG_KIND_SAME ? &access_sink : &main_sink;
}

/* The part that changes once a second is kept. */
static void put_time(struct log_line *line)
{
    static _Thread_local time_t second = -1;
    static _Thread_local char text[sizeof "2026-11-21T05:25:39."];
    struct timespec now;
    char millis[sizeof "000Z"];

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
        second = now.tv_sec;
    }
    unsigned ms = (unsigned)(now.tv_nsec / 1000000);
    millis[0] = (char)('0' + ms / 100);
    millis[1] = (char)('0' + ms / 10 % 10);
    millis[2] = (char)('0' + ms % 10);
    millis[3] = 'Z';
    put_key(line, "time");
    put_string(line, format == LOG_FORMAT_JSON ? "\"" : "");
    put_string(line, text);
    put(line, millis, 4);
    put_string(line, format == LOG_FORMAT_JSON ? "\"" : "");
}

static void line_begin(struct log_line *line, const char *event)
{
    line->len = 0;
    if (sink_of(line)->kind != LOG_KIND_SYSLOG) /* which writes the time itself */
        put_time(line);
    log_str(line, "level", level_names[line->level]);
    log_str(line, "event", event);
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    line->access = false;
    line->level = level;
    line_begin(line, event);
}

void log_begin_access(struct log_line *line)
{
    line->access = true;
    line->level = LOG_LEVEL_INFO;
    line_begin(line, "session");
}

void log_str(struct log_line *line, const char *key, const char *value)
{
    size_t begin = line->len;
    put_key(line, key);
    put_value(line, value);
    end_field(line, begin);
}

static void __attribute__((format(printf, 3, 0)))
log_vfmt(struct log_line *line, const char *key, const char *fmt, va_list args)
{
    char value[VALUE_MAX];
    vsnprintf(value, sizeof value, fmt, args);
    log_str(line, key, value);
}

void log_fmt(struct log_line *line, const char *key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_vfmt(line, key, fmt, args);
    va_end(args);
}

void log_uint(struct log_line *line, const char *key, uint64_t value)
{
    size_t begin = line->len;
    char digits[20];
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_key(line, key);
    put(line, at, (size_t)(digits + sizeof digits - at));
    end_field(line, begin);
}

/* --- Ending a line --- */

static void line_close(struct log_line *line)
{
    assert(line->len > 0 && line->len <= LINE_ROOM);
    if (format == LOG_FORMAT_JSON)
        line->text[line->len++] = '}';
    line->text[line->len++] = '\n';
}

/* Says how many lines were lost before this one. */
static bool report_dropped(struct sink *s, bool access)
{
    uint64_t lines = atomic_exchange(&s->dropped, 0);
    if (lines == 0)
        return true;
    struct log_line line = { .access = access, .level = LOG_LEVEL_WARNING };
    line_begin(&line, "log_dropped");
    log_uint(&line, "lines", lines);
    line_close(&line);
    if (sink_write(s, line.level, line.text, line.len))
        return true;
    atomic_fetch_add(&s->dropped, lines);
    return false;
}

void log_end(struct log_line *line)
{
    struct sink *s = sink_of(line);
    int saved = errno;
    if (line->access ? !log_access_wanted() : !log_wanted(line->level))
        return;
    line_close(line);
    if (!report_dropped(s, line->access) || !sink_write(s, line->level, line->text, line->len))
        atomic_fetch_add(&s->dropped, 1);
    errno = saved;
}

void log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_line line;
    va_list args;
    if (!log_wanted(level))
        return;
    log_begin(&line, level, event);
    va_start(args, fmt);
    log_vfmt(&line, "msg", fmt, args);
    va_end(args);
    log_end(&line);
}
