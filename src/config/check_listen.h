/* What the keys of a listener mean together. */
#ifndef ZPROXY_CONFIG_CHECK_LISTEN_H
#define ZPROXY_CONFIG_CHECK_LISTEN_H

#include "config/load.h"

/* Reports what the i-th listener lacks, and keys that are of no use beside its others. */
void check_listen(const struct load *l, size_t i);

#endif
