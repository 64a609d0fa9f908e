/* One target of log lines and the thread that writes to it, so that no other thread waits for a
 * disk, a pipe or a daemon.
 *
 * A line that finds the buffer full, or that the target refuses (a full disk), is dropped and
 * counted. The next line that is written is preceded by a line with the number of dropped lines.
 * Lines of one thread keep their order, also relative to a reopening.
 */
#ifndef ZPROXY_BASE_LOG_WRITER_H
#define ZPROXY_BASE_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

struct log_writer;

/* Called by the thread that writes. */
struct log_writer_callbacks {
    /* Formats the line that reports dropped lines, at most LOG_LINE_MAX bytes. Returns its length.
     */
    size_t (*dropped)(const struct log_writer *w, uint64_t lines, char *text);
    /* The target refuses lines; called once, until the target takes lines again. error: positive.
     */
    void (*failed)(const struct log_writer *w, int error);
    /* The file was reopened: rc 0; or it could not be: -errno. */
    void (*reopened)(const struct log_writer *w, int rc);
};

/* Opens the target. Until the thread is started, the caller of log_writer_put() writes. Returns 0
 * or -errno. */
int log_writer_new(struct log_writer **out, const struct log_target *target, uid_t owner,
                   gid_t group, const struct log_writer_callbacks *callbacks);

/* Starts the thread. Returns 0 or -errno. */
int log_writer_start(struct log_writer *w, const char *thread_name);

/* From any thread. The line ends with '\n'. */
void log_writer_put(struct log_writer *w, enum log_level level, const char *text, size_t length);

/* Reopens a file by its name, after the lines that were put before, and calls reopened(). Returns
 * false if a request is pending already: reopened() is then called once for both. */
bool log_writer_reopen(struct log_writer *w);

/* Both are called when no thread puts lines any more. Stop tells the thread to write what waits and
 * end. Free waits for that until `deadline` (ms, CLOCK_MONOTONIC), then frees the writer, and sets
 * *loss to what was lost since the beginning. If the thread hangs in the kernel, its memory is not
 * freed. */
void log_writer_stop(struct log_writer *w);
void log_writer_free(struct log_writer *w, uint64_t deadline, struct log_loss *loss);

enum log_target_kind log_writer_kind(const struct log_writer *w);
const char *log_writer_name(const struct log_writer *w);

/* The lines dropped since the beginning. */
uint64_t log_writer_dropped(const struct log_writer *w);
/* Those of them that found the buffer full and that no line reports yet: above 0 while the target
 * is too slow. */
uint64_t log_writer_unreported(const struct log_writer *w);
/* Adds lines that another process has dropped; this writer reports those of them that are
 * unreported. */
void log_writer_add_dropped(struct log_writer *w, const struct log_loss *loss);
/* Why the target refuses lines at present (an errno, positive); 0: it takes them. */
int log_writer_error(const struct log_writer *w);

#endif
