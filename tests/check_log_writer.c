#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_ring.h"
#include "base/syslogger.h"
#include "suite.h"

static char dir[64];
static char path[80];
static char access_path[80];
static struct log_settings settings;

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/zproxy-check-writer-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(access_path, sizeof access_path, "%s/access", dir);
    settings = (struct log_settings){
        .log = { .kind = LOG_TARGET_FILE, .path = path },
        .access = { .kind = LOG_TARGET_SAME },
        .level = LOG_LEVEL_INFO,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
    };
}

static void remove_dir(void)
{
    char old[96];
    log_close();
    snprintf(old, sizeof old, "%s.1", path);
    unlink(old);
    unlink(path);
    unlink(access_path);
    rmdir(dir);
}

static void start(void)
{
    const char *failed = NULL;
    ck_assert_int_eq(log_open(&settings, &failed), 0);
    ck_assert_int_eq(log_start(), 0);
}

static const char *contents(const char *file)
{
    static char text[4 << 20];
    FILE *f = fopen(file, "re");
    ck_assert_ptr_nonnull(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

/* The sum of the lines that the log reports as dropped. */
static uint64_t reported_dropped(const char *text)
{
    uint64_t lines = 0;
    for (; (text = strstr(text, "event=log_dropped lines=")) != NULL; text++)
        lines += strtoull(text + strlen("event=log_dropped lines="), NULL, 10);
    return lines;
}

static void expect_whole_lines(const char *text)
{
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        ck_assert_ptr_nonnull(strchr(line, '\n'));
        ck_assert_int_eq(strncmp(line, "time=", 5), 0);
        ck_assert_ptr_eq(strstr(line + 1, "time="), strstr(strchr(line, '\n'), "time="));
    }
}

static struct log_state state_of(enum log_name name)
{
    struct log_state state;
    log_state(name, &state);
    return state;
}

static void pause_ms(long ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define WAIT_TRIES_MAX 3000 /* of 10 ms */

#define WAIT_FOR(condition)                                               \
    do {                                                                  \
        for (int turn = 0; !(condition) && turn < WAIT_TRIES_MAX; turn++) \
            pause_ms(10);                                                 \
        ck_assert(condition);                                             \
    } while (0)

#define THREADS 4
#define LINES   5000

static void *write_lines(void *arg)
{
    for (unsigned i = 0; i < LINES; i++) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "e");
        log_str(&line, "from", arg);
        log_uint(&line, "i", i);
        log_str(&line, "end", "here");
        log_end(&line);
    }
    return NULL;
}

static void expect_order(const char *text)
{
    long last[THREADS] = { -1, -1, -1, -1 };
    for (const char *at = text; (at = strstr(at, "from=")) != NULL; at++) {
        long i = strtol(at + strlen("from=a i="), NULL, 10);
        int thread = at[5] - 'a';
        ck_assert_int_gt(i, last[thread]);
        last[thread] = i;
    }
}

START_TEST(lines_of_a_thread_keep_their_order_and_each_is_written_or_counted)
{
    static char names[THREADS][2] = { "a", "b", "c", "d" };
    pthread_t threads[THREADS];
    start();
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    log_msg(LOG_LEVEL_INFO, "last", "m");
    log_close();
    const char *text = contents(path);
    expect_whole_lines(text);
    expect_order(text);
    ck_assert_uint_eq(count(text, " end=here\n") + count(text, "event=last") +
                          reported_dropped(text),
                      THREADS * LINES + 1);
    ck_assert_uint_ge(count(text, " end=here\n"), LINES / 2); /* the buffer holds at least these */
}
END_TEST

START_TEST(a_line_before_a_reopening_goes_to_the_old_file)
{
    char old[96];
    snprintf(old, sizeof old, "%s.1", path);
    start();
    for (int i = 0; i < 50; i++) {
        log_msg(LOG_LEVEL_INFO, "before", "m");
        ck_assert_int_eq(rename(path, old), 0);
        log_msg(LOG_LEVEL_INFO, "renamed", "m");
        log_reopen();
        log_msg(LOG_LEVEL_INFO, "after", "m");
        WAIT_FOR(access(path, F_OK) == 0 && count(contents(path), "event=log_reopen") == 1);
        ck_assert_uint_eq(count(contents(old), "event=renamed"), 1);
        ck_assert_uint_eq(count(contents(old), "event=log_reopen"), i > 0);
        WAIT_FOR(count(contents(path), "event=after") == 1);
    }
}
END_TEST

/* Opens a full FIFO as the log file. Returns its read end. */
static int start_full_fifo(void)
{
    char block[4096];
    memset(block, '.', sizeof block);
    block[sizeof block - 1] = '\n';
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int filler = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ne(fd, -1);
    ck_assert_int_ne(filler, -1);
    while (write(filler, block, sizeof block) > 0)
        ;
    close(filler);
    start();
    return fd;
}

static size_t read_all(int fd, char *text, size_t size, size_t length)
{
    ssize_t n = 0;
    while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    return length;
}

START_TEST(lines_that_find_the_buffer_full_are_counted_and_reported)
{
    static char text[1 << 20];
    size_t length = 0;
    int fd = start_full_fifo();
    for (int i = 0; i < 5000; i++)
        log_msg(LOG_LEVEL_INFO, "e", "a line that has to wait for a while or longer %d", i);
    uint64_t dropped = state_of(LOG_MAIN).dropped;
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, 5000);
    WAIT_FOR((length = read_all(fd, text, sizeof text, length), reported_dropped(text)) == dropped);
    ck_assert_uint_eq(count(text, "event=e"),
                      5000 - dropped); /* the report needs no further line */
    ck_assert_uint_eq(state_of(LOG_MAIN).dropped, dropped);
    ck_assert_int_eq(state_of(LOG_MAIN).error, 0);
    log_msg(LOG_LEVEL_INFO, "later", "m");
    WAIT_FOR((length = read_all(fd, text, sizeof text, length), count(text, "later") == 1));
    expect_whole_lines(strstr(text, "time="));
    close(fd);
}
END_TEST

START_TEST(closing_waits_for_a_limited_time_and_the_next_process_reports_the_loss)
{
    static char text[1 << 20];
    struct log_loss loss;
    size_t length = 0;
    int fd = start_full_fifo();
    for (int i = 0; i < 5000; i++)
        log_msg(LOG_LEVEL_INFO, "e", "a line that has to wait for a while or longer %d", i);
    uint64_t began = clock_ms();
    log_close();
    ck_assert_uint_ge(clock_ms() - began, LOG_CLOSE_MS - 100);
    log_closed_loss(LOG_MAIN, &loss);
    ck_assert_uint_eq(loss.dropped, 5000);
    ck_assert_uint_eq(loss.unreported, 5000);
    (void)read_all(fd, text, sizeof text, 0);
    ck_assert_ptr_null(strstr(text, "event="));
    start();
    log_add_dropped(LOG_MAIN, &loss);
    WAIT_FOR((length = read_all(fd, text, sizeof text, length), reported_dropped(text)) == 5000);
    ck_assert_uint_eq(state_of(LOG_MAIN).dropped, 5000);
    log_close();
    log_closed_loss(LOG_MAIN, &loss);
    ck_assert_uint_eq(loss.dropped, 5000);
    ck_assert_uint_eq(loss.unreported, 0);
    close(fd);
}
END_TEST

/* The log waits for its target while the access log is rotated twice. */
START_TEST(a_file_is_reopened_for_each_request)
{
    char old[96];
    snprintf(old, sizeof old, "%s.1", path);
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = access_path };
    int fd = start_full_fifo();
    log_msg(LOG_LEVEL_INFO, "e", "m");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rename(access_path, old), 0);
        log_reopen();
        WAIT_FOR(access(access_path, F_OK) == 0);
    }
    close(fd);
}
END_TEST

/* Limits the size of files, bytes; 0: no limit. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size == 0 ? limit.rlim_max : size;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_line_cut_by_a_full_disk_is_completed)
{
    signal(SIGXFSZ, SIG_IGN);
    const char *failed = NULL;
    ck_assert_int_eq(log_open(&settings, &failed), 0);
    if (_i == 1)
        ck_assert_int_eq(log_start(), 0);
    limit_files(1000 + (rlim_t)_i);
    for (int i = 0; i < 100; i++)
        log_msg(LOG_LEVEL_INFO, "e", "line %d", i);
    WAIT_FOR(state_of(LOG_MAIN).error == EFBIG);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 1000 + _i);
    limit_files(0);
    if (_i == 1) /* the error is set before the lost lines are counted */
        WAIT_FOR(count(contents(path), "event=e") + state_of(LOG_MAIN).dropped == 100);
    uint64_t dropped = state_of(LOG_MAIN).dropped;
    if (_i == 0)
        log_msg(LOG_LEVEL_INFO, "e", "after");
    WAIT_FOR(reported_dropped(contents(path)) ==
             dropped); /* the thread reports without a further line */
    if (_i == 1)
        log_msg(LOG_LEVEL_INFO, "e", "after");
    WAIT_FOR(count(contents(path), "msg=after") == 1);
    expect_whole_lines(contents(path));
    ck_assert_uint_eq(count(contents(path), "event=e") + dropped, 101);
    ck_assert_int_eq(state_of(LOG_MAIN).error, 0);
}
END_TEST

START_TEST(a_partial_last_line_of_a_file_is_ended_first)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs("time=1 level=info event=cut ms", f);
    fclose(f);
    start();
    log_msg(LOG_LEVEL_INFO, "e", "m");
    log_close();
    ck_assert_ptr_eq(strstr(contents(path), "event=cut ms\ntime="),
                     strstr(contents(path), "event=cut"));
    expect_whole_lines(contents(path));
}
END_TEST

START_TEST(the_log_reports_that_the_access_log_fails)
{
    struct log_line line;
    char full[] = "/dev/full";
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = full };
    start();
    for (int i = 0; i < 10; i++) {
        log_begin_access(&line);
        log_end(&line);
    }
    WAIT_FOR(state_of(LOG_ACCESS).dropped == 10);
    ck_assert_int_eq(state_of(LOG_ACCESS).error, ENOSPC);
    ck_assert_uint_eq(state_of(LOG_MAIN).dropped, 0);
    log_close();
    ck_assert_uint_eq(count(contents(path), "event=log_failed"), 1);
    ck_assert_ptr_nonnull(strstr(contents(path), "access_log: /dev/full: no space left"));
}
END_TEST

#define ENDS 300

/* Each log_close() races with the writer, which has just found its buffer empty. */
START_TEST(a_line_just_before_the_end_is_written)
{
    char name[32];
    for (int i = 0; i < ENDS; i++) {
        start();
        log_msg(LOG_LEVEL_INFO, "test", "end %d.", i);
        log_close();
    }
    const char *text = contents(path);
    for (int i = 0; i < ENDS; i++) {
        snprintf(name, sizeof name, "end %d.", i);
        ck_assert_msg(strstr(text, name) != NULL, "%s", name);
    }
}
END_TEST

/* The thread of the access log adds a line to the log when it finds the disk full at its end. */
START_TEST(lines_about_the_access_log_at_the_end_are_written)
{
    char full[] = "/dev/full";
    struct log_line line;
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = full };
    for (int i = 0; i < ENDS; i++) {
        start();
        log_begin_access(&line);
        log_end(&line);
        log_close();
    }
    ck_assert_uint_eq(count(contents(path), "no space left"), ENDS);
}
END_TEST

/* The thread of one log still writes when the other log is closed. */
START_TEST(the_syslog_socket_is_open_until_its_last_user_closes_it)
{
    ck_assert_int_eq(syslogger_open(), 0);
    ck_assert_int_eq(syslogger_open(), 0);
    syslogger_close();
    ck_assert_int_ne(syslogger_fd(), -1);
    syslogger_close();
    ck_assert_int_eq(syslogger_fd(), -1);
}
END_TEST

START_TEST(the_journal_gets_priorities)
{
    struct stat st;
    char stream[64];
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ne(dup2(fd, STDERR_FILENO), -1);
    ck_assert_int_eq(fstat(fd, &st), 0);
    snprintf(stream, sizeof stream, "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev,
             (uint64_t)st.st_ino + (_i == 1));
    setenv("JOURNAL_STREAM", stream, 1);
    settings.log = (struct log_target){ .kind = LOG_TARGET_STDERR };
    settings.level = LOG_LEVEL_DEBUG;
    start();
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        log_msg((enum log_level)level, "e", "m");
    log_close();
    unsetenv("JOURNAL_STREAM");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fd);
    const char *text = contents(path);
    if (_i == 1) { /* the variable names another stream */
        expect_whole_lines(text);
        return;
    }
    static const char expected[] = "34567";
    for (int i = 0; i < 5; i++, text = strchr(text, '\n') + 1) {
        const char prefix[] = { '<', expected[i], '>', 't', 'i', 'm', 'e', '=', '\0' };
        ck_assert_int_eq(strncmp(text, prefix, strlen(prefix)), 0);
    }
}
END_TEST

START_TEST(a_ring_takes_lines_of_all_lengths_across_its_end)
{
    struct log_ring r;
    static char text[2048];
    static char taken[2048];
    size_t used = 0;
    ck_assert_int_eq(log_ring_init(&r, 4096), 0);
    for (size_t i = 0; i < 5000; i++) {
        struct log_ring_entry line = { LOG_RING_LINE, (int)(i % 5), i, text, i * 7 % 2048 };
        struct log_ring_entry next;
        memset(text, 'a' + (int)(i % 26), line.length);
        ck_assert(log_ring_push(&r, &line, &used));
        ck_assert_uint_ge(used, line.length);
        ck_assert(log_ring_peek(&r, &next));
        ck_assert_uint_eq(next.length, line.length);
        ck_assert_uint_eq(next.value, i);
        ck_assert_int_eq(next.level, line.level);
        log_ring_pop(&r, taken);
        ck_assert_mem_eq(taken, text, line.length);
        ck_assert(!log_ring_peek(&r, &next));
    }
    log_ring_fini(&r);
}
END_TEST

START_TEST(a_full_ring_refuses_a_line)
{
    struct log_ring r;
    static const char text[100];
    const struct log_ring_entry line = { LOG_RING_LINE, 0, 0, text, sizeof text };
    char taken[sizeof text];
    size_t used = 0;
    size_t fits = 0;
    ck_assert_int_eq(log_ring_init(&r, 1024), 0);
    while (log_ring_push(&r, &line, &used))
        fits++;
    ck_assert_uint_eq(fits, 8);
    ck_assert(!log_ring_push(&r, &line, &used));
    log_ring_pop(&r, taken);
    ck_assert(log_ring_push(&r, &line, &used));
    ck_assert(!log_ring_push(&r, &line, &used));
    log_ring_fini(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log_writer");
    TCase *t = tcase_create("log_writer");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, lines_of_a_thread_keep_their_order_and_each_is_written_or_counted);
    tcase_add_test(t, a_line_before_a_reopening_goes_to_the_old_file);
    tcase_add_test(t, lines_that_find_the_buffer_full_are_counted_and_reported);
    tcase_add_test(t, closing_waits_for_a_limited_time_and_the_next_process_reports_the_loss);
    tcase_add_test(t, a_file_is_reopened_for_each_request);
    tcase_add_loop_test(t, a_line_cut_by_a_full_disk_is_completed, 0,
                        2); /* with and without a thread */
    tcase_add_test(t, a_partial_last_line_of_a_file_is_ended_first);
    tcase_add_test(t, the_log_reports_that_the_access_log_fails);
    tcase_add_test(t, a_line_just_before_the_end_is_written);
    tcase_add_test(t, lines_about_the_access_log_at_the_end_are_written);
    tcase_add_test(t, the_syslog_socket_is_open_until_its_last_user_closes_it);
    tcase_add_loop_test(t, the_journal_gets_priorities, 0, 2);
    tcase_add_test(t, a_ring_takes_lines_of_all_lengths_across_its_end);
    tcase_add_test(t, a_full_ring_refuses_a_line);
    suite_add_tcase(s, t);
    return suite_main(s);
}
