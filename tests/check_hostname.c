#include <string.h>

#include "base/hostname.h"
#include "suite.h"

START_TEST(a_name_is_labels_with_dots_between_them)
{
    static const struct {
        const char *name;
        bool valid;
    } names[] = {
        { "a", true },         { "example.com", true }, { "A-1.b_2", true }, { "10.0.0.1", true },
        { "", false },         { ".", false },          { "a.", false },     { ".a", false },
        { "a..b", false },     { "a b", false },        { "*.a", false },    { "a/b", false },
        { "\xc3\xbc", false }, { "a:1", false },        { "a|b", false },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(hostname_is_valid(names[i].name, strlen(names[i].name)) == names[i].valid,
                      "%s", names[i].name);
    ck_assert(!hostname_is_valid("a\0b", 3));
}
END_TEST

START_TEST(an_address_in_whatever_form_ends_in_a_number)
{
    static const struct {
        const char *name;
        bool number;
    } names[] = {
        { "127.0.0.1", true },  { "127.1", true },     { "2130706433", true },
        { "0x7f000001", true }, { "127.0.0x1", true }, { "0177.0.0.1", true },
        { "0X7F.1", true },     { "0x", true },        { "a.0x", true },
        { "web.10", true },     { "a.1.", true },      { "a.0xff.", true },
        { "a.1b", false },      { "0x7f.a", false },   { "a.0xg", false },
        { "x0.0y", false },     { "db1", false },      { "", false },
        { ".", false },         { "1.a.", false },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(hostname_ends_in_number(names[i].name) == names[i].number, "%s",
                      names[i].name);
}
END_TEST

START_TEST(a_label_has_63_bytes_and_a_name_255)
{
    char name[300];
    memset(name, 'a', sizeof name);
    ck_assert(hostname_is_valid(name, 63));
    ck_assert(!hostname_is_valid(name, 64));
    for (size_t i = 60; i < sizeof name; i += 60)
        name[i] = '.';
    ck_assert(hostname_is_valid(name, 255));
    ck_assert(!hostname_is_valid(name, 256));
}
END_TEST

START_TEST(a_host_has_253_bytes_at_most_and_labels_of_63)
{
    char name[256];
    const char *why = NULL;
    memset(name, 'a', sizeof name);
    name[63] = name[127] = name[191] = '.';
    name[253] = '\0';
    ck_assert(hostname_is_host(name, &why));
    name[253] = '.';
    name[254] = '\0';
    ck_assert(hostname_is_host(name, &why));
    name[253] = 'a';
    ck_assert(!hostname_is_host(name, &why));
    ck_assert_str_eq(why, "too long, expected a name of at most 253 bytes");
    name[64] = '\0';
    ck_assert(hostname_is_host(name, &why));
    name[63] = 'a';
    ck_assert(!hostname_is_host(name, &why));
    ck_assert_str_eq(why, "a label is too long, expected at most 63 bytes between two dots");
    ck_assert(!hostname_is_host("", &why));
    ck_assert(!hostname_is_host(".", &why));
    ck_assert(!hostname_is_service("_a._tcp.", &why));
    ck_assert(!hostname_is_service("_._tcp.a", &why));
    ck_assert(!hostname_is_service("_a._.a", &why));
    ck_assert(!hostname_is_service("_a._tcp.a-", &why));
    ck_assert(hostname_is_service("_a._tcp.a.", &why));
}
END_TEST

START_TEST(a_star_stands_for_one_label_or_more)
{
    static const struct {
        const char *name, *pattern;
        bool fits;
    } pairs[] = {
        { "example.com", "example.com", true },
        { "example.com", "EXAMPLE.Com", true },
        { "example.com", "example.co", false },
        { "example.com", "example.comm", false },
        { "a.example.com", "example.com", false },
        { "a.example.com", "*.example.com", true },
        { "a.example.com", "*.Example.COM", true },
        { "a.b.c.example.com", "*.example.com", true },
        { "example.com", "*.example.com", false },
        { "aexample.com", "*.example.com", false },
        { ".example.com", "*.example.com", false },
        { "a.example.org", "*.example.com", false },
        { "", "*.example.com", false },
        { "", "a", false },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        ck_assert_msg(hostname_matches(pairs[i].name, pairs[i].pattern, strlen(pairs[i].pattern)) ==
                          pairs[i].fits,
                      "%s %s", pairs[i].name, pairs[i].pattern);
    ck_assert(hostname_matches("a", "a|b", 1));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hostname");
    TCase *t = tcase_create("hostname");
    tcase_add_test(t, a_name_is_labels_with_dots_between_them);
    tcase_add_test(t, an_address_in_whatever_form_ends_in_a_number);
    tcase_add_test(t, a_label_has_63_bytes_and_a_name_255);
    tcase_add_test(t, a_host_has_253_bytes_at_most_and_labels_of_63);
    tcase_add_test(t, a_star_stands_for_one_label_or_more);
    suite_add_tcase(s, t);
    return suite_main(s);
}
