/* What a side of a session has if it speaks TLS. */
#ifndef ZPROXY_TLS_TLS_SIDE_H
#define ZPROXY_TLS_TLS_SIDE_H

#include "tls/tls_kernel.h"

struct tls_side {
    struct tls_kernel kernel;
};

#endif
