#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tls/certificate_names.h"

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

static char *www[] = { (char *)"www.a.test", (char *)"a.test" };
static char *wild[] = { (char *)"*.a.test" };
static char *both[] = { (char *)"www.a.test", (char *)"*.b.test" };

static const struct certificate certificates[] = {
    { .type = CERTIFICATE_ECDSA, .name = www, .name_count = 2 },
    { .type = CERTIFICATE_ECDSA, .name = wild, .name_count = 1 },
    { .type = CERTIFICATE_RSA, .name = both, .name_count = 2 },
    { .type = CERTIFICATE_RSA, .name = wild, .name_count = 1 },
    { .type = CERTIFICATE_ECDSA, .name = wild, .name_count = 1 },
};

static struct certificate_names names;

static void make(void)
{
    ck_assert_int_eq(certificate_names_init(&names, certificates, LENGTH(certificates)), 0);
}

static void drop(void)
{
    certificate_names_fini(&names);
}

/* The certificate of a type that a client gets; the first group for unknown names. */
static size_t chosen(const char *name, enum certificate_type type)
{
    size_t group = certificate_names_find(&names, name);
    return names.group[group == CERTIFICATE_NONE ? 0 : group].certificate[type];
}

START_TEST(a_name_of_its_own_precedes_a_wildcard)
{
    ck_assert_uint_eq(chosen("www.a.test", CERTIFICATE_ECDSA), 0);
    ck_assert_uint_eq(chosen("WWW.A.TEST.", CERTIFICATE_ECDSA), 0);
    ck_assert_uint_eq(chosen("x.a.test", CERTIFICATE_ECDSA), 1);
    ck_assert_uint_eq(chosen("a.test", CERTIFICATE_ECDSA), 0);
}
END_TEST

START_TEST(a_wildcard_stands_for_one_label)
{
    ck_assert_uint_eq(certificate_names_find(&names, "x.y.a.test"), CERTIFICATE_NONE);
    ck_assert_uint_eq(certificate_names_find(&names, "b.test"), CERTIFICATE_NONE);
    ck_assert_uint_eq(certificate_names_find(&names, ".a.test"), CERTIFICATE_NONE);
    ck_assert_uint_eq(certificate_names_find(&names, ""), CERTIFICATE_NONE);
    ck_assert_uint_eq(certificate_names_find(&names, "."), CERTIFICATE_NONE);
    ck_assert_uint_ne(certificate_names_find(&names, "x.b.test"), CERTIFICATE_NONE);
}
END_TEST

START_TEST(of_each_type_the_first_one_is_taken)
{
    ck_assert_uint_eq(chosen("www.a.test", CERTIFICATE_RSA), 2);
    ck_assert_uint_eq(chosen("a.test", CERTIFICATE_RSA), CERTIFICATE_NONE);
    ck_assert_uint_eq(chosen("x.a.test", CERTIFICATE_RSA), 3);
    ck_assert_uint_eq(chosen("x.b.test", CERTIFICATE_RSA), 2);
    ck_assert_uint_eq(chosen("x.b.test", CERTIFICATE_ECDSA), CERTIFICATE_NONE);
}
END_TEST

/* A client that does not verify ECDSA must not be refused. */
START_TEST(a_wildcard_is_taken_for_types_that_the_name_has_not)
{
    static char *exact[] = { (char *)"www.c.test", (char *)"c.test", (char *)".c.test" };
    static char *below[] = { (char *)"*.c.test" };
    static const struct certificate two[] = {
        { .type = CERTIFICATE_ECDSA, .name = exact, .name_count = 3 },
        { .type = CERTIFICATE_RSA, .name = below, .name_count = 1 },
    };
    drop();
    ck_assert_int_eq(certificate_names_init(&names, two, LENGTH(two)), 0);
    ck_assert_uint_eq(chosen("www.c.test", CERTIFICATE_ECDSA), 0);
    ck_assert_uint_eq(chosen("www.c.test", CERTIFICATE_RSA), 1);
    ck_assert_uint_eq(chosen("x.c.test", CERTIFICATE_ECDSA), CERTIFICATE_NONE);
    ck_assert_uint_eq(chosen("c.test", CERTIFICATE_RSA), CERTIFICATE_NONE);
    ck_assert_uint_eq(chosen(".c.test", CERTIFICATE_RSA), CERTIFICATE_NONE);
}
END_TEST

START_TEST(unknown_names_get_the_first_and_what_stands_beside_it)
{
    ck_assert_uint_eq(chosen("other.test", CERTIFICATE_ECDSA), 0);
    ck_assert_uint_eq(chosen("other.test", CERTIFICATE_RSA), 2);
}
END_TEST

START_TEST(long_names_are_unknown)
{
    char name[600];
    for (size_t n = 0; n < sizeof name - 1; n++) {
        memset(name, 'a', n);
        name[n / 2] = n > 2 ? '.' : 'a';
        name[n] = '\0';
        assert_quietly(certificate_names_find(&names, name) == CERTIFICATE_NONE);
    }
}
END_TEST

/* As fast as sorting: a reload must not take seconds. */
START_TEST(many_certificates_are_found_by_each_of_their_names)
{
    enum {
        MANY = 20000
    };
    struct certificate *many = calloc(MANY, sizeof *many);
    struct certificate_names found;
    for (size_t i = 0; i < MANY; i++) {
        char **name = many[i].name = calloc(3, sizeof(char *));
        many[i].type = i % 2 == 0 ? CERTIFICATE_ECDSA : CERTIFICATE_RSA;
        many[i].name_count = 3;
        ck_assert_int_gt(asprintf(&name[0], "w%zu.test", i / 2), 0); /* of two types */
        ck_assert_int_gt(asprintf(&name[1], "*.w%zu.test", i), 0);
        name[2] = strdup(name[0]); /* a name that is there twice */
    }
    ck_assert_int_eq(certificate_names_init(&found, many, MANY), 0);
    for (size_t i = 0; i < MANY; i++) {
        size_t pair = certificate_names_find(&found, many[i].name[0]);
        ck_assert_uint_eq(found.group[pair].certificate[many[i].type], i);
        ck_assert_uint_eq(found.group[pair].certificate[many[i ^ 1].type], i ^ 1);
        char below[64];
        snprintf(below, sizeof below, "x.w%zu.test", i);
        size_t alone = certificate_names_find(&found, below);
        ck_assert_uint_eq(found.group[alone].certificate[many[i].type], i);
        if (i > 1)
            ck_assert_uint_eq(found.group[alone].certificate[many[i ^ 1].type], CERTIFICATE_NONE);
    }
    ck_assert_uint_le(found.group_count, 3 * MANY);
    certificate_names_fini(&found);
    for (size_t i = 0; i < MANY; i++) {
        for (size_t j = 0; j < 3; j++)
            free(many[i].name[j]);
        free(many[i].name);
    }
    free(many);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("certificate_names");
    TCase *t = tcase_create("choice");
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, a_name_of_its_own_precedes_a_wildcard);
    tcase_add_test(t, a_wildcard_stands_for_one_label);
    tcase_add_test(t, of_each_type_the_first_one_is_taken);
    tcase_add_test(t, a_wildcard_is_taken_for_types_that_the_name_has_not);
    tcase_add_test(t, unknown_names_get_the_first_and_what_stands_beside_it);
    tcase_add_test(t, long_names_are_unknown);
    tcase_add_test(t, many_certificates_are_found_by_each_of_their_names);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
