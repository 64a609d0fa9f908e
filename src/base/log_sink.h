/* Where log lines go: an open file, standard error, or the syslog daemon. For one thread at a time.
 *
 * A line is either written or refused. One of which a part was written (a full disk, a full socket)
 * counts as written: its rest is kept and written before anything else, so that no two lines become
 * one.
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
    bool is_socket;  /* can be told not to wait without a flag that others share */
    bool is_journal; /* lines are to begin with their priority, sd-daemon(3) */
    size_t batch;    /* bytes that one write may take; 0: one line */
    size_t ring;     /* bytes of lines that should be able to wait for it */
    int facility;
    const char *path; /* NULL: no file. The caller's */
    uid_t owner;      /* of a file that is made */
    gid_t group;
    size_t partial_length;
    char partial[LOG_LINE_MAX + LOG_SINK_PREFIX]; /* of a line that was cut */
};

/* Opens it; of target the path must stay. Returns 0 or -errno. */
int log_sink_open(struct log_sink *s, const struct log_target *target, uid_t owner, gid_t group);
void log_sink_close(struct log_sink *s);

/* A file is opened again by its name. Returns 0, or -errno and the old one stays. *lost: a line
 * that was cut could not be completed in the old one. */
int log_sink_reopen(struct log_sink *s, bool *lost);

/* What stands before a line of this level, LOG_SINK_PREFIX bytes or none. Returns their number. */
size_t log_sink_prefix(const struct log_sink *s, enum log_level level, char *prefix);

/* Writes whole lines, or the first of them. level and seconds (since the epoch) are syslog's, which
 * takes one line. Returns the bytes that are done with, up to the end of a line; or -EAGAIN: later;
 * or -errno: it does not take any. */
ssize_t log_sink_write(struct log_sink *s, enum log_level level, uint64_t seconds, const char *text,
                       size_t length);

/* Writes the rest of a line that was cut, if there is one. Returns 0 or -errno as above. */
int log_sink_flush_partial(struct log_sink *s);

/* The descriptor that becomes writable; -1: unknown. */
int log_sink_fd(const struct log_sink *s);

/* "log: /var/log/zproxy.log" and the like, for a message. */
const char *log_sink_name(const struct log_sink *s);

#endif
