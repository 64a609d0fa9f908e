/* What every unit test's main() does. */
#ifndef ZPROXY_TESTS_SUITE_H
#define ZPROXY_TESTS_SUITE_H

#include <check.h>

/* An assertion for loops of many thousand rounds: Check takes a note of each of its own that holds,
 * by a system call; this one costs nothing until it fails. */
#define assert_quietly(condition)           \
    do {                                    \
        if (!(condition))                   \
            ck_abort_msg("%s", #condition); \
    } while (0)

/* Runs the suite; returns the exit status. */
static inline int suite_main(Suite *s)
{
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
