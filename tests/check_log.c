#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "suite.h"

static char dir[64];
static char path[80];        /* the log */
static char access_path[80]; /* a separate access log */
static struct log_settings settings;
static const char *failed;

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/zproxy-check-log-XXXXXX");
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
    failed = NULL;
}

static void remove_dir(void)
{
    char old[96];
    log_close();
    log_set_level(LOG_LEVEL_INFO);
    snprintf(old, sizeof old, "%s.1", path);
    unlink(old);
    unlink(path);
    unlink(access_path);
    rmdir(dir);
}

static void open_log(void)
{
    ck_assert_int_eq(log_open(&settings, &failed), 0);
}

/* The content of a file; overwritten by the next call. */
static const char *contents(const char *file)
{
    static char text[1 << 20];
    FILE *f = fopen(file, "re");
    if (f == NULL)
        return "";
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* The last line of the log, without its time. */
static const char *last_line(void)
{
    static char line[LOG_LINE_MAX + 1];
    const char *text = contents(path);
    size_t n = strlen(text);
    ck_assert_uint_gt(n, 0);
    ck_assert_int_eq(text[n - 1], '\n');
    const char *begin = text + n - 1;
    while (begin > text && begin[-1] != '\n')
        begin--;
    begin += strcspn(begin, settings.format == LOG_FORMAT_JSON ? "," : " ") + 1;
    snprintf(line, sizeof line, "%.*s", (int)(text + n - 1 - begin), begin);
    return line;
}

/* A value as the log writes it. */
static const char *written(const char *value)
{
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "e");
    log_str(&line, "k", value);
    log_end(&line);
    const char *json = strstr(last_line(), "\"k\":");
    return json != NULL ? json + 4 : strstr(last_line(), "k=") + 2;
}

static size_t lines_in(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

START_TEST(a_line_has_time_level_event_and_fields)
{
    struct log_line line;
    char stamp[8][8];
    open_log();
    log_begin(&line, LOG_LEVEL_NOTICE, "start");
    log_str(&line, "name", "web");
    log_uint(&line, "up", UINT64_MAX);
    log_uint(&line, "down", 0);
    log_fmt(&line, "at", "%s:%d", "x", 7);
    log_end(&line);
    ck_assert_str_eq(last_line(), "level=notice event=start name=web up=18446744073709551615 "
                                  "down=0 at=x:7");
    ck_assert_int_eq(sscanf(contents(path),
                            "time=%4[0-9]-%2[0-9]-%2[0-9]T%2[0-9]:%2[0-9]:%2[0-9]."
                            "%3[0-9]%1[Z] ",
                            stamp[0], stamp[1], stamp[2], stamp[3], stamp[4], stamp[5], stamp[6],
                            stamp[7]),
                     8);
}
END_TEST

START_TEST(a_value_is_quoted_only_if_needed)
{
    open_log();
    ck_assert_str_eq(written("plain"), "plain");
    ck_assert_str_eq(written("[::1]:80"), "[::1]:80");
    ck_assert_str_eq(written("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
    ck_assert_str_eq(written(""), "\"\"");
    ck_assert_str_eq(written("a b"), "\"a b\"");
    ck_assert_str_eq(written("a=b"), "\"a=b\"");
    ck_assert_str_eq(written("a\"b"), "\"a\\\"b\"");
    ck_assert_str_eq(written("a\\b"), "\"a\\\\b\"");
}
END_TEST

START_TEST(a_value_cannot_break_its_line)
{
    open_log();
    ck_assert_str_eq(written("a\nb\rc\td"), "\"a\\nb\\rc\\td\"");
    ck_assert_str_eq(written("\x1b[2J\x7f"), "\"\\x1b[2J\\x7f\"");
    ck_assert_str_eq(written("\xff\xc3"), "\"\\xff\\xc3\"");
    ck_assert_str_eq(written("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\""); /* a surrogate */
    ck_assert_str_eq(written("\xc0\xaf"), "\"\\xc0\\xaf\"");          /* an overlong slash */
    ck_assert_uint_eq(lines_in(contents(path)), 5);
}
END_TEST

START_TEST(json_is_one_object_per_line)
{
    struct log_line line;
    settings.format = LOG_FORMAT_JSON;
    open_log();
    log_begin(&line, LOG_LEVEL_ERROR, "start");
    log_uint(&line, "up", 12);
    log_str(&line, "name", "a b");
    log_end(&line);
    ck_assert_int_eq(strncmp(contents(path), "{\"time\":\"20", 11), 0);
    ck_assert_str_eq(last_line(),
                     "\"level\":\"error\",\"event\":\"start\",\"up\":12,\"name\":\"a b\"}");
}
END_TEST

START_TEST(json_strings_are_escaped_and_are_utf8)
{
    settings.format = LOG_FORMAT_JSON;
    open_log();
    ck_assert_str_eq(written("a\"b\\c\n\r\t"), "\"a\\\"b\\\\c\\n\\r\\t\"}");
    ck_assert_str_eq(written("\x01\x1f"), "\"\\u0001\\u001f\"}");
    ck_assert_str_eq(written("\xe2\x82\xac"), "\"\xe2\x82\xac\"}");
    ck_assert_str_eq(written("a\xff\xe2\x82z"), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"}");
}
END_TEST

START_TEST(a_field_that_does_not_fit_is_left_out)
{
    static char big[LOG_LINE_MAX];
    struct log_line line;
    memset(big, 'x', sizeof big - 1);
    settings.format = _i == 0 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    open_log();
    log_begin(&line, LOG_LEVEL_INFO, "e");
    log_uint(&line, "a", 1);
    log_str(&line, "big", big);
    log_uint(&line, "b", 2);
    log_end(&line);
    ck_assert_str_eq(last_line(), _i == 0 ? "level=info event=e a=1 b=2"
                                          : "\"level\":\"info\",\"event\":\"e\",\"a\":1,\"b\":2}");
}
END_TEST

START_TEST(a_line_may_use_its_last_byte)
{
    struct log_line line;
    char value[2] = { 0 };
    settings.format = LOG_FORMAT_JSON;
    open_log();
    log_begin(&line, LOG_LEVEL_INFO, "e");
    for (size_t len = 0; len != line.len;) {
        len = line.len;
        value[0] = (char)('a' + len % 26);
        log_str(&line, "k", value);
    }
    log_end(&line);
    size_t n = strlen(contents(path));
    ck_assert_uint_le(n, LOG_LINE_MAX);
    ck_assert_uint_gt(n, LOG_LINE_MAX - 12);
    ck_assert_str_eq(contents(path) + n - 3, "\"}\n");
}
END_TEST

START_TEST(a_message_of_any_length_is_written)
{
    static char big[5000];
    memset(big, '\x01', sizeof big - 1);
    open_log();
    log_msg(LOG_LEVEL_INFO, "e", "%.100s", big);
    ck_assert_ptr_nonnull(strstr(last_line(), "msg=\"\\x01"));
    memset(big, 'x', sizeof big - 1);
    log_msg(LOG_LEVEL_INFO, "e", "%s", big);
    ck_assert_ptr_nonnull(strstr(last_line(), "msg=xxxx"));
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
    struct log_line line;
    settings.level = LOG_LEVEL_WARNING;
    open_log();
    ck_assert(log_is_enabled(LOG_LEVEL_ERROR) && log_is_enabled(LOG_LEVEL_WARNING));
    ck_assert(!log_is_enabled(LOG_LEVEL_NOTICE));
    log_msg(LOG_LEVEL_NOTICE, "e", "no");
    log_begin(&line, LOG_LEVEL_INFO, "e");
    log_end(&line);
    ck_assert_str_eq(contents(path), "");
    log_set_level(LOG_LEVEL_DEBUG);
    log_msg(LOG_LEVEL_DEBUG, "e", "yes");
    ck_assert_str_eq(last_line(), "level=debug event=e msg=yes");
}
END_TEST

static void access_line(void)
{
    struct log_line line;
    log_begin_access(&line);
    log_uint(&line, "id", 1);
    log_end(&line);
}

START_TEST(access_lines_in_the_log_are_filtered_by_its_level)
{
    open_log();
    ck_assert(log_access_is_enabled());
    access_line();
    ck_assert_str_eq(last_line(), "level=info event=session id=1");
    log_set_level(LOG_LEVEL_NOTICE);
    ck_assert(!log_access_is_enabled());
    access_line();
    ck_assert_uint_eq(lines_in(contents(path)), 1);
}
END_TEST

START_TEST(a_separate_access_log_takes_every_line)
{
    settings.level = LOG_LEVEL_ERROR;
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = access_path };
    open_log();
    ck_assert(log_access_is_enabled());
    access_line();
    ck_assert_str_eq(contents(path), "");
    ck_assert_uint_eq(lines_in(contents(access_path)), 1);
}
END_TEST

START_TEST(an_access_log_that_is_off_takes_no_line)
{
    settings.access.kind = LOG_TARGET_OFF;
    open_log();
    ck_assert(!log_access_is_enabled());
    access_line();
    ck_assert_str_eq(contents(path), "");
}
END_TEST

START_TEST(log_and_access_log_may_be_one_file)
{
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = path };
    open_log();
    for (int i = 0; i < 10; i++) {
        access_line();
        log_msg(LOG_LEVEL_INFO, "e", "m");
    }
    ck_assert_uint_eq(lines_in(contents(path)), 20);
}
END_TEST

START_TEST(a_file_is_created_private_and_appended_to)
{
    struct stat st;
    mode_t mask = umask(0);
    open_log();
    umask(mask);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
    log_msg(LOG_LEVEL_INFO, "e", "one");
    open_log();
    log_msg(LOG_LEVEL_INFO, "e", "two");
    ck_assert_uint_eq(lines_in(contents(path)), 2);
}
END_TEST

START_TEST(only_a_new_file_is_given_to_the_owner)
{
    struct stat st;
    if (geteuid() != 0)
        return; /* only root may give files to other users */
    settings.owner = 12345;
    settings.group = 23456;
    open_log();
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, 12345);
    ck_assert_uint_eq(st.st_gid, 23456);
    ck_assert_int_eq(chown(path, 1, 1), 0);
    open_log();
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, 1);
}
END_TEST

START_TEST(the_file_that_cannot_be_opened_is_named)
{
    char nowhere[] = "/nonexistent/zproxy.log";
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = nowhere };
    ck_assert_int_eq(log_open(&settings, &failed), -ENOENT);
    ck_assert_str_eq(failed, nowhere);
}
END_TEST

START_TEST(reopening_follows_a_rotation)
{
    char old[96];
    snprintf(old, sizeof old, "%s.1", path);
    open_log();
    if (_i == 1)
        ck_assert_int_eq(log_start(), 0);
    log_msg(LOG_LEVEL_INFO, "e", "one");
    ck_assert_int_eq(rename(path, old), 0);
    log_msg(LOG_LEVEL_INFO, "e", "two");
    log_reopen();
    log_msg(LOG_LEVEL_INFO, "e", "three");
    if (_i == 1)
        log_close(); /* writes the waiting lines */
    ck_assert_ptr_nonnull(strstr(contents(path), " level=info event=e msg=three\n"));
    ck_assert_uint_eq(lines_in(contents(path)), 2);
    ck_assert_ptr_nonnull(strstr(contents(path), "level=notice event=log_reopen msg="));
    ck_assert_uint_eq(lines_in(contents(old)), 2);
}
END_TEST

START_TEST(the_old_file_stays_if_it_cannot_be_reopened)
{
    char old[96];
    snprintf(old, sizeof old, "%s.1", path);
    settings.access = (struct log_target){ .kind = LOG_TARGET_FILE, .path = access_path };
    open_log();
    ck_assert_int_eq(rename(path, old), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0); /* blocks the path, also for root */
    ck_assert_int_eq(unlink(access_path), 0);
    log_reopen();
    ck_assert_uint_eq(lines_in(contents(old)), 1);
    ck_assert_ptr_nonnull(strstr(contents(old), "level=error event=log_reopen msg="));
    ck_assert_ptr_nonnull(strstr(contents(old), path));
    log_msg(LOG_LEVEL_INFO, "e", "one");
    ck_assert_uint_eq(lines_in(contents(old)), 2);
    access_line(); /* the other file was reopened */
    ck_assert_uint_eq(lines_in(contents(access_path)), 1);
    rmdir(path);
}
END_TEST

/* Replaces stderr by fd. Returns the former stderr. */
static int replace_stderr(int fd)
{
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    ck_assert_int_ne(saved, -1);
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    return saved;
}

static void restore_stderr(int saved)
{
    log_close();
    dup2(saved, STDERR_FILENO);
    close(saved);
}

/* Reads everything that is waiting. */
static size_t drain(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return len;
}

/* Logs to stderr, which is ends[1], while ends[0] is not read. */
static void expect_drops(int ends[2])
{
    static char text[1 << 20];
    char expected[64];
    int saved = replace_stderr(ends[1]);
    settings.log = (struct log_target){ .kind = LOG_TARGET_STDERR };
    open_log();
    for (int i = 0; i < 20000; i++)
        log_msg(LOG_LEVEL_INFO, "e", "a line that goes nowhere");
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    size_t passed = (drain(ends[0], text, sizeof text), lines_in(text));
    log_msg(LOG_LEVEL_INFO, "e", "after");
    drain(ends[0], text, sizeof text);
    restore_stderr(saved);

    ck_assert_uint_gt(passed, 10);
    ck_assert_uint_lt(passed, 20000);
    snprintf(expected, sizeof expected, "event=log_dropped lines=%zu\n", 20000 - passed);
    ck_assert_ptr_nonnull(strstr(text, expected));
    ck_assert_ptr_nonnull(strstr(strstr(text, expected), "msg=after\n"));
    ck_assert_uint_eq(lines_in(text), 2);
    ck_assert_int_eq(flags & O_NONBLOCK, 0); /* O_NONBLOCK is not set for others that share it */
}

START_TEST(a_full_pipe_drops_lines_and_reports_their_number)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    expect_drops(ends);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(a_full_socket_drops_lines_and_reports_their_number)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    expect_drops(ends);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(lines_go_to_stderr_before_open_and_after_close)
{
    int ends[2];
    char text[4096];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    log_close();
    int saved = replace_stderr(ends[1]);
    log_msg(LOG_LEVEL_INFO, "before", "m");
    open_log();
    log_close();
    log_msg(LOG_LEVEL_INFO, "after", "m");
    drain(ends[0], text, sizeof text);
    restore_stderr(saved);
    ck_assert_ptr_nonnull(strstr(text, "event=before msg=m\n"));
    ck_assert_ptr_nonnull(strstr(text, "event=after msg=m\n"));
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(syslog_lines_have_no_time_field)
{
    struct log_line line;
    settings.log = (struct log_target){ .kind = LOG_TARGET_SYSLOG, .facility = LOG_LOCAL7 };
    open_log();
    log_begin(&line, LOG_LEVEL_INFO, "e");
    ck_assert_int_eq(strncmp(line.text, "level=info event=e", line.len), 0);
    log_end(&line); /* without a syslog daemon the line is lost */
}
END_TEST

START_TEST(logging_does_not_change_errno)
{
    open_log();
    errno = E2BIG;
    log_msg(LOG_LEVEL_INFO, "e", "m");
    ck_assert_int_eq(errno, E2BIG);
}
END_TEST

#define THREADS 4
#define LINES   2000

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

START_TEST(threads_write_whole_lines_while_the_file_is_reopened)
{
    static char names[THREADS][2] = { "a", "b", "c", "d" };
    pthread_t threads[THREADS];
    open_log();
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
    for (int i = 0; i < 100; i++)
        log_reopen();
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *text = contents(path);
    ck_assert_uint_eq(lines_in(text), THREADS * LINES + 100);
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');
        ck_assert_int_eq(strncmp(line, "time=", 5), 0);
        ck_assert(strncmp(end - 9, " end=here", 9) == 0 || strncmp(end - 9, "reopened\"", 9) == 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_line_has_time_level_event_and_fields);
    tcase_add_test(t, a_value_is_quoted_only_if_needed);
    tcase_add_test(t, a_value_cannot_break_its_line);
    tcase_add_test(t, json_is_one_object_per_line);
    tcase_add_test(t, json_strings_are_escaped_and_are_utf8);
    tcase_add_loop_test(t, a_field_that_does_not_fit_is_left_out, 0, 2);
    tcase_add_test(t, a_line_may_use_its_last_byte);
    tcase_add_test(t, a_message_of_any_length_is_written);
    tcase_add_test(t, lines_below_the_level_are_not_written);
    tcase_add_test(t, access_lines_in_the_log_are_filtered_by_its_level);
    tcase_add_test(t, a_separate_access_log_takes_every_line);
    tcase_add_test(t, an_access_log_that_is_off_takes_no_line);
    tcase_add_test(t, log_and_access_log_may_be_one_file);
    tcase_add_test(t, a_file_is_created_private_and_appended_to);
    tcase_add_test(t, only_a_new_file_is_given_to_the_owner);
    tcase_add_test(t, the_file_that_cannot_be_opened_is_named);
    tcase_add_loop_test(t, reopening_follows_a_rotation, 0, 2); /* without and with a thread */
    tcase_add_test(t, the_old_file_stays_if_it_cannot_be_reopened);
    tcase_add_test(t, a_full_pipe_drops_lines_and_reports_their_number);
    tcase_add_test(t, a_full_socket_drops_lines_and_reports_their_number);
    tcase_add_test(t, lines_go_to_stderr_before_open_and_after_close);
    tcase_add_test(t, syslog_lines_have_no_time_field);
    tcase_add_test(t, logging_does_not_change_errno);
    tcase_add_test(t, threads_write_whole_lines_while_the_file_is_reopened);
    suite_add_tcase(s, t);
    return suite_main(s);
}
