/* What can only be said of a configuration as a whole. */
#ifndef ZPROXY_CONFIG_CHECK_H
#define ZPROXY_CONFIG_CHECK_H

#include "config/load.h"

/* Joins listeners to their pools and reports what does not fit together: names that are missing or
 * given twice, addresses bound twice, servers that lead back to zproxy. */
void check_config(const struct load *l);

#endif
