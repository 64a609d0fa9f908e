/* One line per event, to stderr, syslog or a file, as logfmt or JSON.
 *
 * A line is built in the caller's memory and put into a bounded buffer, without a lock; a thread
 * for each target writes it. So no caller waits for a disk, a pipe or a daemon: a line that finds
 * the buffer full, or that the target refuses, is dropped and counted, and the next one that is
 * written is preceded by one that says how many.
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
    LOG_TARGET_SAME, /* access log only: where the log goes */
    LOG_TARGET_OFF,  /* access log only */
};

/* Where lines go. */
struct log_target {
    enum log_target_kind kind;
    int facility; /* LOG_TARGET_SYSLOG: LOG_DAEMON... of <syslog.h> */
    char *path;   /* LOG_TARGET_FILE: owned by whoever owns the target; else NULL */
};

struct log_settings {
    struct log_target log;
    struct log_target access;
    enum log_level level;
    enum log_format format;
    uid_t owner; /* a log file made here is given to this user, so that it can be reopened */
    gid_t group; /* after privileges are gone; (uid_t)-1 and (gid_t)-1 leave it alone */
};

#define LOG_LINE_MAX 2048 /* below PIPE_BUF: a write to a pipe is whole or not at all */

/* A line in the making. Fields that no longer fit are left out, the line stays well formed. */
struct log_line {
    bool access;
    enum log_level level;
    size_t len;
    char text[LOG_LINE_MAX];
};

/* Opens the targets. Before the first call lines go to stderr as text at level info; until
 * log_start() lines are written by their caller. Returns 0, or -errno with *failed naming the path
 * that could not be opened. */
int log_open(const struct log_settings *settings, const char **failed);

/* Starts the threads that write; when there are privileges to drop, after it. Returns 0 or -errno.
 */
int log_start(void);

/* Opens the files again by name (after a rotation): lines that the caller's thread has ended before
 * go to the old one. A file that cannot be opened stays as it was. What came of it is an event,
 * log_reopen. */
void log_reopen(void);

/* Lines that are not in a log. */
struct log_loss {
    uint64_t dropped;
    uint64_t unreported; /* of these, that no log_dropped line tells of */
};

/* Writes what is left, for LOG_CLOSE_MS at most, and closes the targets; later lines go to stderr.
 * What a log has lost without a line that says so is said on stderr, if that is another file and
 * takes it. No other thread may log. */
#define LOG_CLOSE_MS 5000
void log_close(void);

enum log_name {
    LOG_MAIN,   /* log */
    LOG_ACCESS, /* access_log */
    LOG_NAME_COUNT,
};
struct log_state {
    bool is_open;     /* otherwise there is none of its own */
    bool is_behind;   /* the buffer is full: the target does not take lines in time */
    int error;        /* why the target refuses lines at present, positive; 0: it does not */
    uint64_t dropped; /* lines, since the start */
};
void log_state(enum log_name name, struct log_state *state);
/* As the configuration calls it. */
const char *log_name(enum log_name name);
/* Counts lines that the process before this one has dropped; those that it could not tell of are
 * told by this one. */
void log_add_dropped(enum log_name name, const struct log_loss *loss);
/* What was lost from log_open() to the end of log_close(). */
void log_closed_loss(enum log_name name, struct log_loss *loss);

void log_set_level(enum log_level level);
/* The level that is in force: what the configuration says, or log_set_level() after it. */
enum log_level log_level(void);
/* The names of the levels, "error" to "debug", by level; NULL after the last. */
extern const char *const log_level_words[];

/* Whether a line of this level would be written: ask before gathering what it needs. */
bool log_is_enabled(enum log_level level);
/* Whether access lines are written at all. With access_log = same, log_level filters them too. */
bool log_access_is_enabled(void);

/* Begins a line: time, level and event are set. Every begun line is ended. Keys are literals of
 * letters, digits and underscores; values are escaped. */
void log_begin(struct log_line *line, enum log_level level, const char *event);
void log_begin_access(struct log_line *line);
void log_str(struct log_line *line, const char *key, const char *value);
void log_fmt(struct log_line *line, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void log_uint(struct log_line *line, const char *key, uint64_t value);
void log_end(struct log_line *line);

/* A line of one sentence: event=EVENT msg="...". Does nothing where the level is not wanted. */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
