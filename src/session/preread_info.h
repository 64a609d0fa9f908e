/* What the access log shows of the first bytes of a session. A session has it only if the preread
 * took time, or if a TLS hello had a name or protocols. */
#ifndef ZPROXY_SESSION_PREREAD_INFO_H
#define ZPROXY_SESSION_PREREAD_INFO_H

#include <stddef.h>
#include <stdint.h>

#include "session/hello.h"

struct preread_info {
    uint32_t ms;      /* duration of the preread */
    const char *alpn; /* points into text: protocols, with commas; "": none */
    char text[];      /* the server's name; "": none */
};

/* hello may be NULL. Return NULL if there is nothing to log, or when out of memory: then the log
 * line lacks these fields. */
struct preread_info *preread_info_new(uint64_t ms, const struct hello *hello);
struct preread_info *preread_info_copy(uint64_t ms, const char *name, const char *alpn);

#endif
