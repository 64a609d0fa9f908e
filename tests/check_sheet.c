#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/json.h"
#include "base/sheet.h"
#include "suite.h"

static const struct sheet_column columns[] = {
    { "name", SHEET_TEXT },   { "up", SHEET_BOOL },    { "count", SHEET_COUNT },
    { "moved", SHEET_BYTES }, { "speed", SHEET_RATE }, { "age", SHEET_TIME },
    { "rtt", SHEET_MICROS },  { "why", SHEET_TEXT },
};

static struct sheet *sheet;
static char *text;

static void begin(void)
{
    sheet = sheet_new(columns, sizeof columns / sizeof *columns);
    ck_assert_ptr_nonnull(sheet);
}

static void end(void)
{
    sheet_free(sheet);
    free(text);
    text = NULL;
}

static void put_row(const char *name, const char *why)
{
    sheet_text(sheet, name);
    sheet_bool(sheet, true);
    sheet_number(sheet, 12);
    sheet_number(sheet, 1536);
    sheet_number(sheet, 2048);
    sheet_number(sheet, 61500);
    sheet_number(sheet, 153);
    sheet_text(sheet, why);
}

static void put_empty_row(void)
{
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sheet_null(sheet);
}

static const char *print(int (*how)(const struct sheet *, FILE *))
{
    size_t size = 0;
    free(text);
    FILE *out = open_memstream(&text, &size);
    ck_assert_int_eq(how(sheet, out), 0);
    fclose(out);
    return text;
}

START_TEST(a_table_is_aligned_words_left_numbers_right)
{
    put_row("a", NULL);
    put_row("longer", "because");
    ck_assert_str_eq(print(sheet_print_table),
                     "name    up   count  moved   speed    age      rtt  why\n"
                     "a       yes     12   1.5k  2.0k/s  1m01s  0.153ms  -\n"
                     "longer  yes     12   1.5k  2.0k/s  1m01s  0.153ms  because\n");
}
END_TEST

START_TEST(a_table_without_rows_has_its_headings)
{
    ck_assert_str_eq(print(sheet_print_table), "name  up  count  moved  speed  age  rtt  why\n");
    ck_assert_str_eq(print(sheet_print_json), "[]");
}
END_TEST

START_TEST(a_missing_value_is_a_dash_or_null)
{
    put_empty_row();
    ck_assert_str_eq(print(sheet_print_json),
                     "[{\"name\":null,\"up\":null,\"count\":null,\"moved\":null,"
                     "\"speed_per_second\":null,\"age_ms\":null,\"rtt_us\":null,\"why\":null}]");
    ck_assert_ptr_nonnull(strstr(print(sheet_print_table), "\n-     -       -"));
}
END_TEST

START_TEST(json_has_exact_values_and_units)
{
    put_row("a \"b\"", "c");
    ck_assert_str_eq(print(sheet_print_json_record),
                     "{\"name\":\"a \\\"b\\\"\",\"up\":true,\"count\":12,\"moved\":1536,"
                     "\"speed_per_second\":2048,\"age_ms\":61500,\"rtt_us\":153,\"why\":\"c\"}");
}
END_TEST

START_TEST(a_record_has_one_line_per_value)
{
    put_row("a", "c");
    ck_assert_str_eq(print(sheet_print_record), "name   a\nup     yes\ncount  12\nmoved  1.5k\n"
                                                "speed  2.0k/s\nage    1m01s\nrtt    0.153ms\n"
                                                "why    c\n");
}
END_TEST

START_TEST(thousands_of_rows_keep_their_values)
{
    for (int i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "row%d", i);
        put_row(name, name);
    }
    ck_assert_uint_eq(sheet_rows(sheet), 5000);
    ck_assert_ptr_nonnull(strstr(print(sheet_print_json), "\"name\":\"row4999\""));
    ck_assert_ptr_nonnull(strstr(print(sheet_print_json), "\"why\":\"row0\""));
}
END_TEST

static const struct sheet_column renamed[] = {
    { "server", SHEET_TEXT },   { "pool", SHEET_JSON_TEXT }, { "mine", SHEET_JSON_TEXT },
    { "queued", SHEET_COUNT },  { "waiting", SHEET_ALIAS },  { "depth", SHEET_ALIAS },
    { "age", SHEET_TIME },      { "old", SHEET_ALIAS },      { "why", SHEET_TEXT },
    { "because", SHEET_ALIAS },
};

static void put_renamed(uint64_t queued, const char *why)
{
    sheet_text(sheet, "web/a");
    sheet_text(sheet, "web");
    sheet_text(sheet, "a");
    sheet_number(sheet, queued);
    sheet_number(sheet, 1500);
    sheet_text(sheet, why);
}

START_TEST(aliases_and_json_texts_are_in_json_only)
{
    sheet_free(sheet);
    sheet = sheet_new(renamed, sizeof renamed / sizeof *renamed);
    put_renamed(7, "x");
    ck_assert_str_eq(print(sheet_print_record),
                     "server  web/a\nqueued  7\nage     1.5s\nwhy     x\n");
    put_renamed(12345678, NULL);
    ck_assert_uint_eq(sheet_rows(sheet), 2);
    ck_assert_str_eq(print(sheet_print_table), "server    queued   age  why\n"
                                               "web/a          7  1.5s  x\n"
                                               "web/a   12345678  1.5s  -\n");
    ck_assert_str_eq(print(sheet_print_json),
                     "[{\"server\":\"web/a\",\"pool\":\"web\",\"mine\":\"a\",\"queued\":7,"
                     "\"waiting\":7,\"depth\":7,\"age_ms\":1500,\"old_ms\":1500,\"why\":\"x\","
                     "\"because\":\"x\"},"
                     "{\"server\":\"web/a\",\"pool\":\"web\",\"mine\":\"a\",\"queued\":12345678,"
                     "\"waiting\":12345678,\"depth\":12345678,\"age_ms\":1500,\"old_ms\":1500,"
                     "\"why\":null,\"because\":null}]");
}
END_TEST

static const char *json_of(const char *in)
{
    size_t size = 0;
    free(text);
    FILE *out = open_memstream(&text, &size);
    json_add_string(&(struct json_writer){ .out = out }, NULL, in);
    fclose(out);
    return text;
}

START_TEST(a_json_string_holds_any_text)
{
    ck_assert_str_eq(json_of(NULL), "null");
    ck_assert_str_eq(json_of(""), "\"\"");
    ck_assert_str_eq(json_of("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    ck_assert_str_eq(json_of("\n\t\x01\x7f"), "\"\\u000a\\u0009\\u0001\\u007f\"");
    ck_assert_str_eq(json_of("\xc3\xa9 \xf0\x9f\x98\x80"), "\"\xc3\xa9 \xf0\x9f\x98\x80\"");
    ck_assert_str_eq(json_of("a\xff\xc3"), "\"a\\ufffd\\ufffd\"");
    ck_assert_str_eq(json_of("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate */
}
END_TEST

START_TEST(numbers_for_people_are_short)
{
    static const struct {
        const char *(*print)(uint64_t, char[HUMAN_MAX]);
        uint64_t value;
        const char *expected;
    } cases[] = {
        { human_bytes, 0, "0" },
        { human_bytes, 1023, "1023" },
        { human_bytes, 1024, "1.0k" },
        { human_bytes, 1048575, "1.0m" },
        { human_bytes, 5368709120, "5.0g" },
        { human_bytes, UINT64_MAX, "16.0e" },
        { human_rate, 2000, "2.0k/s" },
        { human_time, 0, "0ms" },
        { human_time, 999, "999ms" },
        { human_time, 59999, "59.9s" },
        { human_time, 60000, "1m00s" },
        { human_time, 3599999, "59m59s" },
        { human_time, 3600000, "1h00m" },
        { human_time, 86400000, "1d00h" },
        { human_micros, 1, "0.001ms" },
        { human_micros, 1234567, "1234.567ms" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[HUMAN_MAX];
        ck_assert_str_eq(cases[i].print(cases[i].value, buf), cases[i].expected);
    }
}
END_TEST

START_TEST(a_count_has_its_noun_in_singular_or_plural)
{
    char buf[HUMAN_MAX];
    ck_assert_str_eq(human_count(0, "session", buf), "0 sessions");
    ck_assert_str_eq(human_count(1, "session", buf), "1 session");
    ck_assert_str_eq(human_count(UINT64_MAX, "session", buf), "18446744073709551615 sessions");
}
END_TEST

START_TEST(an_error_of_a_connection_is_not_called_a_broken_pipe)
{
    char buf[HUMAN_ERROR_MAX];
    ck_assert_str_eq(human_connection_error(EPIPE, buf), "the peer closed the connection");
    ck_assert_str_eq(human_connection_error(ECONNRESET, buf), "connection reset by peer");
    ck_assert_str_eq(human_error(EPIPE, buf), "broken pipe"); /* of a log that is one */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sheet");
    TCase *c = tcase_create("sheet");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, a_table_is_aligned_words_left_numbers_right);
    tcase_add_test(c, a_table_without_rows_has_its_headings);
    tcase_add_test(c, a_missing_value_is_a_dash_or_null);
    tcase_add_test(c, json_has_exact_values_and_units);
    tcase_add_test(c, a_record_has_one_line_per_value);
    tcase_add_test(c, thousands_of_rows_keep_their_values);
    tcase_add_test(c, aliases_and_json_texts_are_in_json_only);
    tcase_add_test(c, a_json_string_holds_any_text);
    tcase_add_test(c, numbers_for_people_are_short);
    tcase_add_test(c, a_count_has_its_noun_in_singular_or_plural);
    tcase_add_test(c, an_error_of_a_connection_is_not_called_a_broken_pipe);
    suite_add_tcase(s, c);
    return suite_main(s);
}
