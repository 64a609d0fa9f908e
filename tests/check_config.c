#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "config/ini.h"
#include "config/keys.h"
#include "config/nearest.h"
#include "suite.h"

/* The least that is valid. */
#define POOL    "[pool p]\nserver = 10.0.0.1:80\n"
#define LISTEN  "[listen l]\nbind = *:80\npool = p\n"
#define MINIMAL LISTEN POOL

/* --- A directory of configuration files, which every test works in --- */

static char dir[64];
static int old_dir;
static char *errors;
static size_t errors_size;

static void enter_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || strlen(tmp) > 32)
        tmp = "/tmp";
    snprintf(dir, sizeof dir, "%s/zproxy-config-XXXXXX", tmp);
    old_dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    errors = NULL;
}

static void empty(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        char name[600];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || unlink(name) == 0)
            continue;
        empty(name);
        rmdir(name);
    }
    if (d != NULL)
        closedir(d);
}

static void leave_dir(void)
{
    free(errors);
    empty(".");
    ck_assert_int_eq(fchdir(old_dir), 0);
    close(old_dir);
    rmdir(dir);
}

static void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

/* Loads a file; what it says stays in `errors` until the next call. */
static struct config *load_file(const char *path)
{
    free(errors);
    FILE *out = open_memstream(&errors, &errors_size);
    struct config *c = config_load(path, out);
    fclose(out);
    ck_assert_int_eq(c == NULL, errors[0] != '\0'); /* a configuration, or errors, never both */
    return c;
}

static struct config *load(const char *text)
{
    write_file("a.ini", text);
    return load_file("a.ini");
}

static struct config *load_good(const char *text)
{
    struct config *c = load(text);
    ck_assert_msg(c != NULL, "%s", errors);
    return c;
}

static void expect_good(const char *text)
{
    config_free(load_good(text));
}

/* All that is said of a file, and no more. */
static void expect_errors(const char *text, const char *expected)
{
    struct config *c = load(text);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(errors, expected);
}

/* --- What a configuration is --- */

START_TEST(the_least_that_works_gets_all_defaults)
{
    struct config *c = load_good(MINIMAL);
    const struct config_global *g = &c->global;
    ck_assert_uint_eq(g->workers, 0);
    ck_assert(!g->cpu_affinity);
    ck_assert_uint_eq(g->max_connections, 0);
    ck_assert_ptr_null(g->user);
    ck_assert_ptr_null(g->group);
    ck_assert_ptr_null(g->chroot);
    ck_assert_ptr_null(g->pid_file);
    ck_assert_int_eq(g->log.kind, LOG_KIND_STDERR);
    ck_assert_int_eq(g->log_level, LOG_LEVEL_INFO);
    ck_assert_int_eq(g->log_format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(g->access_log.kind, LOG_KIND_SAME);
    ck_assert_int_eq(g->relay, CONFIG_RELAY_SPLICE);
    ck_assert_uint_gt(g->pipe_size, 0);
    ck_assert_uint_eq(g->max_pipes, 0);
    ck_assert_uint_eq(g->busy_poll, 0);
    ck_assert_uint_eq(g->shutdown_timeout, 30000);

    ck_assert_uint_eq(c->listen_count, 1);
    const struct config_listen *l = &c->listen[0];
    ck_assert_str_eq(l->name, "l");
    ck_assert_uint_eq(l->bind_count, 1);
    ck_assert_uint_eq(addr_port(&l->bind[0]), 80);
    ck_assert_str_eq(l->pool_name, "p");
    ck_assert_ptr_eq(l->pool, &c->pool[0]);
    ck_assert_uint_eq(l->idle_timeout, 3600000);
    ck_assert_uint_eq(l->half_close_timeout, 3600000);
    ck_assert_uint_eq(l->session_timeout, 0);
    ck_assert_uint_eq(l->max_connections, 0);
    ck_assert_uint_eq(l->backlog, 4096);
    ck_assert(l->nodelay);
    ck_assert(l->keepalive.on);
    ck_assert_uint_eq(l->keepalive.time, 0);
    ck_assert_uint_eq(l->tcp_user_timeout, 0);
    ck_assert_uint_eq(l->fastopen, 0);
    ck_assert_uint_eq(l->defer_accept, 0);
    ck_assert_uint_eq(l->receive_buffer, 0);
    ck_assert_uint_eq(l->send_buffer, 0);

    ck_assert_uint_eq(c->pool_count, 1);
    const struct config_pool *p = &c->pool[0];
    ck_assert_str_eq(p->name, "p");
    ck_assert_int_eq(p->balance, CONFIG_BALANCE_ROUND_ROBIN);
    ck_assert_uint_eq(p->connect_timeout, 5000);
    ck_assert_uint_eq(p->retries, 2);
    ck_assert_uint_eq(p->server_count, 1);
    const struct config_server *s = &p->server[0];
    ck_assert_str_eq(s->name, "10.0.0.1:80");
    ck_assert_uint_eq(s->weight, 1);
    ck_assert(!s->backup);
    ck_assert_uint_eq(s->max_connections, 0);
    ck_assert_int_eq(s->state, CONFIG_STATE_READY);
    config_free(c);
}
END_TEST

/* Every key, none at its default. */
static const char everything[] = "[global]\n"
                                 "workers = 3\n"
                                 "cpu_affinity = yes\n"
                                 "max_connections = 1000\n"
                                 "user = www-data\n"
                                 "group = 33\n"
                                 "chroot = /var/empty\n"
                                 "pid_file = /run/z.pid\n"
                                 "log = syslog:local3\n"
                                 "log_level = debug\n"
                                 "log_format = json\n"
                                 "access_log = /var/log/my access.log\n"
                                 "relay = copy\n"
                                 "pipe_size = 1m\n"
                                 "max_pipes = 99\n"
                                 "busy_poll = 50\n"
                                 "shutdown_timeout = off\n"
                                 "[listen web]\n"
                                 "bind = 127.0.0.1:80, [::1]:80\n"
                                 "bind = unix:/run/web.sock\n"
                                 "pool = web\n"
                                 "idle_timeout = 10m\n"
                                 "half_close_timeout = 1500ms\n"
                                 "session_timeout = 2d\n"
                                 "max_connections = 7\n"
                                 "backlog = 128\n"
                                 "nodelay = no\n"
                                 "keepalive = 60s/10s/6\n"
                                 "tcp_user_timeout = 30s\n"
                                 "fastopen = 256\n"
                                 "defer_accept = 5s\n"
                                 "receive_buffer = 64k\n"
                                 "send_buffer = 128k\n"
                                 "[pool web]\n"
                                 "server = 10.0.0.1:80 name=a weight=256 backup "
                                 "max_connections=9 state=drain\n"
                                 "server = unix:@b state=maint\n"
                                 "balance = round_robin\n"
                                 "connect_timeout = off\n"
                                 "retries = 0\n";

START_TEST(every_key_has_its_effect)
{
    struct config *c = load_good(everything);
    const struct config_global *g = &c->global;
    ck_assert_uint_eq(g->workers, 3);
    ck_assert(g->cpu_affinity);
    ck_assert_uint_eq(g->max_connections, 1000);
    ck_assert_str_eq(g->user, "www-data");
    ck_assert_str_eq(g->group, "33");
    ck_assert_str_eq(g->chroot, "/var/empty");
    ck_assert_str_eq(g->pid_file, "/run/z.pid");
    ck_assert_int_eq(g->log.kind, LOG_KIND_SYSLOG);
    ck_assert_int_eq(g->log.facility, LOG_LOCAL3);
    ck_assert_int_eq(g->log_level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(g->log_format, LOG_FORMAT_JSON);
    ck_assert_int_eq(g->access_log.kind, LOG_KIND_FILE);
    ck_assert_str_eq(g->access_log.path, "/var/log/my access.log");
    ck_assert_int_eq(g->relay, CONFIG_RELAY_COPY);
    ck_assert_uint_eq(g->pipe_size, 1 << 20);
    ck_assert_uint_eq(g->max_pipes, 99);
    ck_assert_uint_eq(g->busy_poll, 50);
    ck_assert_uint_eq(g->shutdown_timeout, 0);

    const struct config_listen *l = &c->listen[0];
    ck_assert_uint_eq(l->bind_count, 3);
    ck_assert(addr_is_unix(&l->bind[2]));
    ck_assert_uint_eq(l->idle_timeout, 600000);
    ck_assert_uint_eq(l->half_close_timeout, 1500);
    ck_assert_uint_eq(l->session_timeout, 172800000);
    ck_assert_uint_eq(l->max_connections, 7);
    ck_assert_uint_eq(l->backlog, 128);
    ck_assert(!l->nodelay);
    ck_assert(l->keepalive.on);
    ck_assert_uint_eq(l->keepalive.time, 60000);
    ck_assert_uint_eq(l->keepalive.interval, 10000);
    ck_assert_uint_eq(l->keepalive.count, 6);
    ck_assert_uint_eq(l->tcp_user_timeout, 30000);
    ck_assert_uint_eq(l->fastopen, 256);
    ck_assert_uint_eq(l->defer_accept, 5000);
    ck_assert_uint_eq(l->receive_buffer, 65536);
    ck_assert_uint_eq(l->send_buffer, 131072);

    const struct config_pool *p = &c->pool[0];
    ck_assert_uint_eq(p->connect_timeout, 0);
    ck_assert_uint_eq(p->retries, 0);
    ck_assert_uint_eq(p->server_count, 2);
    ck_assert_str_eq(p->server[0].name, "a");
    ck_assert_uint_eq(p->server[0].weight, 256);
    ck_assert(p->server[0].backup);
    ck_assert_uint_eq(p->server[0].max_connections, 9);
    ck_assert_int_eq(p->server[0].state, CONFIG_STATE_DRAIN);
    ck_assert_str_eq(p->server[1].name, "unix:@b");
    ck_assert_int_eq(p->server[1].state, CONFIG_STATE_MAINT);
    config_free(c);
}
END_TEST

START_TEST(sections_keep_their_order)
{
    struct config *c =
        load_good("[pool b]\nserver = 1.1.1.1:1\n[listen z]\nbind = *:1\npool = a\n"
                  "[listen y]\nbind = *:2\npool = b\n[pool a]\nserver = 1.1.1.1:2\n");
    ck_assert_str_eq(c->listen[0].name, "z");
    ck_assert_str_eq(c->listen[1].name, "y");
    ck_assert_ptr_eq(c->listen[0].pool, &c->pool[1]);
    ck_assert_ptr_eq(c->listen[1].pool, &c->pool[0]);
    config_free(c);
}
END_TEST

START_TEST(a_pool_may_be_shared_or_unused)
{
    expect_good(MINIMAL "[listen m]\nbind = *:81\npool = p\n[pool q]\nserver = 10.0.0.1:80\n");
}
END_TEST

/* --- Syntax --- */

START_TEST(comments_begin_a_line_or_follow_white_space)
{
    struct config *c = load_good("# one\n; two\n   # three\n\t; four\n[global] # five\n"
                                 "pid_file = /a#b;c ; six # seven\nuser = x\t# eight\n" MINIMAL);
    ck_assert_str_eq(c->global.pid_file, "/a#b;c");
    ck_assert_str_eq(c->global.user, "x");
    config_free(c);
}
END_TEST

START_TEST(white_space_around_names_and_values_is_ignored)
{
    struct config *c = load_good("[ \t global\t]  \nuser=x\ngroup\t = \t y \t \n"
                                 "[  listen \t l ]\nbind=*:80\npool =p\n" POOL);
    ck_assert_str_eq(c->global.user, "x");
    ck_assert_str_eq(c->global.group, "y");
    ck_assert_str_eq(c->listen[0].name, "l");
    config_free(c);
}
END_TEST

START_TEST(an_indented_line_continues_the_one_before)
{
    struct config *c = load_good("[listen l]\nbind = 10.0.0.1:1,\n  10.0.0.1:2, # comment\n"
                                 "# comment\n\n\t[::1]:3 ;\npool = p\n[pool p]\nserver =\n"
                                 "  10.0.0.1:80\n  weight=3\n   name=a\n");
    ck_assert_uint_eq(c->listen[0].bind_count, 3);
    ck_assert_uint_eq(c->pool[0].server[0].weight, 3);
    ck_assert_str_eq(c->pool[0].server[0].name, "a");
    config_free(c);
}
END_TEST

START_TEST(continued_lines_are_joined_by_one_space)
{
    struct config *c = load_good("[global]\npid_file = /a  \n    b=c\n\t\td:e\n  [f]\n" MINIMAL);
    ck_assert_str_eq(c->global.pid_file, "/a b=c d:e [f]");
    config_free(c);
}
END_TEST

START_TEST(line_ends_and_byte_order_marks_of_other_systems_are_accepted)
{
    struct config *c = load_good("\xef\xbb\xbf[global]\r\nuser = x\r\ngroup =\r\n  y\r\n" LISTEN
                                 "[pool p]\r\nserver = 10.0.0.1:80\r");
    ck_assert_str_eq(c->global.user, "x");
    ck_assert_str_eq(c->global.group, "y");
    config_free(c);
}
END_TEST

START_TEST(the_last_line_needs_no_end)
{
    expect_good("[pool p]\nserver = 10.0.0.1:80\n[listen l]\nbind = *:80\npool = p");
}
END_TEST

/* "[global]\npid_file = /xxx..." with a line of n bytes, then `tail`, then what is needed. */
static const char *long_line(size_t n, const char *tail)
{
    static char text[8192];
    size_t begin = (size_t)sprintf(text, MINIMAL "[global]\n");
    size_t key = (size_t)sprintf(text + begin, "pid_file = /");
    memset(text + begin + key, 'x', n - key);
    sprintf(text + begin + n, "%s\n", tail);
    return text;
}

START_TEST(a_line_may_have_199_bytes_and_a_comment)
{
    struct config *c = load_good(long_line(199, "   # and so on, and so on, and so on"));
    ck_assert_uint_eq(strlen(c->global.pid_file), 199 - strlen("pid_file = "));
    config_free(c);
}
END_TEST

START_TEST(a_longer_line_is_an_error_and_not_split)
{
    for (size_t n = 200; n < 1000; n += 7)
        expect_errors(long_line(n, ""), "a.ini:7: [global]: longer than 199 bytes, expected the "
                                        "rest on indented lines\n");
    /* The end of the line is no line of its own, nor is what would continue it. */
    expect_errors(long_line(230, "\n  more\nuser = x y"),
                  "a.ini:7: [global]: longer than 199 bytes, expected the rest on indented lines\n"
                  "a.ini:9: [global] user: \"x y\": not a word, expected one of at most 255 "
                  "bytes\n");
}
END_TEST

START_TEST(a_value_may_be_longer_than_a_line)
{
    char tail[400] = "\n ";
    memset(tail + 2, 'y', 198);
    struct config *c = load_good(long_line(199, tail));
    ck_assert_uint_eq(strlen(c->global.pid_file), 199 - strlen("pid_file = ") + 1 + 198);
    config_free(c);
    tail[200] = 'y'; /* one more */
    expect_errors(long_line(199, tail), "a.ini:8: [global]: longer than 199 bytes, expected the "
                                        "rest on indented lines\n");
}
END_TEST

START_TEST(every_bad_line_is_reported)
{
    expect_errors(MINIMAL "[global]\none\n= two\nbind: three\nfour: five = six\n[seven\n"
                          "[pool x] eight\nserver = 1.1.1.1:1\nnine\n",
                  "a.ini:7: [global]: expected \"key = value\" or \"[section]\"\n"
                  "a.ini:8: [global]: expected \"key = value\" or \"[section]\"\n"
                  "a.ini:9: [global]: no \"=\" behind the key, expected \"key = value\" or "
                  "\"[section]\"\n"
                  "a.ini:10: [global]: no \"=\" behind the key, expected \"key = value\" or "
                  "\"[section]\"\n"
                  "a.ini:11: [global]: no closing bracket, expected \"[section]\"\n"
                  "a.ini:11: [seven]: unknown section, expected [global], [defaults], "
                  "[listen NAME] or [pool NAME]\n"
                  "a.ini:12: text after the bracket, expected \"[section]\" alone\n"
                  "a.ini:14: [pool x]: expected \"key = value\" or \"[section]\"\n");
}
END_TEST

START_TEST(an_indented_key_is_not_swallowed)
{
    expect_errors("[listen l]\nbind = *:80\n  pool = p\n" POOL,
                  "a.ini:3: [listen l]: indented, and so it would continue the line before, "
                  "expected no space in front\n");
    expect_errors("[listen l]\n  bind = *:80\n\tpool=p\n" POOL,
                  "a.ini:2: [listen l]: indented, and so it would continue the line before, "
                  "expected no space in front\n"
                  "a.ini:3: [listen l]: indented, and so it would continue the line before, "
                  "expected no space in front\n");
    expect_errors(LISTEN " [pool p]\nserver = 10.0.0.1:80\n",
                  "a.ini:4: [listen l]: indented, and so it would continue the line before, "
                  "expected no space in front\n");
}
END_TEST

START_TEST(an_indented_line_needs_one_to_continue)
{
    expect_errors("  x\n" MINIMAL,
                  "a.ini:1: indented, but no line to continue, expected no space in front\n");
    expect_errors(MINIMAL "[global]\n  x\n  y\n", "a.ini:7: [global]: indented, but no line to "
                                                  "continue, expected no space in front\n");
}
END_TEST

START_TEST(what_continues_a_bad_line_is_not_reported_again)
{
    expect_errors(MINIMAL "[global]\nbad\n  more\n  and more\n",
                  "a.ini:7: [global]: expected \"key = value\" or \"[section]\"\n");
}
END_TEST

START_TEST(long_names_are_not_cut)
{
    char text[512];
    static const char name[] =
        "n23456789012345678901234567890123456789012345678901234567890123"; /* 63 */
    snprintf(text, sizeof text,
             LISTEN "bind = *:81\n[pool p]\nserver = 1.1.1.1:1\n[pool %sa]\n"
                    "server = 1.1.1.1:1\n[pool %sb]\nserver = 1.1.1.1:1\n",
             name, name);
    struct config *c = load_good(text);
    ck_assert_uint_eq(strlen(c->pool[2].name), 64);
    ck_assert_int_eq(c->pool[2].name[63], 'b');
    config_free(c);
    snprintf(text, sizeof text, MINIMAL "[pool %sab]\nserver = 1.1.1.1:1\n", name);
    ck_assert_ptr_null(load(text));
    ck_assert_ptr_nonnull(strstr(errors, "ab]: not a name, expected 1 to 64 of letters, digits"));
    /* 49 bytes are equal to a key's, so to speak: the whole of it is looked at. */
    snprintf(text, sizeof text, MINIMAL "[global]\nuser%*s = x\n", 60, "y");
    ck_assert_ptr_null(load(text));
    snprintf(text, sizeof text, MINIMAL "[global]\n%s = x\n", name);
    ck_assert_ptr_null(load(text));
    ck_assert_ptr_nonnull(strstr(errors, name));
}
END_TEST

START_TEST(a_section_without_keys_exists)
{
    expect_errors(MINIMAL "[pool empty]\n[listen nothing]\n",
                  "a.ini:7: [listen nothing] bind: missing, expected at least one\n"
                  "a.ini:7: [listen nothing] pool: missing, expected a value\n"
                  "a.ini:6: [pool empty] server: missing, expected at least one\n");
}
END_TEST

/* --- What a file may be --- */

START_TEST(a_file_that_cannot_be_read_is_an_error)
{
    ck_assert_ptr_null(load_file("missing.ini"));
    ck_assert_str_eq(errors, "missing.ini: cannot be read: No such file or directory\n");
    ck_assert_ptr_null(load_file("."));
    ck_assert_str_eq(errors, ".: a directory, expected a file\n");
    ck_assert_ptr_null(load_file("/dev/null"));
    ck_assert_str_eq(errors, "/dev/null: not a regular file\n");
}
END_TEST

START_TEST(a_fifo_is_not_waited_for)
{
    ck_assert_int_eq(mkfifo("a.ini", 0600), 0);
    ck_assert_ptr_null(load_file("a.ini"));
    ck_assert_str_eq(errors, "a.ini: not a regular file\n");
}
END_TEST

START_TEST(a_file_without_sections_is_an_error)
{
    expect_errors("", "a.ini: no [listen NAME] section, expected at least one\n");
    expect_errors("# nothing\n", "a.ini: no [listen NAME] section, expected at least one\n");
    expect_errors(POOL, "a.ini: no [listen NAME] section, expected at least one\n");
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    const char *expected;
} binaries[] = {
    { "# a\n\0\n", 6, "a.ini:2: a NUL byte, expected text\n" },
    { "\0", 1, "a.ini:1: a NUL byte, expected text\n" },
    { "# a\n# \xff\n# \xfe\n", 12, "a.ini:2: byte 0xff is not UTF-8, expected text\n" },
    { "# \xc3", 3, "a.ini:1: byte 0xc3 is not UTF-8, expected text\n" },
    { "\x7f"
      "ELF\x02\x01",
      6, "a.ini:1: control character 0x7f, expected text\n" },
    { "#\n\n# \x1b[31m\n", 11, "a.ini:3: control character 0x1b, expected text\n" },
    { "# a\r# b\n", 8, "a.ini:1: control character 0x0d, expected text\n" },
};

START_TEST(a_file_that_is_not_text_is_one_error)
{
    write_bytes("a.ini", binaries[_i].bytes, binaries[_i].size);
    ck_assert_ptr_null(load_file("a.ini"));
    ck_assert_str_eq(errors, binaries[_i].expected);
}
END_TEST

START_TEST(a_file_of_4_mib_is_read_and_a_larger_one_is_not)
{
    const size_t max = 4 << 20;
    const size_t n = strlen(MINIMAL);
    char *text = malloc(max + 2);
    memset(text, '\n', max + 1);
    memcpy(text, MINIMAL, n);
    text[max] = '\0';
    expect_good(text);
    text[max] = '\n';
    text[max + 1] = '\0';
    expect_errors(text, "a.ini: too large, expected at most 4 MiB\n");
    free(text);
}
END_TEST

/* --- Sections and keys --- */

static const struct {
    const char *text;
    const char *expected;
} wrong_keys[] = {
    { "user = x\n" MINIMAL, "a.ini:1: user: before any section, expected [global], [defaults], "
                            "[listen NAME] or [pool NAME] first\n" },
    { MINIMAL "[global]\nlog_levl = info\n",
      "a.ini:7: [global] log_levl: unknown key, did you mean \"log_level\"?\n" },
    { MINIMAL "[global]\nWorkers = 3\n",
      "a.ini:7: [global] Workers: unknown key, did you mean \"workers\"?\n" },
    { MINIMAL "retires = 3\n",
      "a.ini:6: [pool p] retires: unknown key, did you mean \"retries\"?\n" },
    { MINIMAL "zzz = 3\n", "a.ini:6: [pool p] zzz: unknown key, expected one of: server balance "
                           "connect_timeout retries\n" },
    { POOL LISTEN "zzz = 3\n", "a.ini:6: [listen l] zzz: unknown key, see zproxy.ini(5)\n" },
    { MINIMAL "idle_timeout = 5s\n", "a.ini:6: [pool p] idle_timeout: belongs in [listen NAME]\n" },
    { MINIMAL "log = stderr\n", "a.ini:6: [pool p] log: belongs in [global]\n" },
    { POOL LISTEN "retries = 1\n", "a.ini:6: [listen l] retries: belongs in [pool NAME]\n" },
    { POOL LISTEN "include = x\n", "a.ini:6: [listen l] include: belongs in [global]\n" },
    { MINIMAL "retries = 1\nretries = 1\n",
      "a.ini:7: [pool p] retries: given twice, first in line 6\n" },
    { MINIMAL "retries = x\nretries = 1\n",
      "a.ini:6: [pool p] retries: \"x\": not understood, expected a number from 0 to 1000\n"
      "a.ini:7: [pool p] retries: given twice, first in line 6\n" },
    { MINIMAL "balance =\n", "a.ini:6: [pool p] balance: \"\": unknown, expected round_robin\n" },
    /* Of stages to come. */
    { MINIMAL "balance = least_conn\n",
      "a.ini:6: [pool p] balance: \"least_conn\": unknown, expected round_robin\n" },
    { MINIMAL "slow_start = 5s\n", "a.ini:6: [pool p] slow_start: unknown key, expected one of: "
                                   "server balance connect_timeout retries\n" },
    { MINIMAL "[admin]\nsocket = /x\n", "a.ini:6: [admin]: unknown section, expected [global], "
                                        "[defaults], [listen NAME] or [pool NAME]\n" },
};

START_TEST(a_key_that_is_wrong_here_is_explained)
{
    expect_errors(wrong_keys[_i].text, wrong_keys[_i].expected);
}
END_TEST

static const struct {
    const char *text;
    const char *expected;
} wrong_sections[] = {
    { MINIMAL "[pol q]\nwhatever = 1\n",
      "a.ini:6: [pol q]: unknown section, did you mean [pool NAME]?\n" },
    { MINIMAL "[default]\nretries = 1\n",
      "a.ini:6: [default]: unknown section, did you mean [defaults]?\n" },
    { MINIMAL "[xyz]\n", "a.ini:6: [xyz]: unknown section, expected [global], [defaults], "
                         "[listen NAME] or [pool NAME]\n" },
    { MINIMAL "[]\n", "a.ini:6: []: unknown section, expected [global], [defaults], "
                      "[listen NAME] or [pool NAME]\n" },
    { MINIMAL "[pool]\nserver = 1.1.1.1:1\n", "a.ini:6: [pool]: no name, expected [pool NAME]\n" },
    { MINIMAL "[pool]\nserver = 1\n[pool]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool]: no name, expected [pool NAME]\n"
      "a.ini:7: [pool ] server: \"1\": port missing, expected ADDRESS:PORT\n"
      "a.ini:8: [pool]: no name, expected [pool NAME]\n" },
    { MINIMAL "[pool a b]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool a b]: not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { MINIMAL "[global x]\n", "a.ini:6: [global x]: takes no name, expected [global]\n" },
    { MINIMAL "[defaults x]\n", "a.ini:6: [defaults x]: takes no name, expected [defaults]\n" },
    { MINIMAL "[global]\nuser = x\n[global]\ngroup = x\n",
      "a.ini:8: [global]: given twice, first in line 6\n" },
    { MINIMAL "[pool p]\nserver = 1.1.1.1:1\n",
      "a.ini:6: [pool p]: given twice, first in line 4\n" },
    { MINIMAL "[listen l]\nbind = *:81\npool = p\n",
      "a.ini:6: [listen l]: given twice, first in line 1\n" },
};

START_TEST(a_section_that_is_wrong_is_explained)
{
    expect_errors(wrong_sections[_i].text, wrong_sections[_i].expected);
}
END_TEST

START_TEST(the_nearest_word_is_near)
{
    static const struct {
        const char *wanted;
        const char *found; /* of these: */
    } words[] = {
        { "workers", "workers" },
        { "worker", "workers" },
        { "wrokers", "workers" },
        { "Workers", "workers" },
        { "logs", "log" },
        { "lgo", "log" },
        { "x", NULL },
        { "max_connection", "max_connections" },
        { "maxconnections", "max_connections" },
        { "", NULL },
        { "zzzzzzz", NULL },
        { "timeout", NULL },
    };
    static const char *const known[] = { "log", "workers", "max_connections" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct nearest near;
        nearest_init(&near, words[i].wanted);
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            nearest_offer(&near, known[k]);
        if (words[i].found == NULL)
            ck_assert_msg(near.word == NULL, "%s", words[i].wanted);
        else
            ck_assert_pstr_eq(near.word, words[i].found);
    }
}
END_TEST

START_TEST(defaults_are_for_the_sections_that_follow)
{
    struct config *c =
        load_good("[listen a]\nbind = *:1\npool = p\n"
                  "[defaults]\nidle_timeout = 1m\nnodelay = no\nretries = 7\nkeepalive = 5s/5s/5\n"
                  "[listen b]\nbind = *:2\npool = p\n"
                  "[listen c]\nbind = *:3\npool = p\nidle_timeout = 2m\n"
                  "[defaults]\nidle_timeout = 3m\n"
                  "[listen d]\nbind = *:4\npool = p\n" POOL);
    ck_assert_uint_eq(c->listen[0].idle_timeout, 3600000);
    ck_assert(c->listen[0].nodelay);
    ck_assert_uint_eq(c->listen[1].idle_timeout, 60000);
    ck_assert(!c->listen[1].nodelay);
    ck_assert_uint_eq(c->listen[1].keepalive.count, 5);
    ck_assert_uint_eq(c->listen[2].idle_timeout, 120000);
    ck_assert_uint_eq(c->listen[3].idle_timeout, 180000);
    ck_assert(!c->listen[3].nodelay);
    ck_assert_uint_eq(c->pool[0].retries, 7);
    config_free(c);
}
END_TEST

START_TEST(defaults_are_checked_where_they_stand)
{
    expect_errors(MINIMAL
                  "[defaults]\nbind = *:81\npool = p\nserver = 1.1.1.1:1\nworkers = 1\n"
                  "retries = x\nretries = 3\nretris = 3\nnope = 1\n[defaults]\nretries = 4\n",
                  "a.ini:7: [defaults] bind: belongs in [listen NAME]\n"
                  "a.ini:8: [defaults] pool: belongs in [listen NAME]\n"
                  "a.ini:9: [defaults] server: belongs in [pool NAME]\n"
                  "a.ini:10: [defaults] workers: belongs in [global]\n"
                  "a.ini:11: [defaults] retries: \"x\": not understood, expected a number from 0 "
                  "to 1000\n"
                  "a.ini:12: [defaults] retries: given twice, first in line 11\n"
                  "a.ini:13: [defaults] retris: unknown key, did you mean \"retries\"?\n"
                  "a.ini:14: [defaults] nope: unknown key, see zproxy.ini(5)\n");
}
END_TEST

/* --- Values that only a configuration has --- */

/* A value of a key, refused: `section` is opened with what it needs by `before`. */
static const struct {
    const char *before;
    const char *line;
    const char *expected;
} refused[] = {
    { POOL "[listen l]\npool = p\n", "bind = *:80,\n",
      "[listen l] bind: \"\": empty, expected ADDRESS:PORT or unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind =\n",
      "[listen l] bind: \"\": empty, expected ADDRESS:PORT or unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80 10.0.0.1:81\n",
      "[listen l] bind: \"*:80 10.0.0.1:81\": IPv6 needs brackets: [::1]:80\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:0\n",
      "[listen l] bind: \"*:0\": bad port, expected a number from 1 to 65535\n" },
    { POOL "[listen l]\nbind = *:80\n", "pool = p, q\n",
      "[listen l] pool: \"p, q\": not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { POOL LISTEN, "keepalive = maybe\n",
      "[listen l] keepalive: \"maybe\": not understood, expected yes, no, or "
      "TIME/INTERVAL/COUNT as in 60s/10s/6\n" },
    { POOL LISTEN, "keepalive = 60s/10s\n",
      "[listen l] keepalive: \"60s/10s\": not understood, expected TIME/INTERVAL/COUNT as in "
      "60s/10s/6\n" },
    { POOL LISTEN, "keepalive = 60s/10s/200\n",
      "[listen l] keepalive: \"200\": too large, expected a number from 1 to 127\n" },
    { POOL LISTEN, "keepalive = 60s/10s/6/1\n",
      "[listen l] keepalive: \"6/1\": not understood, expected a number from 1 to 127\n" },
    { POOL LISTEN, "keepalive = 1500ms/10s/6\n",
      "[listen l] keepalive: \"1500ms\": not whole seconds, expected a time such as 60s\n" },
    { POOL LISTEN, "backlog = 0\n",
      "[listen l] backlog: \"0\": too small, expected a number from 1 to 65535\n" },
    { LISTEN "[pool p]\n", "server =\n",
      "[pool p] server: \"\": empty, expected ADDRESS:PORT and options\n" },
    { LISTEN "[pool p]\n", "server = web1:80\n",
      "[pool p] server: \"web1:80\": a name: only numeric addresses are accepted\n" },
    { LISTEN "[pool p]\n", "server = 0.0.0.0:80\n",
      "[pool p] server: \"0.0.0.0:80\": stands for all addresses, expected the one to connect "
      "to\n" },
    { LISTEN "[pool p]\n", "server = [::]:80\n",
      "[pool p] server: \"[::]:80\": stands for all addresses, expected the one to connect to\n" },
    { LISTEN "[pool p]\n", "server = *:81\n",
      "[pool p] server: \"*:81\": stands for all addresses, expected the one to connect to\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80, 10.0.0.2:80\n",
      "[pool p] server: \"10.0.0.1:80, 10.0.0.2:80\": a comma, expected one server to a line, its "
      "options separated by spaces\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 wieght=3\n",
      "[pool p] server: \"wieght\": unknown option, did you mean \"weight\"?\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 fast\n",
      "[pool p] server: \"fast\": unknown option, expected name=, weight=, backup, "
      "max_connections= or state=\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight=0\n",
      "[pool p] server: weight=\"0\": too small, expected a number from 1 to 256\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight\n",
      "[pool p] server: \"weight\": no value, expected weight=...\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight = 3\n",
      "[pool p] server: \"weight\": no value, expected weight=...\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight=1 weight=1\n",
      "[pool p] server: \"weight\": given twice\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=a name=b\n",
      "[pool p] server: \"name\": given twice\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 backup=yes\n",
      "[pool p] server: \"backup\": takes no value, expected the word alone\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 state=up\n",
      "[pool p] server: state=\"up\": unknown, expected ready, drain or maint\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=\n",
      "[pool p] server: name=\"\": not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=a/b\n",
      "[pool p] server: name=\"a/b\": not a name, expected 1 to 64 of letters, digits and . _ - "
      ":\n" },
    { MINIMAL "[global]\n", "log = off\n",
      "[global] log: \"off\": unknown, expected syslog, syslog:FACILITY, stderr, or a path that "
      "begins with /\n" },
    { MINIMAL "[global]\n", "log = zproxy.log\n",
      "[global] log: \"zproxy.log\": unknown, expected syslog, syslog:FACILITY, stderr, or a path "
      "that begins with /\n" },
    { MINIMAL "[global]\n", "access_log = none\n",
      "[global] access_log: \"none\": unknown, expected same, off, syslog, syslog:FACILITY, "
      "stderr, or a path that begins with /\n" },
    { MINIMAL "[global]\n", "log = syslog:local9\n",
      "[global] log: \"local9\": unknown facility, expected daemon, user, local0 to local7, or "
      "another one of syslog(3)\n" },
    { MINIMAL "[global]\n", "chroot = empty\n",
      "[global] chroot: \"empty\": not absolute, expected a path that begins with /\n" },
    { MINIMAL "[global]\n", "pipe_size = 4095\n",
      "[global] pipe_size: \"4095\": too small, expected a size (4096, 64k, 1m, 2g) from 4k to "
      "1g\n" },
};

START_TEST(a_value_that_is_wrong_is_explained)
{
    char text[512];
    char expected[512];
    unsigned line = 1;
    snprintf(text, sizeof text, "%s%s", refused[_i].before, refused[_i].line);
    for (const char *c = refused[_i].before; *c != '\0'; c++)
        line += *c == '\n';
    snprintf(expected, sizeof expected, "a.ini:%u: %s", line, refused[_i].expected);
    expect_errors(text, expected);
}
END_TEST

START_TEST(keepalive_is_yes_no_or_three_numbers)
{
    struct config *c = load_good(POOL LISTEN "keepalive = no\n");
    ck_assert(!c->listen[0].keepalive.on);
    config_free(c);
    c = load_good(POOL LISTEN "keepalive = 9h/1m/127\n");
    ck_assert(c->listen[0].keepalive.on);
    ck_assert_uint_eq(c->listen[0].keepalive.time, 32400000);
    config_free(c);
}
END_TEST

START_TEST(logs_go_to_all_places)
{
    static const struct {
        const char *text;
        enum log_kind kind;
        int facility;
    } targets[] = {
        { "stderr", LOG_KIND_STDERR, LOG_DAEMON },
        { "syslog", LOG_KIND_SYSLOG, LOG_DAEMON },
        { "syslog:local0", LOG_KIND_SYSLOG, LOG_LOCAL0 },
        { "/a/b", LOG_KIND_FILE, LOG_DAEMON },
        { "same", LOG_KIND_SAME, LOG_DAEMON },
        { "off", LOG_KIND_OFF, LOG_DAEMON },
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char text[200];
        snprintf(text, sizeof text, MINIMAL "[global]\naccess_log = %s\n", targets[i].text);
        struct config *c = load_good(text);
        ck_assert_int_eq(c->global.access_log.kind, targets[i].kind);
        ck_assert_int_eq(c->global.access_log.facility, targets[i].facility);
        config_free(c);
    }
}
END_TEST

START_TEST(a_server_is_named_by_its_address_as_written)
{
    struct config *c =
        load_good(LISTEN "[pool p]\nserver = [2001:DB8:0:0::1]:080\n"
                         "server = unix:/run/a\\x20b name=b\nserver = unix:@/x@[]\n");
    ck_assert_str_eq(c->pool[0].server[0].name, "[2001:DB8:0:0::1]:080");
    ck_assert_str_eq(c->pool[0].server[1].name, "b");
    ck_assert_str_eq(c->pool[0].server[2].name, "unix:@/x@[]");
    config_free(c);
}
END_TEST

/* --- include --- */

START_TEST(an_included_file_is_read_in_its_place)
{
    mkdir("d", 0700);
    write_file("d/b.ini", "[listen b]\nbind = *:2\npool = p\n");
    write_file("d/a.ini", "[listen a]\nbind = *:1\npool = p\n");
    write_file("c.ini", "user = x\n[global]\ngroup = y\n" POOL "[defaults]\nretries = 9\n");
    struct config *c = load_good("[listen first]\nbind = *:3\npool = p\n[global]\n"
                                 "include = d/*.ini,\n   c.ini\nchroot = /c\n"
                                 "[listen last]\nbind = *:4\npool = q\n"
                                 "[pool q]\nserver = 10.0.0.1:80\n");
    ck_assert_str_eq(c->listen[0].name, "first");
    ck_assert_str_eq(c->listen[1].name, "a"); /* sorted */
    ck_assert_str_eq(c->listen[2].name, "b");
    ck_assert_str_eq(c->listen[3].name, "last");
    ck_assert_str_eq(c->global.user, "x");    /* it began in [global] */
    ck_assert_str_eq(c->global.group, "y");   /* and may say so */
    ck_assert_str_eq(c->global.chroot, "/c"); /* and so did what came after it */
    ck_assert_uint_eq(c->pool[1].retries, 9);
    config_free(c);
}
END_TEST

START_TEST(an_include_is_relative_to_its_file)
{
    mkdir("d[1]", 0700); /* no wildcard: it is not the pattern */
    mkdir("d[1]/e", 0700);
    write_file("d[1]/b.ini", "[global]\ninclude = e/*.ini\ninclude = c.ini\n");
    write_file("d[1]/c.ini", LISTEN);
    write_file("d[1]/e/d.ini", POOL);
    write_file("d[1]/a.ini", "[global]\ninclude = b*.ini\n");
    struct config *c = load_file("d[1]/a.ini");
    ck_assert_msg(c != NULL, "%s", errors);
    config_free(c);
    char path[128];
    snprintf(path, sizeof path, "[global]\ninclude = %s/d[[]1]/b.ini\n", dir);
    expect_good(path);
}
END_TEST

START_TEST(errors_name_the_included_file)
{
    write_file("b.ini", "workers = x\n[pool p]\nserver = 1\n");
    expect_errors(LISTEN "[global]\ninclude = b.ini\nworkers = y\n[pool p]\n",
                  "b.ini:1: [global] workers: \"x\": not understood, expected a number from 1 to "
                  "1024, or auto\n"
                  "b.ini:3: [pool p] server: \"1\": port missing, expected ADDRESS:PORT\n"
                  "a.ini:6: [global] workers: given twice, first in b.ini:1\n"
                  "a.ini:7: [pool p]: given twice, first in b.ini:2\n"
                  "a.ini:7: [pool p] server: missing, expected at least one\n");
}
END_TEST

START_TEST(a_missing_file_is_an_error_and_no_match_is_none)
{
    expect_good(MINIMAL "[global]\ninclude = *.conf\ninclude = nodir/*\n");
    expect_errors(MINIMAL "[global]\ninclude = b.conf\ninclude =\ninclude = .\n",
                  "a.ini:7: [global] include: b.conf: cannot be read: No such file or directory\n"
                  "a.ini:8: [global] include: empty, expected a path or a pattern\n"
                  "a.ini:9: [global] include: .: a directory, expected a file\n");
}
END_TEST

START_TEST(what_a_missing_file_may_hold_is_not_missed)
{
    expect_errors("[global]\ninclude = pools.ini\n" LISTEN,
                  "a.ini:2: [global] include: pools.ini: cannot be read: No such file or "
                  "directory\n");
}
END_TEST

START_TEST(a_bad_byte_in_an_included_file_is_found_there)
{
    write_file("b.ini", "# a\n# \x01\n");
    expect_errors(MINIMAL "[global]\ninclude = b.ini\n",
                  "b.ini:2: control character 0x01, expected text\n");
}
END_TEST

START_TEST(an_include_loop_is_an_error_that_shows_it)
{
    write_file("b.ini", "include = c.ini\n");
    write_file("c.ini", "include = link.ini\n");
    ck_assert_int_eq(symlink("b.ini", "link.ini"), 0);
    expect_errors(MINIMAL "[global]\ninclude = b.ini\n",
                  "c.ini:1: [global] include: a loop: a.ini -> b.ini -> c.ini -> link.ini\n");
    expect_errors(MINIMAL "[global]\ninclude = *.ini\n",
                  "a.ini:7: [global] include: a loop: a.ini -> a.ini\n"
                  "c.ini:1: [global] include: a loop: a.ini -> b.ini -> c.ini -> link.ini\n"
                  "link.ini:1: [global] include: a loop: a.ini -> c.ini -> link.ini -> c.ini\n"
                  "c.ini:1: [global] include: a loop: a.ini -> link.ini -> c.ini -> link.ini\n");
}
END_TEST

START_TEST(includes_are_bounded)
{
    for (int i = 0; i < 30; i++) {
        char name[16];
        char text[96];
        snprintf(name, sizeof name, "%d.ini", i);
        snprintf(text, sizeof text, "include = %d.ini, %d.ini\n", i + 1, i + 1);
        write_file(name, text);
    }
    ck_assert_ptr_null(load(MINIMAL "[global]\ninclude = 0.ini\n"));
    ck_assert_ptr_nonnull(strstr(errors, "15.ini: included too deeply, expected at most 16 files"));
    ck_assert_ptr_nonnull(strstr(errors, "too many files, expected at most 10000"));
}
END_TEST

/* --- The whole --- */

static const struct {
    const char *text;
    const char *expected;
} unfitting[] = {
    { "[listen l]\npool = p\n" POOL, "a.ini:1: [listen l] bind: missing, expected at least one\n" },
    { "[listen l]\nbind = *:80\n" POOL, "a.ini:1: [listen l] pool: missing, expected a value\n" },
    { LISTEN "[pool p]\n", "a.ini:4: [pool p] server: missing, expected at least one\n" },
    { LISTEN "[pool pp]\nserver = 1.1.1.1:1\n",
      "a.ini:3: [listen l] pool: \"p\": no such pool, expected a section [pool p]\n" },
    { "[listen l]\nbind = *:80\npool = wbe\n[pool web]\nserver = 1.1.1.1:1\n",
      "a.ini:3: [listen l] pool: \"wbe\": no such pool, did you mean \"web\"?\n" },
    { LISTEN, "a.ini:3: [listen l] pool: \"p\": no such pool, expected a section [pool p]\n" },
    { MINIMAL "server = 10.0.0.1:80\n", "a.ini:6: [pool p] server: \"10.0.0.1:80\": name given "
                                        "twice in this pool, first in line 5\n" },
    { MINIMAL "server = 10.0.0.2:80 name=a\nserver = 10.0.0.3:80 name=b\n"
              "server = 10.0.0.4:80 name=a\nserver = 10.0.0.4:80 name=a\n",
      "a.ini:8: [pool p] server: \"a\": name given twice in this pool, first in line 6\n"
      "a.ini:9: [pool p] server: \"a\": name given twice in this pool, first in line 6\n" },
    { POOL LISTEN "bind = 10.0.0.1:81, 10.0.0.1:81\n",
      "a.ini:6: [listen l] bind: \"10.0.0.1:81\": bound already, as \"10.0.0.1:81\" by "
      "[listen l] in line 6\n" },
    { MINIMAL "[listen m]\nbind = unix:/a\nbind = *:80\npool = p\n",
      "a.ini:8: [listen m] bind: \"*:80\": bound already, as \"*:80\" by [listen l] in line 2\n" },
    { MINIMAL "[listen m]\nbind = 0.0.0.0:80\npool = p\n",
      "a.ini:7: [listen m] bind: \"0.0.0.0:80\": bound already, as \"*:80\" by [listen l] in line "
      "2\n" },
    { MINIMAL "[listen m]\nbind = [::]:81\nbind = *:81\npool = p\n",
      "a.ini:8: [listen m] bind: \"*:81\": bound already, as \"[::]:81\" by [listen m] in line "
      "7\n" },
    { MINIMAL "[listen m]\nbind = [::ffff:10.0.0.1]:81, 10.0.0.1:81\npool = p\n",
      "a.ini:7: [listen m] bind: \"10.0.0.1:81\": bound already, as \"10.0.0.1:81\" by [listen m] "
      "in line 7\n" },
    { LISTEN "[pool p]\nserver = 127.0.0.1:80\n",
      "a.ini:5: [pool p] server: \"127.0.0.1:80\": a loop, it leads back to \"*:80\" of "
      "[listen l] in line 2\n" },
    { LISTEN "[pool p]\nserver = [::1]:80\n",
      "a.ini:5: [pool p] server: \"[::1]:80\": a loop, it leads back to \"*:80\" of [listen l] in "
      "line 2\n" },
    { "[pool p]\nserver = 127.0.0.1:1\nserver = unix:/a\nserver = 10.9.9.9:7\n"
      "[listen l]\nbind = 127.0.0.1:2, unix:/a, 10.9.9.9:7, 0.0.0.0:1\npool = p\n",
      "a.ini:2: [pool p] server: \"127.0.0.1:1\": a loop, it leads back to \"0.0.0.0:1\" of "
      "[listen l] in line 6\n"
      "a.ini:3: [pool p] server: \"unix:/a\": a loop, it leads back to \"unix:/a\" of [listen l] "
      "in line 6\n"
      "a.ini:4: [pool p] server: \"10.9.9.9:7\": a loop, it leads back to \"10.9.9.9:7\" of "
      "[listen l] in line 6\n" },
};

START_TEST(what_does_not_fit_together_is_explained)
{
    expect_errors(unfitting[_i].text, unfitting[_i].expected);
}
END_TEST

START_TEST(what_merely_looks_like_a_conflict_is_none)
{
    expect_good("[listen a]\nbind = 0.0.0.0:80, [::]:80, 10.0.0.1:80, 127.0.0.1:80\n"
                "bind = *:81, unix:/a, unix:@/a\npool = p\n"
                "[pool p]\nserver = 127.0.0.1:82\nserver = 10.0.0.1:81\nserver = [::1]:82\n"
                "[pool q]\nserver = 127.0.0.1:82 name=x\nserver = 127.0.0.1:82 name=y\n");
}
END_TEST

START_TEST(a_value_not_understood_is_not_missing_as_well)
{
    expect_errors("[listen l]\nbind = x\npool = a b\n[pool p]\nserver = y\n",
                  "a.ini:2: [listen l] bind: \"x\": port missing, expected ADDRESS:PORT\n"
                  "a.ini:3: [listen l] pool: \"a b\": not a name, expected 1 to 64 of letters, "
                  "digits and . _ - :\n"
                  "a.ini:5: [pool p] server: \"y\": port missing, expected ADDRESS:PORT\n");
}
END_TEST

/* A file with n listeners, n pools and 10 n servers, and CPU seconds to load it. */
static double load_many(int n, int rounds)
{
    FILE *f = fopen("a.ini", "we");
    for (int i = 0; i < n; i++) {
        fprintf(f, "[listen l%d]\nbind = 10.0.%d.%d:80\nbind = 127.0.0.1:%d\npool = p%d\n", i,
                i / 250, i % 250 + 1, 2000 + i, i);
        fprintf(f, "[pool p%d]\n", i);
        for (int s = 0; s < 5; s++)
            fprintf(f, "server = 10.1.%d.%d:%d name=s%d\n", i / 250, i % 250 + 1, 8000 + s, s);
    }
    fprintf(f, "[listen l]\nbind = *:1\npool = p\n[pool p]\n");
    for (int i = 0; i < 5 * n; i++)
        fprintf(f, "server = 127.0.0.1:%d\n", 10000 + i);
    fclose(f);
    clock_t begin = clock();
    for (int i = 0; i < rounds; i++) {
        struct config *c = load_file("a.ini");
        ck_assert_msg(c != NULL, "%s", errors);
        ck_assert_uint_eq(c->listen_count, (size_t)n + 1);
        ck_assert_uint_eq(c->pool[n].server_count, (size_t)n * 5);
        ck_assert_ptr_eq(c->listen[n - 1].pool, &c->pool[n - 1]);
        config_free(c);
    }
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

START_TEST(ten_times_the_lines_take_ten_times_as_long)
{
    double few = load_many(200, 10);
    double many = load_many(2000, 1); /* as much work, were it not for what grows faster */
    ck_assert_double_lt(many, 4 * few);
}
END_TEST

/* --- Printing and comparing --- */

static char *print(const struct config *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(c, out);
    fclose(out);
    return text;
}

static void on_difference(void *arg, const char *section, const char *key, const char *before,
                          const char *after)
{
    fprintf(arg, "[%s] %s: %s > %s\n", section, key == NULL ? "-" : key,
            before == NULL ? "-" : before, after == NULL ? "-" : after);
}

/* All differences as text, which is the caller's. */
static char *compare(const struct config *from, const struct config *to, size_t *count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    *count = config_compare(from, to, on_difference, out);
    fclose(out);
    return text;
}

static void expect_round_trip(const char *text)
{
    struct config *c = load_good(text);
    char *printed = print(c);
    struct config *again = load_good(printed);
    char *printed_again = print(again);
    size_t count = 1;
    char *differences = compare(c, again, &count);
    ck_assert_str_eq(differences, "");
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(printed_again, printed);
    free(differences);
    free(printed_again);
    free(printed);
    config_free(again);
    config_free(c);
}

START_TEST(what_is_printed_reads_as_the_same)
{
    expect_round_trip(MINIMAL);
    expect_round_trip(everything);
    expect_round_trip("[defaults]\nretries = 9\nkeepalive = no\n" MINIMAL);
    expect_round_trip(LISTEN "[pool p]\nserver = [2001:DB8:0:0::1]:080 weight=2\n"
                             "server = unix:/run/a\\x20\\x2c\\xff name=b\nserver = unix:@\\x00\n"
                             "server = 10.0.0.1:80 name=10.0.0.2:80\n");
    expect_round_trip(MINIMAL "[global]\nlog = syslog\naccess_log = syslog:local7\n");
    expect_round_trip(MINIMAL "[global]\nlog = /a  b\t c#d;e\naccess_log = off\n");
}
END_TEST

START_TEST(long_values_are_printed_on_lines_that_can_be_read)
{
    char tail[1200] = "\n ";
    char server[400];
    memset(tail + 2, 'y', 198);
    expect_round_trip(long_line(199, ""));
    expect_round_trip(long_line(199, tail));
    for (int i = 0, n = 0; i < 100; i++)
        n += snprintf(tail + n, sizeof tail - (size_t)n, i % 10 == 0 ? "\n a b  c" : "  a b  c");
    expect_round_trip(long_line(150, tail));
    int begin = snprintf(server, sizeof server, LISTEN "[pool p]\nserver = unix:/");
    for (int i = 0; i < 40; i++)
        begin += snprintf(server + begin, sizeof server - (size_t)begin, "\\x20");
    expect_round_trip(server);
}
END_TEST

START_TEST(print_says_every_key_once)
{
    struct config *c = load_good(MINIMAL);
    char *text = print(c);
    for (size_t s = 0; s < SECTION_KINDS; s++)
        for (size_t k = 0; k < keys_sections[s].key_count; k++) {
            const struct key *key = &keys_sections[s].keys[k];
            char line[80];
            if ((key->flags & KEY_INCLUDE) != 0)
                continue;
            snprintf(line, sizeof line, "\n%s%s =", keys_count(key, &c->global) == 0 ? "#" : "",
                     key->name);
            if (s == SECTION_GLOBAL)
                ck_assert_ptr_nonnull(strstr(text, line));
            else
                ck_assert_ptr_nonnull(strstr(text, key->name));
            if (key->fallback != NULL) {
                snprintf(line, sizeof line, "\n%s = %s\n", key->name, key->fallback);
                ck_assert_msg(strstr(text, line) != NULL, "%s", line);
            }
        }
    free(text);
    config_free(c);
}
END_TEST

START_TEST(every_change_is_found)
{
    struct config *a = load_good("[global]\nuser = x\nlog_level = info\n" LISTEN
                                 "bind = *:81, *:82\n[listen old]\nbind = *:90\npool = p\n"
                                 "[pool p]\nserver = 10.0.0.1:80 name=a\nserver = 10.0.0.2:80\n"
                                 "retries = 1\n");
    struct config *b =
        load_good("[global]\ngroup = y\nlog_level = debug\n"
                  "[pool p]\nserver = 10.0.0.3:80\nserver = 10.0.0.1:80 name=a "
                  "state=drain\nretries = 3\n"
                  "[listen new]\nbind = *:91\npool = p\n" LISTEN "bind = *:82, *:83\n");
    size_t count = 0;
    char *text = compare(a, b, &count);
    ck_assert_str_eq(text, "[global] user: x > -\n"
                           "[global] group: - > y\n"
                           "[global] log_level: info > debug\n"
                           "[listen l] bind: *:81 > -\n"
                           "[listen l] bind: - > *:83\n"
                           "[listen new] -: - > listen new\n"
                           "[listen old] -: listen old > -\n"
                           "[pool p] server: 10.0.0.1:80 name=a > 10.0.0.1:80 name=a state=drain\n"
                           "[pool p] server: 10.0.0.2:80 > -\n"
                           "[pool p] server: - > 10.0.0.3:80\n"
                           "[pool p] retries: 1 > 3\n");
    ck_assert_uint_eq(count, 11);
    free(text);
    config_free(a);
    config_free(b);
}
END_TEST

/* --- The files that come with zproxy --- */

/* A file of the source tree; NULL where there is none (the tests run elsewhere). */
static char *shipped(const char *path)
{
    const char *srcdir = getenv("srcdir");
    char name[512];
    char *text = NULL;
    size_t size = 0;
    snprintf(name, sizeof name, "%s/../%s", srcdir == NULL ? "." : srcdir, path);
    int fd = openat(old_dir, name, O_RDONLY | O_CLOEXEC);
    FILE *in = fd == -1 ? NULL : fdopen(fd, "r");
    if (in == NULL || getdelim(&text, &size, '\0', in) == -1) {
        free(text);
        text = NULL;
    }
    if (in != NULL)
        fclose(in);
    return text;
}

START_TEST(every_key_is_in_the_manual_and_in_the_example)
{
    char *manual = shipped("src/zproxy.ini.5");
    char *example = shipped("etc/zproxy.ini");
    for (size_t s = 0; s < SECTION_KINDS && manual != NULL && example != NULL; s++)
        for (size_t k = 0; k < keys_sections[s].key_count; k++) {
            const struct key *key = &keys_sections[s].keys[k];
            char line[80];
            snprintf(line, sizeof line, "Ic %s ", key->name);
            ck_assert_msg(strstr(manual, line) != NULL, "%s", line);
            snprintf(line, sizeof line, "\n#%s = %s\n", key->name, key->fallback);
            if (key->fallback == NULL)
                snprintf(line, sizeof line, "%s = ", key->name);
            ck_assert_msg(strstr(example, line) != NULL, "%s", line);
        }
    free(manual);
    free(example);
}
END_TEST

START_TEST(the_example_is_valid)
{
    char *text = shipped("etc/zproxy.ini");
    if (text == NULL)
        return;
    expect_round_trip(text);
    for (char *c = text; (c = strchr(c, '#')) != NULL; c++) /* the keys that it only mentions */
        if (c > text && c[-1] == '\n' && c[1] >= 'a' && c[1] <= 'z')
            *c = '\n';
    expect_round_trip(text);
    free(text);
}
END_TEST

/* --- Anything --- */

/* Changes, removes, doubles or swaps a few bytes. */
static size_t mangle(char *text, size_t n, size_t room)
{
    static const char letters[] = "\n\n [];#=:,\t\r\"\\/.*019azAZ_\x01\xff\xc3\xbc";
    for (int changes = rand() % 4; changes >= 0 && n > 64; changes--) {
        size_t len = (size_t)rand() % 16 + 1;
        size_t at = (size_t)rand() % (n - len);
        switch (rand() % 4) {
        case 0:
            text[at] = letters[(size_t)rand() % sizeof letters];
            break;
        case 1:
            memmove(text + at, text + at + len, n - at - len);
            n -= len;
            break;
        case 2:
            if (n + len > room)
                break;
            memmove(text + at + len, text + at, n - at);
            n += len;
            break;
        default:
            memmove(text + at, text + (size_t)rand() % (n - len), len);
            break;
        }
    }
    return n;
}

START_TEST(a_mangled_file_is_loaded_or_explained)
{
    static const char *const seeds[] = { everything, MINIMAL, "[defaults]\nretries = 3\n" MINIMAL };
    int valid = 0;
    srand((unsigned)_i);
    for (int round = 0; round < 1000; round++) {
        char text[4096];
        const char *seed = seeds[round % 3];
        size_t n = strlen(seed);
        memcpy(text, seed, n + 1);
        n = mangle(text, n, sizeof text);
        write_bytes("a.ini", text, n);
        struct config *c = load_file("a.ini");
        if (c == NULL) {
            ck_assert_uint_gt(errors_size, 0);
            ck_assert_int_eq(strncmp(errors, "a.ini:", 6), 0);
            ck_assert_int_eq(errors[errors_size - 1], '\n');
            continue;
        }
        char *printed = print(c);
        struct config *again = load(printed);
        ck_assert_msg(again != NULL, "%s%s", errors, printed);
        size_t count = 0;
        free(compare(c, again, &count));
        ck_assert_uint_eq(count, 0);
        free(printed);
        config_free(again);
        config_free(c);
        valid++;
    }
    ck_assert_int_gt(valid, 10); /* or the mangler is too rude to find anything */
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void add_tests(TCase *t)
{
    tcase_add_test(t, the_least_that_works_gets_all_defaults);
    tcase_add_test(t, every_key_has_its_effect);
    tcase_add_test(t, sections_keep_their_order);
    tcase_add_test(t, a_pool_may_be_shared_or_unused);
    tcase_add_test(t, comments_begin_a_line_or_follow_white_space);
    tcase_add_test(t, white_space_around_names_and_values_is_ignored);
    tcase_add_test(t, an_indented_line_continues_the_one_before);
    tcase_add_test(t, continued_lines_are_joined_by_one_space);
    tcase_add_test(t, line_ends_and_byte_order_marks_of_other_systems_are_accepted);
    tcase_add_test(t, the_last_line_needs_no_end);
    tcase_add_test(t, a_line_may_have_199_bytes_and_a_comment);
    tcase_add_test(t, a_longer_line_is_an_error_and_not_split);
    tcase_add_test(t, a_value_may_be_longer_than_a_line);
    tcase_add_test(t, every_bad_line_is_reported);
    tcase_add_test(t, an_indented_key_is_not_swallowed);
    tcase_add_test(t, an_indented_line_needs_one_to_continue);
    tcase_add_test(t, what_continues_a_bad_line_is_not_reported_again);
    tcase_add_test(t, long_names_are_not_cut);
    tcase_add_test(t, a_section_without_keys_exists);
    tcase_add_test(t, a_file_that_cannot_be_read_is_an_error);
    tcase_add_test(t, a_fifo_is_not_waited_for);
    tcase_add_test(t, a_file_without_sections_is_an_error);
    tcase_add_loop_test(t, a_file_that_is_not_text_is_one_error, 0, COUNT(binaries));
    tcase_add_test(t, a_file_of_4_mib_is_read_and_a_larger_one_is_not);
    tcase_add_loop_test(t, a_key_that_is_wrong_here_is_explained, 0, COUNT(wrong_keys));
    tcase_add_loop_test(t, a_section_that_is_wrong_is_explained, 0, COUNT(wrong_sections));
    tcase_add_test(t, the_nearest_word_is_near);
    tcase_add_test(t, defaults_are_for_the_sections_that_follow);
    tcase_add_test(t, defaults_are_checked_where_they_stand);
    tcase_add_loop_test(t, a_value_that_is_wrong_is_explained, 0, COUNT(refused));
    tcase_add_test(t, keepalive_is_yes_no_or_three_numbers);
    tcase_add_test(t, logs_go_to_all_places);
    tcase_add_test(t, a_server_is_named_by_its_address_as_written);
    tcase_add_test(t, an_included_file_is_read_in_its_place);
    tcase_add_test(t, an_include_is_relative_to_its_file);
    tcase_add_test(t, errors_name_the_included_file);
    tcase_add_test(t, a_missing_file_is_an_error_and_no_match_is_none);
    tcase_add_test(t, what_a_missing_file_may_hold_is_not_missed);
    tcase_add_test(t, a_bad_byte_in_an_included_file_is_found_there);
    tcase_add_test(t, an_include_loop_is_an_error_that_shows_it);
    tcase_add_test(t, includes_are_bounded);
    tcase_add_loop_test(t, what_does_not_fit_together_is_explained, 0, COUNT(unfitting));
    tcase_add_test(t, what_merely_looks_like_a_conflict_is_none);
    tcase_add_test(t, a_value_not_understood_is_not_missing_as_well);
    tcase_add_test(t, ten_times_the_lines_take_ten_times_as_long);
    tcase_add_test(t, what_is_printed_reads_as_the_same);
    tcase_add_test(t, long_values_are_printed_on_lines_that_can_be_read);
    tcase_add_test(t, print_says_every_key_once);
    tcase_add_test(t, every_change_is_found);
    tcase_add_test(t, every_key_is_in_the_manual_and_in_the_example);
    tcase_add_test(t, the_example_is_valid);
    tcase_add_loop_test(t, a_mangled_file_is_loaded_or_explained, 0, 4);
}

int main(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_add_checked_fixture(t, enter_dir, leave_dir);
    tcase_set_timeout(t, 60);
    add_tests(t);
    suite_add_tcase(s, t);
    return suite_main(s);
}
