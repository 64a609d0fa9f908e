/* What can only be said of a configuration as a whole. */
#ifndef ZPROXY_CONFIG_CHECK_H
#define ZPROXY_CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/load.h"

/* Joins listeners to their pools and reports what does not fit together: names that are missing or
 * given twice, addresses bound twice, servers that lead back to zproxy. */
void check_config(const struct load *l);

/* Reports users and groups that there are not, and files that pools cannot answer with. */
void check_machine(const struct load *l);

/* --- Parts of check_config() --- */

/* Reports what the i-th listener lacks, and keys that are of no use beside its others. */
void check_listen(const struct load *l, size_t i);

/* Reports what the i-th pool lacks, and keys that are of no use beside its others. Where such a key
 * comes from [defaults], it was not meant for this pool and gets its own default back. */
void check_pool(const struct load *l, size_t i);

/* Reports pools that are each other's fallback, once they are joined. Returns false where there is
 * no memory. */
bool check_fallbacks(const struct load *l);

/* Reports addresses that are bound twice, and servers that lead back to one, once listeners and
 * pools are joined. Returns false where there is no memory. */
bool check_binds(const struct load *l);

#endif
