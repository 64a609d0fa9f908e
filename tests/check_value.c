#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "suite.h"

enum fruit {
    FRUIT_APPLE,
    FRUIT_PEAR,
    FRUIT_PLUM
};
static const char *const fruits[] = { "apple", "pear", "plum", NULL };
static const char *const lonely[] = { "only", NULL };

static const struct value count = VALUE_COUNT(1, 100, NULL);
static const struct value count_auto = VALUE_COUNT(1, 100, "auto");
static const struct value any_count = VALUE_COUNT(0, UINT64_MAX, NULL);
static const struct value size = VALUE_SIZE(1024, 1 << 30, NULL);
static const struct value any_size = VALUE_SIZE(0, UINT64_MAX, NULL);
static const struct value any_duration = VALUE_DURATION(0, UINT64_MAX, NULL);
static const struct value timeout = VALUE_DURATION(1, VALUE_DAY, "off");
static const struct value byte_rate = VALUE_BYTE_RATE(1, 1 << 30, "off");
static const struct value mode = VALUE_MODE(NULL);
static const struct value any_mode = VALUE_MODE("umask");
static const struct value yes = VALUE_BOOL;
static const struct value fruit = VALUE_CHOICE(fruits);
static const struct value alone = VALUE_CHOICE(lonely);
static const struct value word = VALUE_WORD;
static const struct value name = VALUE_NAME;
static const struct value path = VALUE_PATH;

static const struct {
    const struct value *value;
    const char *text;
    uint64_t number;
    const char *canonical;
} numbers[] = {
    { &count, "1", 1, "1" },
    { &count, "007", 7, "7" },
    { &count, "100", 100, "100" },
    { &count_auto, "auto", 0, "auto" },
    { &any_count, "0", 0, "0" },
    { &any_count, "18446744073709551615", UINT64_MAX, "18446744073709551615" },
    { &size, "1024", 1024, "1k" },
    { &size, "4096", 4096, "4k" },
    { &size, "64k", 65536, "64k" },
    { &size, "64K", 65536, "64k" },
    { &size, "1M", 1 << 20, "1m" },
    { &size, "1g", 1 << 30, "1g" },
    { &size, "1023m", 1023ULL << 20, "1023m" },
    { &size, "5000", 5000, "5000" },
    { &any_size, "0", 0, "0" },
    { &any_size, "17179869183g", 17179869183ULL << 30, "17179869183g" },
    { &timeout, "500ms", 500, "500ms" },
    { &timeout, "1500ms", 1500, "1500ms" },
    { &timeout, "5s", 5000, "5s" },
    { &timeout, "60s", 60000, "1m" },
    { &timeout, "2m", 120000, "2m" },
    { &timeout, "1h", 3600000, "1h" },
    { &timeout, "24h", 86400000, "1d" },
    { &timeout, "off", 0, "off" },
    { &any_duration, "0s", 0, "0ms" },
    { &byte_rate, "250/s", 250, "250/s" },
    { &byte_rate, "1024/s", 1024, "1k/s" },
    { &byte_rate, "10m/s", 10 << 20, "10m/s" },
    { &byte_rate, "1g/s", 1 << 30, "1g/s" },
    { &byte_rate, "off", 0, "off" },
};

START_TEST(numbers_parse_and_print)
{
    uint64_t number = 77;
    struct value_error error;
    ck_assert_int_eq(value_parse(numbers[_i].value, &number, numbers[_i].text, &error), 0);
    ck_assert_uint_eq(number, numbers[_i].number);
    char *text = value_to_string(numbers[_i].value, &number);
    ck_assert_str_eq(text, numbers[_i].canonical);
    free(text);
}
END_TEST

START_TEST(a_printed_number_parses_to_the_same_number)
{
    static const struct value *const kinds[] = { &any_count, &any_size, &any_duration };
    srand(4711);
    for (int i = 0; i < 30000; i++) {
        static const uint64_t factors[] = { 1, 1000, 1024, 60000, 1 << 20, VALUE_DAY };
        const struct value *v = kinds[i % 3];
        uint64_t number = (uint64_t)(unsigned)rand() * factors[rand() % 6];
        uint64_t again = 1;
        struct value_error error;
        char *text = value_to_string(v, &number);
        ck_assert_int_eq(value_parse(v, &again, text, &error), 0);
        ck_assert_uint_eq(again, number);
        free(text);
    }
}
END_TEST

START_TEST(modes_are_octal)
{
    static const struct {
        const char *text;
        unsigned mode;
        const char *canonical;
    } modes[] = {
        { "0600", 0600, "0600" },
        { "660", 0660, "0660" },
        { "0777", 0777, "0777" },
        { "umask", 0, "umask" },
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        unsigned number = 7;
        struct value_error error;
        ck_assert_int_eq(value_parse(&any_mode, &number, modes[i].text, &error), 0);
        ck_assert_uint_eq(number, modes[i].mode);
        char *text = value_to_string(&any_mode, &number);
        ck_assert_str_eq(text, modes[i].canonical);
        free(text);
    }
}
END_TEST

static const struct {
    const struct value *value;
    const char *text;
    const char *why;
} refused[] = {
    { &count, "", "\"\": not understood, expected a number from 1 to 100" },
    { &count, "0", "\"0\": too small, expected a number from 1 to 100" },
    { &count, "101", "\"101\": too large, expected a number from 1 to 100" },
    { &count, "-1", "\"-1\": not understood, expected a number from 1 to 100" },
    { &count, "+1", "\"+1\": not understood, expected a number from 1 to 100" },
    { &count, "1.5", "\"1.5\": not understood, expected a number from 1 to 100" },
    { &count, "0x10", "\"0x10\": not understood, expected a number from 1 to 100" },
    { &count, "1 0", "\"1 0\": not understood, expected a number from 1 to 100" },
    { &count, "auto", "\"auto\": not understood, expected a number from 1 to 100" },
    { &count_auto, "off", "\"off\": not understood, expected a number from 1 to 100, or auto" },
    { &any_count, "18446744073709551616",
      "\"18446744073709551616\": too large, expected a number from 0 to 18446744073709551615" },
    { &any_count, "99999999999999999999999999999999",
      "\"99999999999999999999999999999999\": too large, expected a number from 0 to "
      "18446744073709551615" },
    { &size, "1023", "\"1023\": too small, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &size, "2g", "\"2g\": too large, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &size, "1kb", "\"1kb\": not understood, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &size, "1 k", "\"1 k\": not understood, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &size, "k", "\"k\": not understood, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &size, "17179869184g",
      "\"17179869184g\": too large, expected a size (4096, 64k, 1m, 2g) from 1k to 1g" },
    { &timeout, "5",
      "\"5\": no unit, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or off" },
    { &timeout, "0s",
      "\"0s\": too small, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or off" },
    { &timeout, "5M",
      "\"5M\": not understood, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or off" },
    { &timeout, "5S",
      "\"5S\": not understood, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or off" },
    { &timeout, "1h30m",
      "\"1h30m\": not understood, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or off" },
    { &timeout, "213503982335d",
      "\"213503982335d\": too large, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to 1d, or "
      "off" },
    { &byte_rate, "250",
      "\"250\": no unit, expected bytes a second (250/s, 64k/s, 10m/s, 1g/s) from 1/s to 1g/s, or "
      "off" },
    { &byte_rate, "1/m",
      "\"1/m\": not understood, expected bytes a second (250/s, 64k/s, 10m/s, 1g/s) from 1/s to "
      "1g/s, or off" },
    { &byte_rate, "0/s",
      "\"0/s\": too small, expected bytes a second (250/s, 64k/s, 10m/s, 1g/s) from 1/s to 1g/s, "
      "or off" },
    { &mode, "0", "\"0\": not a mode, expected octal digits from 0001 to 0777" },
    { &mode, "000", "\"000\": not a mode, expected octal digits from 0001 to 0777" },
    { &mode, "0888", "\"0888\": not a mode, expected octal digits from 0001 to 0777" },
    { &mode, "1777", "\"1777\": not a mode, expected octal digits from 0001 to 0777" },
    { &mode, "umask", "\"umask\": not a mode, expected octal digits from 0001 to 0777" },
    { &any_mode, "rw", "\"rw\": not a mode, expected octal digits from 0001 to 0777, or umask" },
    { &yes, "maybe", "\"maybe\": not understood, expected yes or no" },
    { &yes, "1", "\"1\": not understood, expected yes or no" },
    { &yes, "YES", "\"YES\": not understood, expected yes or no" },
    { &fruit, "aple", "\"aple\": unknown, expected apple, pear or plum" },
    { &fruit, "", "\"\": unknown, expected apple, pear or plum" },
    { &alone, "other", "\"other\": unknown, expected only" },
    { &word, "", "\"\": not a word, expected one of at most 255 bytes" },
    { &word, "a b", "\"a b\": not a word, expected one of at most 255 bytes" },
    { &name, "", "\"\": not a name, expected 1 to 64 of letters, digits and . _ - :" },
    { &name, "a b", "\"a b\": not a name, expected 1 to 64 of letters, digits and . _ - :" },
    { &name, "a/b", "\"a/b\": not a name, expected 1 to 64 of letters, digits and . _ - :" },
    { &path, "log", "\"log\": not absolute, expected a path that begins with /" },
    { &path, "", "\"\": not absolute, expected a path that begins with /" },
};

START_TEST(the_message_has_the_error_and_what_is_expected)
{
    _Alignas(max_align_t) char out[16] = "untouched";
    struct value_error error;
    ck_assert_int_eq(value_parse(refused[_i].value, out, refused[_i].text, &error), -EINVAL);
    ck_assert_str_eq(error.text, refused[_i].why);
    ck_assert_str_eq(out, "untouched");
}
END_TEST

START_TEST(a_long_text_is_cut_in_the_message)
{
    char text[400];
    struct value_error error;
    bool b = false;
    for (size_t i = 0; i < sizeof text - 1; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    text[sizeof text - 2] = '\0';
    ck_assert_int_eq(value_parse(&yes, &b, text, &error), -EINVAL);
    ck_assert_uint_lt(strlen(error.text), 120);
    ck_assert_ptr_nonnull(
        strstr(error.text, "\xc3\xbc...\": not understood")); /* the character is not split */
}
END_TEST

START_TEST(yes_and_no_have_three_spellings_each)
{
    static const char *const words[] = { "no", "yes", "off", "on", "false", "true" };
    struct value_error error;
    for (int i = 0; i < 6; i++) {
        bool b = i % 2 == 0;
        ck_assert_int_eq(value_parse(&yes, &b, words[i], &error), 0);
        ck_assert_int_eq(b, i % 2 == 1);
        char *text = value_to_string(&yes, &b);
        ck_assert_str_eq(text, b ? "yes" : "no");
        free(text);
    }
}
END_TEST

START_TEST(a_choice_is_an_enum)
{
    struct value_error error;
    for (unsigned i = 0; i < 3; i++) {
        enum fruit f = FRUIT_APPLE;
        ck_assert_int_eq(value_parse(&fruit, &f, fruits[i], &error), 0);
        ck_assert_uint_eq(f, i);
        char *text = value_to_string(&fruit, &f);
        ck_assert_str_eq(text, fruits[i]);
        free(text);
    }
}
END_TEST

static const struct {
    const struct value *value;
    const char *text;
} texts[] = {
    { &word, "www-data" },        { &word, "1000" }, { &name, "Web_1.a-b:c" },
    { &path, "/var/log/my log" }, { &path, "/" },
};

START_TEST(a_text_is_copied_and_freed)
{
    char *text = NULL;
    struct value_error error;
    ck_assert_int_eq(value_parse(texts[_i].value, &text, texts[_i].text, &error), 0);
    ck_assert_str_eq(text, texts[_i].text);
    ck_assert_ptr_ne(text, texts[_i].text);
    char *again = value_to_string(texts[_i].value, &text);
    ck_assert_str_eq(again, text);
    free(again);
    value_free(texts[_i].value, &text);
    ck_assert_ptr_null(text);
    value_free(texts[_i].value, &text); /* a second call does nothing */
}
END_TEST

START_TEST(a_name_has_1_to_64_bytes)
{
    char text[80];
    memset(text, 'n', sizeof text);
    text[65] = '\0';
    ck_assert(!value_is_name(text));
    text[64] = '\0';
    ck_assert(value_is_name(text));
    ck_assert(value_is_name("a"));
    ck_assert(!value_is_name(""));
    ck_assert(!value_is_name("gr\xc3\xbcn"));
}
END_TEST

START_TEST(a_path_is_absolute_and_shorter_than_path_max)
{
    char text[5000];
    char *out = NULL;
    struct value_error error;
    memset(text, '/', sizeof text);
    text[4096] = '\0';
    ck_assert_int_eq(value_parse(&path, &out, text, &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error.text, "at most 4095 bytes"));
    text[4095] = '\0';
    ck_assert_int_eq(value_parse(&path, &out, text, &error), 0);
    value_free(&path, &out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("value");
    TCase *t = tcase_create("value");
    tcase_add_loop_test(t, numbers_parse_and_print, 0, sizeof numbers / sizeof *numbers);
    tcase_add_test(t, a_printed_number_parses_to_the_same_number);
    tcase_add_test(t, modes_are_octal);
    tcase_add_loop_test(t, the_message_has_the_error_and_what_is_expected, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(t, a_long_text_is_cut_in_the_message);
    tcase_add_test(t, yes_and_no_have_three_spellings_each);
    tcase_add_test(t, a_choice_is_an_enum);
    tcase_add_loop_test(t, a_text_is_copied_and_freed, 0, sizeof texts / sizeof *texts);
    tcase_add_test(t, a_name_has_1_to_64_bytes);
    tcase_add_test(t, a_path_is_absolute_and_shorter_than_path_max);
    suite_add_tcase(s, t);
    return suite_main(s);
}
