/* Addresses that are bound, all listeners together. */
#ifndef ZPROXY_CONFIG_CHECK_BIND_H
#define ZPROXY_CONFIG_CHECK_BIND_H

#include "config/load.h"

/* Reports addresses that are bound twice, and servers that lead back to one, once listeners and
 * pools are joined. Returns false where there is no memory. */
bool check_binds(const struct load *l);

#endif
