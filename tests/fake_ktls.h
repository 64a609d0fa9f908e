/* A kernel with TLS that neither encrypts nor decrypts, for machines whose kernel has none, and for
 * what a kernel rarely does. Link with FAKE_KTLS of Makefile.am: the calls of ktls.c come here.
 * Data passes as it is; of other records only the bytes pass, without their type. */
#ifndef ZPROXY_TESTS_FAKE_KTLS_H
#define ZPROXY_TESTS_FAKE_KTLS_H

#include <stddef.h>
#include <stdint.h>

#include "tls/tls_cipher.h"

/* The record types. */
#define FAKE_ALERT     21
#define FAKE_HANDSHAKE 22

struct fake_ktls {
    int keys_set;      /* so often since fake_ktls_begin() */
    int refuse;        /* the attempt to set keys that fails, from 1; 0: none */
    int error;         /* with this errno */
    uint64_t sequence; /* number of the next record, in both directions */
    int eintr;         /* so many calls of recv(2) and recvmsg(2) fail with EINTR first */
    /* Records that were sent, apart from data. */
    int sent;
    uint8_t sent_type;
    unsigned char sent_bytes[8];
    size_t sent_size;
    /* A record that comes next at a socket; size 0: none. */
    int fd;
    uint8_t type;
    unsigned char bytes[8];
    size_t size;
};

extern struct fake_ktls fake_ktls;

void fake_ktls_begin(void);

/* The next record at this socket is not data. */
void fake_ktls_receive(int fd, uint8_t type, const void *bytes, size_t size);

#endif
