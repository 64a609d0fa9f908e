/* The target of log lines: an open file, standard error, or the syslog daemon. Used by one thread
 * at a time.
 *
 * A line is written or refused as a whole. If only a part of it was written (a full disk, a full
 * socket), it counts as written: the sink keeps the rest and writes it before anything else, so
 * that two lines never become one.
 */
#ifndef ZPROXY_BASE_LOG_SINK_H
#define ZPROXY_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

#define LOG_SINK_PREFIX 3 /* bytes, "<6>" */

struct log_sink {
    enum log_target_kind kind;
    int fd;
    bool is_socket;  /* written with MSG_DONTWAIT: O_NONBLOCK would affect other processes */
    bool is_journal; /* each line begins with its priority, sd-daemon(3) */
    size_t batch;    /* most bytes of one write; 0: one line */
    size_t ring;     /* size of a buffer for the lines that wait for this target, bytes */
    int facility;
    const char *path; /* NULL: not a file. The caller's */
    uid_t owner;      /* of a file that is created */
    gid_t group;
    size_t partial_length;
    char partial[LOG_LINE_MAX + LOG_SINK_PREFIX]; /* the rest of a line that is partly written */
};

/* Opens the target; target->path must outlive the sink. Returns 0 or -errno. */
int log_sink_open(struct log_sink *s, const struct log_target *target, uid_t owner, gid_t group);
void log_sink_close(struct log_sink *s);

/* Reopens a file by its name. Returns 0, or -errno and the old file stays in use. *lost: a partly
 * written line could not be completed in the old file. */
int log_sink_reopen(struct log_sink *s, bool *lost);

/* Writes what precedes a line of this level to prefix. Returns its length: LOG_SINK_PREFIX or 0. */
size_t log_sink_prefix(const struct log_sink *s, enum log_level level, char *prefix);

/* Writes lines, or the first of them. syslog takes one line, with its level and time (seconds since
 * the epoch). Returns the number of bytes that are done, up to the end of a line; -EAGAIN: the
 * target is full; or -errno: the target refuses lines. */
ssize_t log_sink_write(struct log_sink *s, enum log_level level, uint64_t seconds, const char *text,
                       size_t length);

/* Writes the rest of a partly written line, if there is one. Returns 0 or -errno as above. */
int log_sink_flush_partial(struct log_sink *s);

/* The descriptor for poll(2); -1: none. */
int log_sink_fd(const struct log_sink *s);

/* For messages: the path, "syslog" or "standard error". */
const char *log_sink_name(const struct log_sink *s);

#endif
