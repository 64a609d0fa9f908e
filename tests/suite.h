/* What every unit test's main() does. */
#ifndef ZPROXY_TESTS_SUITE_H
#define ZPROXY_TESTS_SUITE_H

#include <check.h>

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
