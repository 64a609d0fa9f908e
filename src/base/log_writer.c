#include "base/log_writer.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log_ring.h"
#include "base/log_sink.h"
#include "base/stats.h"

/* The thread writes lines in batches: after the first line it waits this long for more. It does not
 * wait after a line of level warning or above, or when the buffer has filled to a part of its size.
 */
#define BATCH_DELAY_MS      10
#define URGENT_FILL_DIVISOR 4 /* of the buffer */

#define RETRY_MS   1000 /* until a target that refuses lines, or is full, is tried again */
#define STUCK_MS   20   /* the same for a target that poll(2) calls writable and that is full */
#define BATCH_SIZE (64 * 1024)

enum writer_state {
    WRITER_AWAKE,
    WRITER_BATCHING, /* sleeps for BATCH_DELAY_MS at most */
    WRITER_IDLE,     /* sleeps until it is woken */
};

struct log_writer {
    const struct log_writer_callbacks *callbacks;
    char *path;
    struct log_sink sink; /* used by the thread; before its start, under direct_lock */
    pthread_mutex_t direct_lock;
    struct counter dropped;  /* shared */
    struct counter reported; /* dropped lines that log_dropped lines reported, also those of former
                                processes; shared */
    _Atomic uint64_t unreported; /* dropped lines that found the buffer full and that are neither
                                    reported nor in gap; relaxed: a number alone */
    uint64_t gap;                /* dropped lines to report before the next line */
    struct counter pushed;       /* lines put into the buffer; shared */
    struct counter done;         /* of these, those written or dropped */
    _Atomic int error;           /* of the last write, positive; relaxed: a number alone */

    bool has_thread;
    pthread_t thread;
    struct log_ring ring;
    int wake;  /* eventfd(2): there is something to do */
    int ended; /* eventfd(2): the thread is about to end */

    /* seq_cst, as are the marks of complete lines in log_ring. A thread that has pushed a line or
     * set a flag then reads `state`; the writer sets `state`, then looks for lines and flags. So at
     * least one of the two sees what the other wrote, and the writer does not sleep on work. */
    _Atomic int state; /* enum writer_state */
    _Atomic bool urgent;
    _Atomic bool reopen; /* a request to reopen that found the buffer full */
    _Atomic bool stop;

    _Atomic bool give_up; /* end without writing the rest; relaxed: no data depends on it */

    size_t batch_begin; /* the first byte that is not written yet */
    size_t batch_end;
    unsigned stuck;       /* attempts at a full target that poll(2) called writable */
    enum log_level level; /* of the last line in batch */
    uint64_t seconds;     /* its time, since the epoch; only syslog uses it */
    char batch[BATCH_SIZE];
};

/* ---- lost lines ---- */

/* Counts lines that the target refused; the next line will report them. */
static void add_to_gap(struct log_writer *w, uint64_t lines)
{
    counter_add_shared(&w->dropped, lines);
    w->gap += lines;
}

static void note_error(struct log_writer *w, int error)
{
    if (atomic_exchange_explicit(&w->error, error, memory_order_relaxed) == 0 && error != 0)
        w->callbacks->failed(w, error);
}

/* Returns as log_sink_write(). */
static ssize_t write_lines(struct log_writer *w, const char *text, size_t length)
{
    ssize_t n = log_sink_write(&w->sink, w->level, w->seconds, text, length);
    if (n >= 0)
        note_error(w, 0);
    else if (n != -EAGAIN)
        note_error(w, (int)-n);
    return n;
}

/* Writes the line that reports the gap, if there is one. Returns 0 or -errno. */
static int report_gap(struct log_writer *w)
{
    char text[LOG_SINK_PREFIX + LOG_LINE_MAX];
    const enum log_level level = w->level;
    const uint64_t seconds = w->seconds;
    if (w->gap == 0)
        return 0;
    size_t length = log_sink_prefix(&w->sink, LOG_LEVEL_WARNING, text);
    length += w->callbacks->dropped(w, w->gap, text + length);
    w->level = LOG_LEVEL_WARNING;
    w->seconds = (uint64_t)time(NULL);
    ssize_t n = write_lines(w, text, length);
    w->level = level;
    w->seconds = seconds;
    if (n < 0)
        return (int)n;
    counter_add_shared(&w->reported, w->gap);
    w->gap = 0;
    return 0;
}

static int reopen(struct log_writer *w)
{
    bool lost = false;
    int rc = log_sink_reopen(&w->sink, &lost);
    if (lost)
        add_to_gap(w, 1);
    if (rc == 0)
        atomic_store_explicit(&w->error, 0, memory_order_relaxed);
    return rc;
}

/* ---- before the thread is started ---- */

static void write_direct(struct log_writer *w, enum log_level level, const char *text,
                         size_t length)
{
    char whole[LOG_SINK_PREFIX + LOG_LINE_MAX];
    size_t prefix = log_sink_prefix(&w->sink, level, whole);
    memcpy(whole + prefix, text, length);
    pthread_mutex_lock(&w->direct_lock);
    w->level = level;
    w->seconds = (uint64_t)time(NULL);
    if (report_gap(w) < 0 || write_lines(w, whole, prefix + length) < 0)
        add_to_gap(w, 1);
    pthread_mutex_unlock(&w->direct_lock);
}

/* ---- the thread: waiting ---- */

static void set_event(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) == -1 && errno == EINTR)
        ;
}

static void clear_event(int fd)
{
    uint64_t count = 0;
    while (read(fd, &count, sizeof count) == -1 && errno == EINTR)
        ;
}

static void wake_up(struct log_writer *w)
{
    if (atomic_exchange(&w->state, WRITER_AWAKE) != WRITER_AWAKE)
        set_event(w->wake);
}

static bool has_request(struct log_writer *w)
{
    return atomic_load(&w->stop) || atomic_load(&w->reopen);
}

static bool is_empty(struct log_writer *w)
{
    struct log_ring_entry next;
    return !log_ring_peek(&w->ring, &next);
}

static void wait_for_event(struct log_writer *w, int timeout)
{
    struct pollfd wake = { .fd = w->wake, .events = POLLIN };
    if (poll(&wake, 1, timeout) == 1)
        clear_event(w->wake);
}

/* Sleeps until there is work. With dropped lines to report, or a line that is partly written, it
 * wakes up after RETRY_MS at the latest. */
static void log_writer_idle(struct log_writer *w)
{
    bool has_backlog = w->gap > 0 || w->sink.partial_length > 0;
    atomic_store(&w->state, WRITER_IDLE);
    if (is_empty(w) && !has_request(w))
        wait_for_event(w, has_backlog ? RETRY_MS : -1);
    atomic_store(&w->state, WRITER_BATCHING);
    if (!atomic_exchange(&w->urgent, false) && !has_request(w))
        wait_for_event(w, BATCH_DELAY_MS);
    atomic_store(&w->state, WRITER_AWAKE);
    atomic_store(&w->urgent, false);
}

/* The target is full. A line may still not fit into a target that poll(2) calls writable: after one
 * such attempt it is tried again after STUCK_MS, whatever poll(2) returns. */
static void log_writer_wait_writable(struct log_writer *w)
{
    struct pollfd ask[] = {
        { .fd = w->wake, .events = POLLIN },
        { .fd = log_sink_fd(&w->sink), .events = POLLOUT },
    };
    bool trusts = w->stuck++ == 0 && ask[1].fd != -1;
    if (poll(ask, trusts ? 2 : 1, trusts ? RETRY_MS : STUCK_MS) > 0 && ask[0].revents != 0)
        clear_event(w->wake);
}

/* ---- the thread: from the buffer to the target ---- */

static size_t count_lines(const char *text, size_t length)
{
    size_t lines = 0;
    for (const char *end = text; (end = memchr(end, '\n', length - (size_t)(end - text))) != NULL;
         end++)
        lines++;
    return lines;
}

static void log_writer_pop_line(struct log_writer *w, const struct log_ring_entry *next)
{
    char *to = w->batch + w->batch_end;
    size_t prefix = log_sink_prefix(&w->sink, (enum log_level)next->level, to);
    log_ring_pop(&w->ring, to + prefix);
    w->batch_end += prefix + next->length;
    w->level = (enum log_level)next->level;
    w->seconds = next->value;
}

/* Pops lines until the batch is full or the next entry is not a line. syslog takes one line at a
 * time. */
static void log_writer_fill_batch(struct log_writer *w)
{
    struct log_ring_entry next;
    while (BATCH_SIZE - w->batch_end >= LOG_SINK_PREFIX + LOG_LINE_MAX &&
           log_ring_peek(&w->ring, &next) && next.kind == LOG_RING_LINE) {
        log_writer_pop_line(w, &next);
        if (w->sink.kind == LOG_TARGET_SYSLOG)
            break;
    }
}

/* The first `length` bytes of the batch are written or dropped. */
static void log_writer_advance(struct log_writer *w, size_t length)
{
    counter_add(&w->done, count_lines(w->batch + w->batch_begin, length));
    w->batch_begin += length;
    w->stuck = 0;
}

static void drop_batch(struct log_writer *w)
{
    size_t length = w->batch_end - w->batch_begin;
    add_to_gap(w, count_lines(w->batch + w->batch_begin, length));
    log_writer_advance(w, length);
}

/* Returns 0 when the batch is empty: its lines are written or dropped; or -EAGAIN. */
static int log_writer_flush(struct log_writer *w)
{
    while (w->batch_begin < w->batch_end) {
        ssize_t n = report_gap(w);
        if (n == 0)
            n = write_lines(w, w->batch + w->batch_begin, w->batch_end - w->batch_begin);
        if (n == -EAGAIN)
            return -EAGAIN;
        if (n < 0)
            drop_batch(w);
        else
            log_writer_advance(w, (size_t)n);
    }
    w->batch_begin = w->batch_end = 0;
    return 0;
}

/* The next entry of the buffer is not a line. */
static void log_writer_run_request(struct log_writer *w, const struct log_ring_entry *next)
{
    log_ring_pop(&w->ring, w->batch); /* the entry has no text */
    if (next->kind == LOG_RING_REOPEN)
        w->callbacks->reopened(w, reopen(w));
    else
        w->gap += next->value;
}

/* The buffer is empty: handles what had no room in it (a gap, a reopening). Returns 0 or -EAGAIN.
 */
static int log_writer_catch_up(struct log_writer *w)
{
    if (atomic_exchange(&w->reopen, false))
        w->callbacks->reopened(w, reopen(w));
    w->gap += atomic_exchange_explicit(&w->unreported, 0, memory_order_relaxed);
    int rc = log_sink_flush_partial(&w->sink);
    if (rc == 0)
        rc = report_gap(w);
    return rc == -EAGAIN ? rc : 0;
}

/* One round. Returns 0: there may be more to do; 1: there is nothing to do; or -EAGAIN. */
static int log_writer_work(struct log_writer *w)
{
    struct log_ring_entry next;
    if (w->batch_end == 0)
        log_writer_fill_batch(w);
    int rc = log_writer_flush(w);
    if (rc < 0)
        return rc;
    if (log_ring_peek(&w->ring, &next)) {
        if (next.kind != LOG_RING_LINE)
            log_writer_run_request(w, &next);
        return 0;
    }
    if ((rc = log_writer_catch_up(w)) < 0)
        return rc;
    return is_empty(w);
}

static void *log_writer_run(void *arg)
{
    struct log_writer *w = arg;
    while (!atomic_load_explicit(&w->give_up, memory_order_relaxed)) {
        /* read before the buffer is looked at: once it is set, no thread adds lines */
        bool is_last = atomic_load(&w->stop);
        int rc = log_writer_work(w);
        if (rc == 1 && is_last)
            break;
        if (rc < 0)
            log_writer_wait_writable(w);
        else if (rc == 1)
            log_writer_idle(w);
    }
    set_event(w->ended);
    return NULL;
}

/* ---- from other threads ---- */

int log_writer_new(struct log_writer **out, const struct log_target *target, uid_t owner,
                   gid_t group, const struct log_writer_callbacks *callbacks)
{
    struct log_target own = *target;
    struct log_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    int rc = 0;
    if (target->path != NULL && (own.path = w->path = strdup(target->path)) == NULL)
        rc = -ENOMEM;
    if (rc == 0)
        rc = log_sink_open(&w->sink, &own, owner, group);
    if (rc < 0) {
        free(w->path);
        free(w);
        return rc;
    }
    w->callbacks = callbacks;
    w->wake = w->ended = -1;
    pthread_mutex_init(&w->direct_lock, NULL);
    *out = w;
    return 0;
}

static int open_buffer(struct log_writer *w)
{
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake == -1 || w->ended == -1)
        return -errno;
    return log_ring_init(&w->ring, w->sink.ring);
}

/* The thread blocks all signals: the main thread handles them. */
int log_writer_start(struct log_writer *w, const char *thread_name)
{
    sigset_t all;
    sigset_t before;
    int rc = open_buffer(w);
    if (rc < 0)
        return rc;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, log_writer_run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->has_thread = rc == 0;
    if (rc == 0)
        pthread_setname_np(w->thread, thread_name);
    return -rc;
}

/* Returns whether there was room. An entry that reports the lines dropped before goes first. */
static bool log_writer_push(struct log_writer *w, const struct log_ring_entry *line, size_t *used)
{
    if (atomic_load_explicit(&w->unreported, memory_order_relaxed) > 0) {
        struct log_ring_entry gap = {
            .kind = LOG_RING_DROPPED,
            .value = atomic_exchange_explicit(&w->unreported, 0, memory_order_relaxed),
        };
        if (gap.value > 0 && !log_ring_push(&w->ring, &gap, used)) {
            atomic_fetch_add_explicit(&w->unreported, gap.value, memory_order_relaxed);
            return false;
        }
    }
    return log_ring_push(&w->ring, line, used);
}

void log_writer_put(struct log_writer *w, enum log_level level, const char *text, size_t length)
{
    size_t used = 0;
    assert(length <= LOG_LINE_MAX);
    if (!w->has_thread) {
        write_direct(w, level, text, length);
        return;
    }
    const struct log_ring_entry line = {
        .kind = LOG_RING_LINE,
        .level = (int)level,
        .value = w->sink.kind == LOG_TARGET_SYSLOG ? (uint64_t)time(NULL) : 0,
        .text = text,
        .length = length,
    };
    if (!log_writer_push(w, &line, &used)) {
        counter_add_shared(&w->dropped, 1);
        atomic_fetch_add_explicit(&w->unreported, 1, memory_order_relaxed);
        return;
    }
    counter_add_shared(&w->pushed, 1);
    bool urgent = level < LOG_LEVEL_INFO || used > w->ring.size / URGENT_FILL_DIVISOR;
    if (urgent)
        atomic_store(&w->urgent, true);
    if (urgent || atomic_load(&w->state) == WRITER_IDLE)
        wake_up(w);
}

bool log_writer_reopen(struct log_writer *w)
{
    const struct log_ring_entry order = { .kind = LOG_RING_REOPEN };
    size_t used = 0;
    if (!w->has_thread) {
        pthread_mutex_lock(&w->direct_lock);
        int rc = reopen(w);
        pthread_mutex_unlock(&w->direct_lock);
        w->callbacks->reopened(w, rc);
        return true;
    }
    bool is_new = log_ring_push(&w->ring, &order, &used) || !atomic_exchange(&w->reopen, true);
    atomic_store(&w->urgent, true);
    wake_up(w);
    return is_new;
}

void log_writer_stop(struct log_writer *w)
{
    if (!w->has_thread)
        return;
    atomic_store(&w->stop, true);
    atomic_store(&w->state, WRITER_AWAKE);
    set_event(w->wake);
}

static uint64_t log_writer_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool has_ended(const struct log_writer *w, uint64_t deadline)
{
    for (;;) {
        struct pollfd ask = { .fd = w->ended, .events = POLLIN };
        uint64_t now = log_writer_clock_ms();
        int rc = poll(&ask, 1, now < deadline ? (int)(deadline - now) : 0);
        if (rc >= 0 || errno != EINTR)
            return rc == 1;
    }
}

#define JOIN_MS 200 /* for a thread that waits for room in its target */

/* Returns false if the thread hangs in the kernel: it may still use its memory. */
static bool log_writer_join(struct log_writer *w, uint64_t deadline)
{
    bool ended = has_ended(w, deadline);
    if (!ended) {
        atomic_store_explicit(&w->give_up, true, memory_order_relaxed);
        set_event(w->wake);
        ended = has_ended(w, log_writer_clock_ms() + JOIN_MS);
    }
    if (ended)
        pthread_join(w->thread, NULL);
    else
        pthread_detach(w->thread);
    return ended;
}

/* A line that is partly written counts as done, so it is added here. */
static struct log_loss loss_of(const struct log_writer *w, bool has_ended)
{
    struct log_loss loss = { .dropped = counter_get(&w->dropped) };
    loss.dropped += counter_get(&w->pushed) - counter_get(&w->done);
    if (has_ended && w->sink.partial_length > 0)
        loss.dropped++;
    loss.unreported = loss.dropped - counter_get(&w->reported);
    return loss;
}

void log_writer_free(struct log_writer *w, uint64_t deadline, struct log_loss *loss)
{
    bool has_ended = !w->has_thread || log_writer_join(w, deadline);
    *loss = loss_of(w, has_ended);
    if (!has_ended)
        return;
    if (w->wake != -1)
        close(w->wake);
    if (w->ended != -1)
        close(w->ended);
    log_sink_close(&w->sink);
    log_ring_fini(&w->ring);
    pthread_mutex_destroy(&w->direct_lock);
    free(w->path);
    free(w);
}

enum log_target_kind log_writer_kind(const struct log_writer *w)
{
    return w->sink.kind;
}

const char *log_writer_name(const struct log_writer *w)
{
    return log_sink_name(&w->sink);
}

uint64_t log_writer_dropped(const struct log_writer *w)
{
    return counter_get(&w->dropped);
}

uint64_t log_writer_unreported(const struct log_writer *w)
{
    return atomic_load_explicit(&w->unreported, memory_order_relaxed);
}

void log_writer_add_dropped(struct log_writer *w, const struct log_loss *loss)
{
    counter_add_shared(&w->dropped, loss->dropped);
    counter_add_shared(&w->reported, loss->dropped - loss->unreported);
    if (loss->unreported == 0)
        return;
    atomic_fetch_add_explicit(&w->unreported, loss->unreported, memory_order_relaxed);
    if (w->has_thread)
        set_event(w->wake); /* the writer reports them even if no line follows */
}

int log_writer_error(const struct log_writer *w)
{
    return atomic_load_explicit(&w->error, memory_order_relaxed);
}
