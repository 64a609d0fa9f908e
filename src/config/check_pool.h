/* What the keys of a pool mean together. */
#ifndef ZPROXY_CONFIG_CHECK_POOL_H
#define ZPROXY_CONFIG_CHECK_POOL_H

#include "config/load.h"

/* Reports what the i-th pool lacks, and keys that are of no use beside its others. Where such a key
 * comes from [defaults], it was not meant for this pool and gets its own default back. */
void check_pool(const struct load *l, size_t i);

/* Reports pools that are each other's fallback, once they are joined. Returns false where there is
 * no memory. */
bool check_fallbacks(const struct load *l);

#endif
