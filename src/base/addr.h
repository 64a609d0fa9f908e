/* Socket addresses as the user writes them: parse, print, compare, hash. */
#ifndef ZPROXY_BASE_ADDR_H
#define ZPROXY_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An address to listen on or to connect to. Plain data: copy it, compare it with addr_equal(). */
struct addr {
    socklen_t len;   /* of the part of the union in use; counts for abstract unix names */
    bool dual_stack; /* written "*:PORT": [::] that takes IPv4 as well */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* A peer as a session remembers it: an IP address and port, or AF_UNIX alone (clients of unix
 * sockets have no name worth keeping). 28 bytes where struct addr has 120. */
struct addr_peer {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
};

/* "[" IPv6 "%" scope "]:" port, or "unix:" path of 107 bytes, each escaped to four; and NUL. */
#define ADDR_TEXT_MAX 448

/* Reads "10.0.0.1:80", "[2001:db8::1]:80", "*:80", "unix:/run/app.sock", "unix:@abstract".
 * Numbers only, never a name look-up. An IPv4 address in IPv6 clothes (::ffff:1.2.3.4) becomes
 * IPv4. Returns 0, or -EINVAL with *why saying what is wrong (static text). */
int addr_parse(struct addr *a, const char *text, const char **why);

/* Writes the address as addr_parse() reads it (bytes of a unix path that are not printable as
 * \xNN). Returns buf. */
const char *addr_print(const struct addr *a, char buf[ADDR_TEXT_MAX]);
const char *addr_peer_print(const struct addr_peer *p, char buf[ADDR_TEXT_MAX]);

/* Keeps what accept(2) said, IPv4-mapped IPv6 as IPv4. sa may be of any family. */
void addr_peer_set(struct addr_peer *p, const struct sockaddr *sa, socklen_t len);

/* A total order, for sorting; 0 where addr_equal(). "*:80" and "[::]:80" are different. */
int addr_compare(const struct addr *a, const struct addr *b);
bool addr_equal(const struct addr *a, const struct addr *b);
/* The same on every machine. */
uint64_t addr_hash(const struct addr *a);
/* Of the address alone, or with the port; all unix peers have the same. */
uint64_t addr_peer_hash(const struct addr_peer *p, bool with_port);

/* Whether memory that may hold anything holds an address: a family that is known, with the length
 * that it has. Everything else here is for these alone. */
bool addr_is_valid(const struct addr *a);
bool addr_peer_is_valid(const struct addr_peer *p);

bool addr_is_unix(const struct addr *a);
/* 0.0.0.0 or [::], with whatever port. */
bool addr_is_wildcard(const struct addr *a);
/* 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const struct addr *a);
/* In host byte order; 0 for unix, which has none to set. */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* Whether a socket bound to `at` takes all clients that one bound to `a` takes: the same, or a
 * wildcard of a family that has it, with the same port. */
bool addr_covers(const struct addr *at, const struct addr *a);
/* Whether one of them covers the other. */
bool addr_overlap(const struct addr *a, const struct addr *b);
/* Whether a connection to `to` would arrive at a socket bound to `at`: equal, or `at` is a
 * wildcard of a family that takes it, with the same port, and `to` is an address that this machine
 * has. */
bool addr_reaches(const struct addr *to, const struct addr *at);

#endif
