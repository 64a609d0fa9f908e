/* The modules of this folder in a build without OpenSSL. */
#include <errno.h>

#include "tls/tls_keys.h"

int tls_keys_get(struct ssl_st *ssl, enum tls_direction direction, struct tls_keys *keys)
{
    (void)ssl, (void)direction, (void)keys;
    return -EOPNOTSUPP;
}

int tls_keys_update(struct tls_keys *keys)
{
    (void)keys;
    return -ENOKEY;
}
