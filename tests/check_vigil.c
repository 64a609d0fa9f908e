#include "relay/vigil.h"
#include "suite.h"

#define LOOKS 30
#define WAITS 100000u

static struct vigil vigil;

/* One wait of a worker: whether there was a vigil, which finds something if there is something. */
static bool wait_once(bool something)
{
    uint32_t looks = vigil_begin(&vigil);
    if (looks > 0)
        vigil_end(&vigil, something);
    return looks > 0;
}

/* Of so many waits, those with a vigil, if something is found in `found` of `of`. */
static unsigned vigils(unsigned waits, unsigned found, unsigned of)
{
    unsigned n = 0;
    for (unsigned i = 0; i < waits; i++)
        n += wait_once(i % of < found);
    return n;
}

START_TEST(without_vigils_there_is_none)
{
    vigil_init(&vigil, VIGIL_NEVER, LOOKS);
    ck_assert_uint_eq(vigils(WAITS, 1, 1), 0);
}
END_TEST

START_TEST(always_is_always)
{
    vigil_init(&vigil, VIGIL_ALWAYS, LOOKS);
    ck_assert_uint_eq(vigil_begin(&vigil), LOOKS);
    vigil_break(&vigil);
    ck_assert_uint_eq(vigils(WAITS, 0, 1), WAITS);
}
END_TEST

START_TEST(while_it_pays_each_wait_has_one)
{
    vigil_init(&vigil, VIGIL_AUTO, LOOKS);
    ck_assert_uint_eq(vigil_begin(&vigil), LOOKS);
    vigil_end(&vigil, true);
    ck_assert_uint_eq(vigils(WAITS, 1, 1), WAITS);
    ck_assert_uint_gt(vigils(WAITS, 9, 10), WAITS * 9 / 10);
}
END_TEST

START_TEST(in_vain_they_become_rare)
{
    vigil_init(&vigil, VIGIL_AUTO, LOOKS);
    vigils(WAITS, 1, 1);
    ck_assert_uint_lt(vigils(WAITS, 0, 1), WAITS / 500);
    ck_assert_uint_gt(vigils(WAITS, 0, 1), WAITS / 2000);
}
END_TEST

START_TEST(what_pays_half_the_time_does_not_pay)
{
    vigil_init(&vigil, VIGIL_AUTO, LOOKS);
    ck_assert_uint_lt(vigils(WAITS, 1, 2), WAITS / 200);
}
END_TEST

START_TEST(what_pays_again_is_found_out)
{
    vigil_init(&vigil, VIGIL_AUTO, LOOKS);
    vigils(WAITS, 0, 1);
    vigils(2000, 1, 1);
    ck_assert_uint_eq(vigils(WAITS, 1, 1), WAITS);
}
END_TEST

START_TEST(there_is_none_where_clients_come_and_go)
{
    unsigned n = 0;
    vigil_init(&vigil, VIGIL_AUTO, LOOKS);
    vigils(100, 1, 1);
    for (unsigned i = 0; i < WAITS; i++) {
        if (i % 5 == 0)
            vigil_break(&vigil);
        n += wait_once(true);
    }
    ck_assert_uint_eq(n, 0);
    vigils(2000, 1, 1);
    ck_assert_uint_eq(vigils(WAITS, 1, 1), WAITS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vigil");
    TCase *t = tcase_create("vigil");
    tcase_add_test(t, without_vigils_there_is_none);
    tcase_add_test(t, always_is_always);
    tcase_add_test(t, while_it_pays_each_wait_has_one);
    tcase_add_test(t, in_vain_they_become_rare);
    tcase_add_test(t, what_pays_half_the_time_does_not_pay);
    tcase_add_test(t, what_pays_again_is_found_out);
    tcase_add_test(t, there_is_none_where_clients_come_and_go);
    suite_add_tcase(s, t);
    return suite_main(s);
}
