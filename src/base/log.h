/* The log: one line per event, to stderr, syslog or a file, as logfmt or JSON.
 *
 * The caller builds a line in its own memory and puts it into a bounded buffer, without a lock; one
 * thread per target writes. So no caller waits for a disk, a pipe or a daemon. A line that finds
 * the buffer full, or that the target refuses, is dropped and counted; the next line that is
 * written is preceded by a line with the number of dropped lines.
 *
 * Lines are logged from any thread. Targets are opened and closed by the main thread.
 */
#ifndef ZPROXY_BASE_LOG_H
#define ZPROXY_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_TEXT, /* logfmt */
    LOG_FORMAT_JSON, /* one object a line */
};

enum log_target_kind {
    LOG_TARGET_STDERR,
    LOG_TARGET_SYSLOG,
    LOG_TARGET_FILE,
    LOG_TARGET_SAME, /* access log only: the target of the log */
    LOG_TARGET_OFF,  /* access log only */
};

struct log_target {
    enum log_target_kind kind;
    int facility; /* LOG_TARGET_SYSLOG: LOG_DAEMON... of <syslog.h> */
    char *path;   /* LOG_TARGET_FILE: freed with the target by its owner; else NULL */
};

struct log_settings {
    struct log_target log;
    struct log_target access;
    enum log_level level;
    enum log_format format;
    uid_t owner; /* of a log file that is created, so that zproxy can reopen it after it has */
    gid_t group; /* dropped its privileges; (uid_t)-1, (gid_t)-1: unchanged */
};

#define LOG_LINE_MAX 2048 /* below PIPE_BUF: a pipe takes a line whole or not at all */

/* A line that is being built. A field that does not fit is left out; the line stays well-formed. */
struct log_line {
    bool access;
    enum log_level level;
    size_t len;
    char text[LOG_LINE_MAX];
};

/* Opens the targets. Before the first call lines go to stderr as text, at level info. Until
 * log_start() the thread that logs a line also writes it. Returns 0, or -errno and sets *failed to
 * the path that could not be opened. */
int log_open(const struct log_settings *settings, const char **failed);

/* Starts the threads that write. A process that drops privileges calls it afterwards. Returns 0 or
 * -errno. */
int log_start(void);

/* Reopens the files by name, after a rotation. Lines that the calling thread has ended before go to
 * the old files. If a file cannot be opened, the old one stays in use. The event log_reopen reports
 * the result. */
void log_reopen(void);

/* Lines lost by a log. */
struct log_loss {
    uint64_t dropped;
    uint64_t unreported; /* of these, those that no log_dropped line reports */
};

/* Writes the waiting lines, for LOG_CLOSE_MS at most (one second more for the log, if the access
 * log takes that long), and closes the targets; later lines go to stderr. Unreported losses are
 * reported on stderr, unless stderr is the target or is full. No other thread may log during the
 * call. */
#define LOG_CLOSE_MS 5000
void log_close(void);

enum log_name {
    LOG_MAIN,   /* log */
    LOG_ACCESS, /* access_log */
    LOG_NAME_COUNT,
};
struct log_state {
    bool is_open;     /* false: it has no target of its own */
    bool is_behind;   /* the target is too slow: lines found the buffer full */
    int error;        /* why the target refuses lines at present (positive); 0: it takes them */
    uint64_t dropped; /* lines since the start, also of former processes */
};
void log_state(enum log_name name, struct log_state *state);
/* The key of the configuration: "log" or "access_log". */
const char *log_name(enum log_name name);
/* Adds the losses of the former process. Those that it has not reported are reported by this
 * process. */
void log_add_dropped(enum log_name name, const struct log_loss *loss);
/* The losses from log_open() to the end of log_close(). */
void log_closed_loss(enum log_name name, struct log_loss *loss);

void log_set_level(enum log_level level);
/* The level in force: that of log_open(), or of a later log_set_level(). */
enum log_level log_level(void);
/* The names of the levels, "error" to "debug", by level; NULL after the last. */
extern const char *const log_level_words[];

/* Whether lines of this level are written. Call it before collecting what the line needs. */
bool log_is_enabled(enum log_level level);
/* Whether access lines are written. With access_log = same, log_level filters them too. */
bool log_access_is_enabled(void);

/* Begin a line with its time, level and event. The caller must end each line that it begins. Keys
 * are literals of letters, digits and underscores; values are escaped. */
void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_begin_access(struct log_line *line);
void log_str(struct log_line *line, const char *key, const char *value);
void log_fmt(struct log_line *line, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void log_uint(struct log_line *line, const char *key, uint64_t value);
void log_end(struct log_line *line);

/* Logs a line with one sentence: event=EVENT msg="...", if the level is enabled. */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
