#include <stdio.h>
#include <string.h>

#include "session/route.h"
#include "suite.h"

/* Pools by number: they are never looked into. */
static char pools[8];
#define POOL(i) ((struct pool *)&pools[i])

#define WORDS(...)                                                                    \
    &(const struct config_words)                                                      \
    {                                                                                 \
        (char *[]){ __VA_ARGS__ }, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *) \
    }
#define WORD(text) ((char *)(text))
static const struct config_words any = { NULL, 0 };

static const struct route routes[] = {
    { WORDS(WORD("www.example.com"), WORD("example.com")), &any, POOL(0) },
    { WORDS(WORD("api.example.com")), WORDS(WORD("h2"), WORD("http/1.1")), POOL(1) },
    { WORDS(WORD("*.example.com")), &any, POOL(2) },
    { &any, WORDS(WORD("imap"), WORD("POP3")), POOL(3) },
    { WORDS(WORD("*.Example.ORG"), WORD("example.net")), WORDS(WORD("h2")), POOL(4) },
};

/* protocols: as on the wire */
static int chosen(const char *name, const char *protocols)
{
    struct hello h = { .alpn_size = (uint16_t)strlen(protocols) };
    snprintf(h.name, sizeof h.name, "%s", name);
    memcpy(h.alpn, protocols, h.alpn_size);
    struct pool *p = route_match(routes, sizeof routes / sizeof *routes, &h);
    return p == NULL ? -1 : (int)((char *)p - pools);
}

START_TEST(the_first_route_that_fits_is_taken)
{
    ck_assert_int_eq(chosen("example.com", ""), 0);
    ck_assert_int_eq(chosen("www.example.com", "\4imap"), 0);
    ck_assert_int_eq(chosen("api.example.com", "\2h2"), 1);
    ck_assert_int_eq(chosen("api.example.com", "\3foo\10http/1.1"), 1);
    ck_assert_int_eq(chosen("api.example.com", "\3foo"), 2);
    ck_assert_int_eq(chosen("api.example.com", ""), 2);
    ck_assert_int_eq(chosen("a.b.example.com", ""), 2);
}
END_TEST

START_TEST(all_conditions_of_a_route_must_match)
{
    ck_assert_int_eq(chosen("example.net", ""), -1);
    ck_assert_int_eq(chosen("example.net", "\2h3"), -1);
    ck_assert_int_eq(chosen("example.net", "\3h2c"), -1);
    ck_assert_int_eq(chosen("example.net", "\2h2"), 4);
    ck_assert_int_eq(chosen("a.example.org", "\2h2"), 4);
    ck_assert_int_eq(chosen("example.org", "\2h2"), -1);
}
END_TEST

START_TEST(letter_case_does_not_matter)
{
    ck_assert_int_eq(chosen("a.example.org", "\2H2"), 4);
    ck_assert_int_eq(chosen("", "\4pop3"), 3);
}
END_TEST

START_TEST(who_names_no_server_fits_no_name)
{
    ck_assert_int_eq(chosen("", ""), -1);
    ck_assert_int_eq(chosen("", "\2h2"), -1);
    ck_assert_int_eq(chosen("", "\4imap"), 3);
}
END_TEST

START_TEST(without_routes_none_fits)
{
    struct hello h = { .name = "example.com" };
    ck_assert_ptr_null(route_match(NULL, 0, &h));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("route");
    TCase *t = tcase_create("route");
    tcase_add_test(t, the_first_route_that_fits_is_taken);
    tcase_add_test(t, all_conditions_of_a_route_must_match);
    tcase_add_test(t, letter_case_does_not_matter);
    tcase_add_test(t, who_names_no_server_fits_no_name);
    tcase_add_test(t, without_routes_none_fits);
    suite_add_tcase(s, t);
    return suite_main(s);
}
