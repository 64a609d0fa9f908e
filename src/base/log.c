#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/log_writer.h"
#include "base/node.h"
#include "base/safe_open.h"
#include "base/utf8.h"

/* The room for fields: the line ends with "}\n". */
#define LINE_TEXT_MAX (LOG_LINE_MAX - 2)
/* A formatted value is cut at this length: longer ones would not fit once they are escaped. */
#define VALUE_MAX 1024

/* Written before other threads start, except for the atomics. writers: NULL for stderr, and for an
 * access log as in access_kind. */
static struct log_writer *writers[LOG_NAME_COUNT];
static struct log_loss losses[LOG_NAME_COUNT]; /* of closed writers */
static enum log_target_kind access_kind = LOG_TARGET_SAME;
static enum log_format format = LOG_FORMAT_TEXT;
static _Atomic int level_threshold = LOG_LEVEL_INFO;
static _Atomic int reopens_pending; /* requests, and log_reopen() itself while it runs */
static _Atomic bool reopen_failed;

const char *const log_level_words[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     [LOG_LEVEL_DEBUG + 1] = NULL,
};

static void line_begin(struct log_line *line, const char *event);
static void line_end(struct log_line *line);

/* ---- Reports of writers ---- */

/* Threads of writers call it: log_close() clears writers[LOG_MAIN] last, when none of them runs. */
static enum log_name log_name_of(const struct log_writer *w)
{
    return w == writers[LOG_MAIN] ? LOG_MAIN : LOG_ACCESS;
}

static size_t on_dropped(const struct log_writer *w, uint64_t lines, char *text)
{
    struct log_line line = { .access = log_name_of(w) == LOG_ACCESS, .level = LOG_LEVEL_WARNING };
    line_begin(&line, "log_dropped");
    log_uint(&line, "lines", lines);
    line_end(&line);
    memcpy(text, line.text, line.len);
    return line.len;
}

/* Writes to stderr unless it is a full pipe: a thread must not wait for it. */
static void write_stderr(const char *text)
{
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0)
        (void)!write(STDERR_FILENO, text, strlen(text));
}

static void on_failed(const struct log_writer *w, int error)
{
    char text[VALUE_MAX];
    char why[HUMAN_ERROR_MAX];
    enum log_name name = log_name_of(w);
    bool is_stderr = log_writer_kind(w) == LOG_TARGET_STDERR;
    snprintf(text, sizeof text, "zproxy: [global] %s: %s: %s: lines are lost\n", log_name(name),
             log_writer_name(w), human_error(error, why));
    if (!is_stderr)
        write_stderr(text);
    if (name == LOG_ACCESS)
        log_msg(LOG_LEVEL_ERROR, "log_failed", "%s: %s: %s: lines are lost", log_name(name),
                log_writer_name(w), why);
}

/* The last request to finish reports success if none has failed. */
static void reopen_done(void)
{
    /* acq_rel: the last thread sees reopen_failed as the others have set it */
    if (atomic_fetch_sub_explicit(&reopens_pending, 1, memory_order_acq_rel) == 1 &&
        !atomic_load_explicit(&reopen_failed, memory_order_relaxed))
        log_msg(LOG_LEVEL_NOTICE, "log_reopen", "log files reopened");
}

static void on_reopened(const struct log_writer *w, int rc)
{
    if (rc < 0) {
        atomic_store_explicit(&reopen_failed, true, memory_order_relaxed);
        log_msg(LOG_LEVEL_ERROR, "log_reopen", "%s: %s; the old file is kept", log_writer_name(w),
                safe_open_strerror(rc));
    }
    reopen_done();
}

static const struct log_writer_callbacks callbacks = { on_dropped, on_failed, on_reopened };

/* ---- Targets ---- */

int log_open(const struct log_settings *settings, const char **failed)
{
    const struct log_target *const targets[] = { &settings->log, &settings->access };
    int rc = 0;
    log_close();
    format = settings->format;
    access_kind = settings->access.kind;
    log_set_level(settings->level);
    for (int i = 0; i < LOG_NAME_COUNT && rc == 0; i++) {
        if (targets[i]->kind == LOG_TARGET_SAME || targets[i]->kind == LOG_TARGET_OFF)
            continue;
        rc = log_writer_new(&writers[i], targets[i], settings->owner, settings->group, &callbacks);
        if (rc < 0)
            *failed = targets[i]->path;
    }
    if (rc < 0)
        log_close();
    return rc;
}

int log_start(void)
{
    static const char *const names[] = { "log-writer", "access-writer" };
    int rc = 0;
    for (int i = 0; i < LOG_NAME_COUNT && rc == 0; i++)
        if (writers[i] != NULL)
            rc = log_writer_start(writers[i], names[i]);
    return rc;
}

void log_reopen(void)
{
    /* A pending request does not stand for this call: one of the files may have been reopened and
     * renamed again since. */
    if (atomic_fetch_add_explicit(&reopens_pending, 1, memory_order_relaxed) == 0)
        atomic_store_explicit(&reopen_failed, false, memory_order_relaxed);
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        if (writers[i] == NULL)
            continue;
        atomic_fetch_add_explicit(&reopens_pending, 1, memory_order_relaxed);
        if (!log_writer_reopen(writers[i]))
            reopen_done();
    }
    reopen_done();
}

/* The least time for the log, after the access log has used up LOG_CLOSE_MS. */
#define LOG_CLOSE_LAST_MS 1000

static uint64_t log_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Closes a log and reports its losses on stderr, since no line can report them any more. */
static void close_writer(enum log_name name, uint64_t deadline)
{
    struct log_writer *w = writers[name];
    struct log_loss *loss = &losses[name];
    char target[VALUE_MAX / 2];
    char text[VALUE_MAX];
    *loss = (struct log_loss){ 0, 0 };
    if (w == NULL)
        return;
    bool is_stderr = log_writer_kind(w) == LOG_TARGET_STDERR;
    snprintf(target, sizeof target, "%s", log_writer_name(w));
    log_writer_free(w, deadline, loss);
    writers[name] = NULL;
    if (loss->unreported == 0 || is_stderr)
        return;
    snprintf(text, sizeof text,
             "zproxy: [global] %s: %s: %" PRIu64 " lines could not be written and are lost\n",
             log_name(name), target, loss->unreported);
    write_stderr(text);
}

void log_close(void)
{
    uint64_t deadline = log_clock_ms() + LOG_CLOSE_MS;
    /* The access log first: until its thread has ended, it may add lines to the log. */
    for (int i = LOG_NAME_COUNT - 1; i >= 0; i--) {
        if (writers[i] != NULL)
            log_writer_stop(writers[i]);
        close_writer((enum log_name)i, deadline);
        if (deadline < log_clock_ms() + LOG_CLOSE_LAST_MS)
            deadline = log_clock_ms() + LOG_CLOSE_LAST_MS;
    }
    access_kind = LOG_TARGET_SAME;
}

void log_state(enum log_name name, struct log_state *state)
{
    const struct log_writer *w = writers[name];
    *state = (struct log_state){ .is_open = w != NULL };
    if (w == NULL)
        return;
    state->dropped = log_writer_dropped(w);
    state->error = log_writer_error(w);
    state->is_behind = log_writer_unreported(w) > 0;
}

const char *log_name(enum log_name name)
{
    return name == LOG_ACCESS ? "access_log" : "log";
}

void log_add_dropped(enum log_name name, const struct log_loss *loss)
{
    if (writers[name] != NULL)
        log_writer_add_dropped(writers[name], loss);
}

void log_closed_loss(enum log_name name, struct log_loss *loss)
{
    *loss = losses[name];
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_threshold, (int)level, memory_order_relaxed);
}

enum log_level log_level(void)
{
    return (enum log_level)atomic_load_explicit(&level_threshold, memory_order_relaxed);
}

bool log_is_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_threshold, memory_order_relaxed);
}

bool log_access_is_enabled(void)
{
    if (access_kind == LOG_TARGET_SAME)
        return log_is_enabled(LOG_LEVEL_INFO);
    return access_kind != LOG_TARGET_OFF;
}

/* ---- Building a line ---- */

/* After an overflow nothing is added until drop_overflow() removes the field. */
static void log_put(struct log_line *line, const char *text, size_t n)
{
    if (line->len > LINE_TEXT_MAX || n > LINE_TEXT_MAX - line->len) {
        line->len = LINE_TEXT_MAX + 1;
        return;
    }
    memcpy(line->text + line->len, text, n);
    line->len += n;
}

static void log_put_string(struct log_line *line, const char *text)
{
    log_put(line, text, strlen(text));
}

static void put_hex(struct log_line *line, const char *prefix, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    const char hex[] = { digits[byte >> 4], digits[byte & 15] };
    log_put_string(line, prefix);
    log_put(line, hex, sizeof hex);
}

/* The letter of an escape that logfmt and JSON share; 0: c has none. */
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

/* Writes a control character, or a byte that is not UTF-8. */
typedef void put_escape_fn(struct log_line *line, unsigned char byte);

static void put_escape_text(struct log_line *line, unsigned char byte)
{
    put_hex(line, "\\x", byte);
}

static void put_escape_json(struct log_line *line, unsigned char byte)
{
    if (byte < 0x80)
        put_hex(line, "\\u00", byte);
    else
        log_put_string(line, "\xef\xbf\xbd"); /* U+FFFD */
}

static void put_quoted(struct log_line *line, const char *value, put_escape_fn *put_escape)
{
    size_t left = strlen(value);
    log_put(line, "\"", 1);
    while (left > 0) {
        size_t n = utf8_length(value, left);
        const char escape[] = { '\\', escape_of(*value) };
        if (escape[1] != 0)
            log_put(line, escape, sizeof escape);
        else if (n == 0 || is_control(*value))
            put_escape(line, (unsigned char)*value);
        else
            log_put(line, value, n);
        n = n == 0 ? 1 : n;
        value += n;
        left -= n;
    }
    log_put(line, "\"", 1);
}

/* Whether the value needs no quotes in logfmt. */
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

static void log_put_value(struct log_line *line, const char *value)
{
    if (format == LOG_FORMAT_JSON)
        put_quoted(line, value, put_escape_json);
    else if (is_bare(value))
        log_put_string(line, value);
    else
        put_quoted(line, value, put_escape_text);
}

static void put_key(struct log_line *line, const char *key)
{
    if (format == LOG_FORMAT_JSON) {
        log_put(line, line->len == 0 ? "{\"" : ",\"", 2);
        log_put_string(line, key);
        log_put(line, "\":", 2);
    } else {
        log_put(line, " ", line->len == 0 ? 0 : 1);
        log_put_string(line, key);
        log_put(line, "=", 1);
    }
}

/* Removes a field that did not fit. */
static void drop_overflow(struct log_line *line, size_t begin)
{
    if (line->len > LINE_TEXT_MAX)
        line->len = begin;
}

static struct log_writer *writer_of(const struct log_line *line)
{
    return writers[line->access && access_kind != LOG_TARGET_SAME ? LOG_ACCESS : LOG_MAIN];
}

/* Each thread formats the part up to the seconds once a second. */
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
    log_put_string(line, format == LOG_FORMAT_JSON ? "\"" : "");
    log_put_string(line, text);
    log_put(line, millis, 4);
    log_put_string(line, format == LOG_FORMAT_JSON ? "\"" : "");
}

/* The characters of a name need no quotes or escapes. */
static void put_node(struct log_line *line, const struct node *node)
{
    const char *quote = format == LOG_FORMAT_JSON ? "\"" : "";
    put_key(line, "node");
    log_put_string(line, quote);
    log_put_string(line, node->name);
    log_put_string(line, quote);
}

/* syslogger adds the time, and the daemon of syslog the host's name. */
static void line_begin(struct log_line *line, const char *event)
{
    const struct log_writer *w = writer_of(line);
    const struct node *node = node_get();
    bool is_syslog = w != NULL && log_writer_kind(w) == LOG_TARGET_SYSLOG;
    line->len = 0;
    if (!is_syslog)
        put_time(line);
    log_str(line, "level", log_level_words[line->level]);
    log_str(line, "event", event);
    if (node != NULL && !(is_syslog && node->is_host))
        put_node(line, node);
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
    log_put_value(line, value);
    drop_overflow(line, begin);
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
    log_put(line, at, (size_t)(digits + sizeof digits - at));
    drop_overflow(line, begin);
}

/* ---- Ending a line ---- */

static void line_end(struct log_line *line)
{
    assert(line->len > 0 && line->len <= LINE_TEXT_MAX);
    if (format == LOG_FORMAT_JSON)
        line->text[line->len++] = '}';
    line->text[line->len++] = '\n';
}

void log_end(struct log_line *line)
{
    struct log_writer *w = writer_of(line);
    int saved = errno;
    if (line->access ? !log_access_is_enabled() : !log_is_enabled(line->level))
        return;
    line_end(line);
    if (w != NULL)
        log_writer_put(w, line->level, line->text, line->len);
    else
        (void)!write(STDERR_FILENO, line->text, line->len);
    errno = saved;
}

void log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
    struct log_line line;
    va_list args;
    if (!log_is_enabled(level))
        return;
    log_begin(&line, level, event);
    va_start(args, fmt);
    log_vfmt(&line, "msg", fmt, args);
    va_end(args);
    log_end(&line);
}
