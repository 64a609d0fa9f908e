/* What a configuration expects of the machine. */
#ifndef ZPROXY_CONFIG_CHECK_MACHINE_H
#define ZPROXY_CONFIG_CHECK_MACHINE_H

#include "config/load.h"

/* Reports users and groups that there are not, and files that pools cannot answer with. */
void check_machine(const struct load *l);

#endif
