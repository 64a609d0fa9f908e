#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config_rig.h"

/* --- Syntax --- */

START_TEST(comments_begin_a_line_or_follow_white_space)
{
    struct config *c = load_good("# one\n; two\n   # three\n\t; four\n[global] # five\n"
                                 "pid_file = /a#b;c ; six # seven\nuser = x\t# eight\n" MINIMAL);
    ck_assert_str_eq(c->global.fixed.pid_file, "/a#b;c");
    ck_assert_str_eq(c->global.user, "x");
    config_free(c);
}
END_TEST

START_TEST(certificates_in_defaults_are_those_of_listeners)
{
    struct config *c = load_good("[defaults]\ntls_certificate = /a\ntls_certificate = /b\n"
                                 "[listen l]\nbind = *:80\npool = p\ntls = yes\n"
                                 "[pool p]\nserver = 10.0.0.1:80\ntls = yes\ntls_name = x.test\n");
    ck_assert_uint_eq(c->listen[0].tls_certificate_count, 2);
    ck_assert_str_eq(c->listen[0].tls_certificate[1].file, "/b");
    ck_assert_ptr_null(c->pool[0].tls_certificate.file);
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
    ck_assert_str_eq(c->global.fixed.pid_file, "/a b=c d:e [f]");
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

START_TEST(the_last_line_needs_no_newline)
{
    expect_good("[pool p]\nserver = 10.0.0.1:80\n[listen l]\nbind = *:80\npool = p");
}
END_TEST

START_TEST(a_line_may_have_199_bytes_and_a_comment)
{
    struct config *c = load_good(long_line(199, "   # and so on, and so on, and so on"));
    ck_assert_uint_eq(strlen(c->global.fixed.pid_file), 199 - strlen("pid_file = "));
    config_free(c);
}
END_TEST

START_TEST(a_longer_line_is_an_error_and_not_split)
{
    for (size_t n = 200; n < 1000; n += 7)
        expect_errors(long_line(n, ""), "a.ini:7: [global]: longer than 199 bytes, expected the "
                                        "rest on indented lines\n");
    /* Neither the end of the line nor its continuation is read as a line. */
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
    ck_assert_uint_eq(strlen(c->global.fixed.pid_file), 199 - strlen("pid_file = ") + 1 + 198);
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
                  "a.ini:9: [global]: no \"=\" after the key, expected \"key = value\" or "
                  "\"[section]\"\n"
                  "a.ini:10: [global]: no \"=\" after the key, expected \"key = value\" or "
                  "\"[section]\"\n"
                  "a.ini:11: [global]: no closing bracket, expected \"[section]\"\n"
                  "a.ini:11: [seven]: unknown section, expected [global], [admin], [defaults], "
                  "[listen NAME] or [pool NAME]\n"
                  "a.ini:12: text after the bracket, expected \"[section]\" alone\n"
                  "a.ini:14: [pool x]: expected \"key = value\" or \"[section]\"\n");
}
END_TEST

START_TEST(an_indented_key_is_an_error)
{
    expect_errors(
        "[listen l]\nbind = *:80\n  pool = p\n" POOL,
        "a.ini:3: [listen l]: indented, so it would continue the previous line, expected no space before it\n");
    expect_errors(
        "[listen l]\n  bind = *:80\n\tpool=p\n" POOL,
        "a.ini:2: [listen l]: indented, so it would continue the previous line, expected no space before it\n"
        "a.ini:3: [listen l]: indented, so it would continue the previous line, expected no space before it\n");
    expect_errors(
        LISTEN " [pool p]\nserver = 10.0.0.1:80\n",
        "a.ini:4: [listen l]: indented, so it would continue the previous line, expected no space before it\n");
}
END_TEST

START_TEST(an_indented_line_needs_a_line_to_continue)
{
    expect_errors("  x\n" MINIMAL,
                  "a.ini:1: indented, but no line to continue, expected no space before it\n");
    expect_errors(
        MINIMAL "[global]\n  x\n  y\n",
        "a.ini:7: [global]: indented, but no line to continue, expected no space before it\n");
}
END_TEST

START_TEST(the_continuation_of_a_bad_line_is_not_reported)
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
    /* inih cuts keys to 49 bytes: the whole key is compared. */
    snprintf(text, sizeof text, MINIMAL "[global]\nuser%*s = x\n", 60, "y");
    ck_assert_ptr_null(load(text));
    snprintf(text, sizeof text, MINIMAL "[global]\n%s = x\n", name);
    ck_assert_ptr_null(load(text));
    ck_assert_ptr_nonnull(strstr(errors, name));
}
END_TEST

START_TEST(a_section_without_keys_exists)
{
    expect_errors(
        MINIMAL "[pool empty]\n[listen nothing]\n",
        "a.ini:7: [listen nothing] bind: missing, expected at least one\n"
        "a.ini:7: [listen nothing] pool: missing, expected a value\n"
        "a.ini:6: [pool empty] server: missing, expected at least one, a file, or empty = yes\n");
}
END_TEST

/* --- Files --- */

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

START_TEST(a_fifo_does_not_block)
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
};

START_TEST(a_nul_byte_is_the_only_error)
{
    write_bytes("a.ini", binaries[_i].bytes, binaries[_i].size);
    ck_assert_ptr_null(load_file("a.ini"));
    ck_assert_str_eq(errors, binaries[_i].expected);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_reported_by_line)
{
    expect_errors(
        "# \xff \xfe\n# a\r# b\r\n" MINIMAL "retries = \x1b[31m\n# \x7f\nwieght = 1\n# \xc3",
        "a.ini:1: byte 0xff is not UTF-8, expected text\n"
        "a.ini:2: control character 0x0d, expected text\n"
        "a.ini:8: [pool p]: control character 0x1b, expected text\n"
        "a.ini:9: [pool p]: control character 0x7f, expected text\n"
        "a.ini:8: [pool p] retries: \"?[31m\": not understood, expected a number from 0 to "
        "1000\n"
        "a.ini:11: [pool p]: byte 0xc3 is not UTF-8, expected text\n"
        "a.ini:10: [pool p] wieght: unknown key, see zproxy.ini(5)\n");
}
END_TEST

START_TEST(keys_of_a_section_with_a_bad_name_are_read)
{
    expect_errors(
        MINIMAL "[pool caf\xe9]\nserver = 127.0.0.1:3\nretries = 1\n",
        "a.ini:6: [pool p]: byte 0xe9 is not UTF-8, expected text\n"
        "a.ini:6: [pool caf?]: not a name, expected 1 to 64 of letters, digits and . _ - :\n");
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

/* --- include --- */

START_TEST(an_included_file_is_read_in_place_of_the_include)
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
    ck_assert_str_eq(c->global.user, "x");    /* the file starts in [global] */
    ck_assert_str_eq(c->global.group, "y");   /* and may name it */
    ck_assert_str_eq(c->global.chroot, "/c"); /* and so do the lines after it */
    ck_assert_uint_eq(c->pool[1].retries, 9);
    config_free(c);
}
END_TEST

START_TEST(an_include_is_relative_to_its_file)
{
    mkdir("d[1]", 0700); /* "[1]" is no wildcard in the path of the including file */
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
    expect_errors(
        LISTEN "[global]\ninclude = b.ini\nworkers = y\n[pool p]\n",
        "b.ini:1: [global] workers: \"x\": not understood, expected a number from 1 to "
        "1024, or auto\n"
        "b.ini:3: [pool p] server: \"1\": port missing, expected ADDRESS:PORT\n"
        "a.ini:6: [global] workers: given twice, first in b.ini:1\n"
        "a.ini:7: [pool p]: given twice, first in b.ini:2\n"
        "a.ini:7: [pool p] server: missing, expected at least one, a file, or empty = yes\n");
}
END_TEST

START_TEST(a_missing_file_is_an_error_but_no_match_is_not)
{
    expect_good(MINIMAL "[global]\ninclude = *.conf\ninclude = nodir/*\n");
    expect_errors(MINIMAL "[global]\ninclude = b.conf\ninclude =\ninclude = .\n",
                  "a.ini:7: [global] include: b.conf: cannot be read: No such file or directory\n"
                  "a.ini:8: [global] include: empty, expected a path or a pattern\n"
                  "a.ini:9: [global] include: .: a directory, expected a file\n");
}
END_TEST

START_TEST(what_an_unread_file_may_define_is_not_reported_missing)
{
    expect_errors("[global]\ninclude = pools.ini\n" LISTEN,
                  "a.ini:2: [global] include: pools.ini: cannot be read: No such file or "
                  "directory\n");
}
END_TEST

START_TEST(a_bad_byte_is_reported_in_the_included_file)
{
    write_file("b.ini", "# a\n# \x01\n");
    expect_errors(MINIMAL "[global]\ninclude = b.ini\n",
                  "b.ini:2: [global]: control character 0x01, expected text\n");
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

START_TEST(includes_are_limited)
{
    for (int i = 0; i < 30; i++) {
        char name[16];
        char text[96];
        snprintf(name, sizeof name, "%d.ini", i);
        snprintf(text, sizeof text, "include = %d.ini, %d.ini\n", i + 1, i + 1);
        write_file(name, text);
    }
    ck_assert_ptr_null(load(MINIMAL "[global]\ninclude = 0.ini\n"));
    ck_assert_ptr_nonnull(strstr(errors, "15.ini: nested too deeply, expected at most 16 levels"));
    ck_assert_ptr_nonnull(strstr(errors, "too many files, expected at most 10000"));
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_test(t, comments_begin_a_line_or_follow_white_space);
    tcase_add_test(t, certificates_in_defaults_are_those_of_listeners);
    tcase_add_test(t, white_space_around_names_and_values_is_ignored);
    tcase_add_test(t, an_indented_line_continues_the_one_before);
    tcase_add_test(t, continued_lines_are_joined_by_one_space);
    tcase_add_test(t, line_ends_and_byte_order_marks_of_other_systems_are_accepted);
    tcase_add_test(t, the_last_line_needs_no_newline);
    tcase_add_test(t, a_line_may_have_199_bytes_and_a_comment);
    tcase_add_test(t, a_longer_line_is_an_error_and_not_split);
    tcase_add_test(t, a_value_may_be_longer_than_a_line);
    tcase_add_test(t, every_bad_line_is_reported);
    tcase_add_test(t, an_indented_key_is_an_error);
    tcase_add_test(t, an_indented_line_needs_a_line_to_continue);
    tcase_add_test(t, the_continuation_of_a_bad_line_is_not_reported);
    tcase_add_test(t, long_names_are_not_cut);
    tcase_add_test(t, a_section_without_keys_exists);
    tcase_add_test(t, a_file_that_cannot_be_read_is_an_error);
    tcase_add_test(t, a_fifo_does_not_block);
    tcase_add_test(t, a_file_without_sections_is_an_error);
    tcase_add_loop_test(t, a_nul_byte_is_the_only_error, 0, COUNT(binaries));
    tcase_add_test(t, bytes_that_are_no_text_are_reported_by_line);
    tcase_add_test(t, keys_of_a_section_with_a_bad_name_are_read);
    tcase_add_test(t, a_file_of_4_mib_is_read_and_a_larger_one_is_not);
    tcase_add_test(t, an_included_file_is_read_in_place_of_the_include);
    tcase_add_test(t, an_include_is_relative_to_its_file);
    tcase_add_test(t, errors_name_the_included_file);
    tcase_add_test(t, a_missing_file_is_an_error_but_no_match_is_not);
    tcase_add_test(t, what_an_unread_file_may_define_is_not_reported_missing);
    tcase_add_test(t, a_bad_byte_is_reported_in_the_included_file);
    tcase_add_test(t, an_include_loop_is_an_error_that_shows_it);
    tcase_add_test(t, includes_are_limited);
}

int main(void)
{
    return config_rig_main("config_syntax", add_tests);
}
