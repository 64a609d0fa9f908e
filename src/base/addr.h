/* Socket addresses: parse, print, compare, hash. Functions on plain data, from any thread. */
#ifndef ZPROXY_BASE_ADDR_H
#define ZPROXY_BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An address to listen on or to connect to. May be copied; compare with addr_equal(). */
struct addr {
    socklen_t len;   /* of the union member in use; also marks the end of an abstract unix name */
    bool dual_stack; /* "*:PORT": [::] that takes IPv4 as well */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* The address of a client: an IP address and port, or AF_UNIX without a path, since clients of unix
 * sockets rarely bind one. 28 bytes, against 120 of struct addr. */
struct addr_peer {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    };
};

/* The longest text: "unix:", a path of 107 bytes, each escaped to four, and NUL. */
#define ADDR_TEXT_MAX 448

/* Parses "10.0.0.1:80", "[2001:db8::1]:80", "*:80", "unix:/run/app.sock" or "unix:@abstract".
 * Numeric addresses only: names are never looked up. An IPv4-mapped IPv6 address (::ffff:1.2.3.4)
 * becomes IPv4. Returns 0, or -EINVAL and sets *why to a static text that says what is wrong. */
int addr_parse(struct addr *a, const char *text, const char **why);

/* Write the address in the form that addr_parse() reads; unprintable bytes of a unix path as \xNN.
 * Return buf. */
const char *addr_print(const struct addr *a, char buf[ADDR_TEXT_MAX]);
const char *addr_peer_print(const struct addr_peer *p, char buf[ADDR_TEXT_MAX]);

/* Sets the peer from the address that accept(2) returned. IPv4-mapped IPv6 becomes IPv4; sa may be
 * of any family. */
void addr_peer_set(struct addr_peer *p, const struct sockaddr *sa, socklen_t len);

/* A total order, for sorting; 0 for equal addresses. "*:80" and "[::]:80" differ. */
int addr_compare(const struct addr *a, const struct addr *b);
bool addr_equal(const struct addr *a, const struct addr *b);
/* Hashes the address with its port; the same on every machine. */
uint64_t addr_hash(const struct addr *a);
/* Hashes the address, with or without its port; the same on every machine. All unix peers have one
 * hash. */
uint64_t addr_peer_hash(const struct addr_peer *p, bool with_port);

/* Whether memory of unknown content holds an address: a known family with its length. All other
 * functions require a valid address. */
bool addr_is_valid(const struct addr *a);
bool addr_peer_is_valid(const struct addr_peer *p);

bool addr_is_unix(const struct addr *a);
/* 0.0.0.0 or [::], with any port. */
bool addr_is_wildcard(const struct addr *a);
/* 127.0.0.0/8 or ::1. */
bool addr_is_loopback(const struct addr *a);
/* The port in host byte order. A unix address has none: addr_port() returns 0, and
 * addr_set_port() does nothing. */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* Whether a socket bound to `at` accepts all clients that a socket bound to `a` accepts: `at`
 * equals `a`, or is a wildcard that includes its family, with the same port. */
bool addr_covers(const struct addr *at, const struct addr *a);
/* Whether a covers b, or b covers a. */
bool addr_overlap(const struct addr *a, const struct addr *b);
/* Whether a connection from this machine to `to` would arrive at a socket bound to `at`: they are
 * equal, or `at` covers `to` and `to` is an address of this machine. device: the interface that the
 * socket is bound to, which must be the one that has `to`; NULL: none. Reads the list of interfaces
 * (getifaddrs(3)); false if that fails. */
bool addr_reaches(const struct addr *to, const struct addr *at, const char *device);

#endif
