/* "zproxyctl apply": checks a file, puts it in place of the configuration, and reloads. If that
 * fails, the former file is put back. */
#ifndef ZPROXY_CTL_APPLY_H
#define ZPROXY_CTL_APPLY_H

#include "ctl/ctl.h"

/* file: a path, or "-" for standard input. With c->check nothing changes. Prints the result. */
enum ctl_status apply_run(struct ctl *c, const char *file);

#endif
