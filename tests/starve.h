/* Memory that runs out when a test wants it to: linked with STARVE of Makefile.am, what the tested
 * code allocates goes through here. */
#ifndef ZPROXY_TESTS_STARVE_H
#define ZPROXY_TESTS_STARVE_H

/* The next `grants` allocations of this thread succeed, all later ones fail; below 0: none fails.
 */
void starve_after(long grants);

#endif
