/* One target of log lines with a thread that writes to it, so that no other thread ever waits for a
 * disk, a pipe or a daemon.
 *
 * A line that finds the buffer full, or that the target refuses (a full disk), is dropped and
 * counted; the next line that is written is preceded by one that says how many. Lines of one thread
 * keep their order, also around a reopening.
 */
#ifndef ZPROXY_BASE_LOG_WRITER_H
#define ZPROXY_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

struct log_writer;

/* What a writer says; from the thread that writes. */
struct log_writer_callbacks {
    /* Writes the line that tells of dropped lines, LOG_LINE_MAX bytes at most. Returns its length.
     */
    size_t (*dropped)(const struct log_writer *w, uint64_t lines, char *text);
    /* The target refuses lines; once, until it takes them again. error: positive. */
    void (*failed)(const struct log_writer *w, int error);
    /* The file has been opened again (0), or not (-errno). */
    void (*reopened)(const struct log_writer *w, int rc);
};

/* Opens the target. Until the thread is started, lines are written by their caller. Returns 0 or
 * -errno. */
int log_writer_new(struct log_writer **out, const struct log_target *target, uid_t owner,
                   gid_t group, const struct log_writer_callbacks *callbacks);

/* Starts the thread. Returns 0 or -errno. */
int log_writer_start(struct log_writer *w, const char *thread_name);

/* From any thread. A line ends with its '\n'. */
void log_writer_put(struct log_writer *w, enum log_level level, const char *text, size_t length);

/* Opens a file again by its name, after the lines that were put before, and calls reopened().
 * Returns false: an order that waits already does it, and reopened() is called once for both. */
bool log_writer_reopen(struct log_writer *w);

/* Ends a writer whose lines no thread puts any more. Stop: what waits is to be written. Free: waits
 * for that until `deadline` (ms, CLOCK_MONOTONIC), then frees it, and tells in *loss what was lost
 * since the beginning; a thread that hangs in the kernel keeps its memory. */
void log_writer_stop(struct log_writer *w);
void log_writer_free(struct log_writer *w, uint64_t deadline, struct log_loss *loss);

enum log_target_kind log_writer_kind(const struct log_writer *w);
const char *log_writer_name(const struct log_writer *w);

/* Lines dropped since the beginning; why the target refuses lines at present (positive), or 0. */
uint64_t log_writer_dropped(const struct log_writer *w);
/* Of these, lines that found the buffer full and that no line tells of yet: the target is behind.
 */
uint64_t log_writer_unreported(const struct log_writer *w);
/* Counts lines that another process has dropped; what it told of no line is told here. */
void log_writer_add_dropped(struct log_writer *w, const struct log_loss *loss);
int log_writer_error(const struct log_writer *w);

#endif
