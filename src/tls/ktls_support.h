/* What this kernel can do of TLS (ktls.h), found out by trying: a record of 16 KiB is sent over a
 * loopback connection, spliced through a pipe, and compared. */
#ifndef ZPROXY_TLS_KTLS_SUPPORT_H
#define ZPROXY_TLS_KTLS_SUPPORT_H

#include <stdbool.h>

struct ktls_support {
    bool usable;        /* connections may be given to the kernel */
    bool loses_bytes;   /* if a pipe has no room for a record: see KTLS_RECORD_SLOTS */
    bool replaces_keys; /* follows a KeyUpdate: Linux 6.14 */
    const char *error;  /* why it is not usable; NULL: usable */
    const char *advice; /* what can be done; NULL: nothing */
};

/* Tests the kernel, unless it was found usable before: so a module that was loaded since then is
 * found. Takes a few milliseconds, and changes nothing. For control's thread. */
void ktls_support_test(struct ktls_support *found);

/* The same, and lets connections use what was found. */
void ktls_support_update(void);

/* What was found by the last update. For control's thread. */
const struct ktls_support *ktls_support(void);

/* From any thread. */
bool ktls_is_usable(void);
bool ktls_replaces_keys(void);

#endif
