#include "base/proxy_v2.h"

#include <string.h>

#include "base/hash.h"

#define VERSION       0x20
#define COMMAND_LOCAL 0x00
#define COMMAND_PROXY 0x01

#define FAMILY_UNSPEC 0x00
#define FAMILY_IN     0x10
#define FAMILY_IN6    0x20
#define FAMILY_UNIX   0x30

#define TRANSPORT_UNSPEC 0x00
#define TRANSPORT_STREAM 0x01
#define TRANSPORT_DGRAM  0x02

#define IN_SIZE   12 /* two addresses, two ports */
#define IN6_SIZE  36
#define UNIX_SIZE 216 /* two paths of 108 */

#define TLV_HEAD      3 /* type, length */
#define TLV_ALPN      0x01
#define TLV_AUTHORITY 0x02
#define TLV_CRC32C    0x03
#define TLV_SSL       0x20
#define TLV_VERSION   0x21 /* within TLV_SSL, as the next two */
#define TLV_CN        0x22
#define TLV_CIPHER    0x23

/* Flags of TLV_SSL. */
#define CLIENT_SSL       0x01
#define CLIENT_CERT_CONN 0x02 /* shown in this connection */
#define CLIENT_CERT_SESS 0x04 /* shown at least once in this TLS session */

#define TEXT_MAX 256 /* bytes of a text in a TLV that are written */

#define CRC_SIZE 4

static const unsigned char signature[] = { '\r', '\n', '\r', '\n', 0,   '\r',
                                           '\n', 'Q',  'U',  'I',  'T', '\n' };

/* Offsets of the fields after the signature. */
enum {
    AT_COMMAND = sizeof signature,
    AT_FAMILY,
    AT_LENGTH,
    AT_ADDRESSES = AT_LENGTH + 2,
};

static unsigned read16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t read32(const unsigned char *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static enum proxy_header_result proxy_v2_invalid(struct proxy_header *h, const char *why)
{
    h->why = why;
    return PROXY_HEADER_INVALID;
}

/* The size of the addresses of a family, bytes. */
static size_t addresses_size(unsigned family)
{
    switch (family) {
    case FAMILY_IN:
        return IN_SIZE;
    case FAMILY_IN6:
        return IN6_SIZE;
    case FAMILY_UNIX:
        return UNIX_SIZE;
    default:
        return 0;
    }
}

/* --- Parsing --- */

/* Checks the bytes before the addresses, as far as they have arrived. */
static enum proxy_header_result proxy_v2_check_header(struct proxy_header *h,
                                                      const unsigned char *bytes, size_t n)
{
    if (memcmp(bytes, signature, n < sizeof signature ? n : sizeof signature) != 0)
        return proxy_v2_invalid(h, "neither PROXY nor the signature of version 2");
    if (n > AT_COMMAND && (bytes[AT_COMMAND] & 0xf0) != VERSION)
        return proxy_v2_invalid(h, "a version other than 1 and 2");
    if (n > AT_COMMAND && (bytes[AT_COMMAND] & 0x0f) > COMMAND_PROXY)
        return proxy_v2_invalid(h, "a command other than LOCAL and PROXY");
    /* LOCAL: "discard the protocol block including the family which is ignored" */
    if (n > AT_FAMILY && (bytes[AT_COMMAND] & 0x0f) == COMMAND_PROXY) {
        if ((bytes[AT_FAMILY] & 0xf0) > FAMILY_UNIX)
            return proxy_v2_invalid(h, "an unknown address family");
        if ((bytes[AT_FAMILY] & 0x0f) > TRANSPORT_DGRAM)
            return proxy_v2_invalid(h, "an unknown transport");
    }
    return n < AT_ADDRESSES ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
}

/* Whether addresses follow, in a known format. */
static bool is_address_block(const unsigned char *bytes)
{
    return (bytes[AT_COMMAND] & 0x0f) == COMMAND_PROXY &&
           (bytes[AT_FAMILY] & 0xf0) != FAMILY_UNSPEC &&
           (bytes[AT_FAMILY] & 0x0f) != TRANSPORT_UNSPEC;
}

/* Checks the TLVs, as far as they have arrived. *crc: the position of the checksum, or NULL. */
static enum proxy_header_result check_tlvs(struct proxy_header *h, const unsigned char *bytes,
                                           size_t n, const unsigned char **crc)
{
    size_t at = AT_ADDRESSES + addresses_size(bytes[AT_FAMILY] & 0xf0);
    *crc = NULL;
    while (at < h->length) {
        if (h->length - at < TLV_HEAD)
            return proxy_v2_invalid(h, "a TLV is cut off");
        if (n < at + TLV_HEAD)
            return PROXY_HEADER_MORE;
        const size_t size = read16(bytes + at + 1);
        if (size > h->length - at - TLV_HEAD)
            return proxy_v2_invalid(h, "a TLV is longer than the header");
        if (bytes[at] == TLV_CRC32C) {
            if (size != CRC_SIZE)
                return proxy_v2_invalid(h, "a checksum that has not four bytes");
            if (*crc != NULL)
                return proxy_v2_invalid(h, "more than one checksum");
            *crc = bytes + at + TLV_HEAD;
        }
        at += TLV_HEAD + size;
    }
    return n < h->length ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
}

/* The checksum is computed with zeros in place of its own bytes. */
static bool crc_is_right(const struct proxy_header *h, const unsigned char *bytes,
                         const unsigned char *crc)
{
    static const unsigned char zeros[CRC_SIZE];
    const unsigned char *behind = crc + CRC_SIZE;
    uint32_t sum = hash_crc32c(HASH_CRC32C_EMPTY, bytes, (size_t)(crc - bytes));
    sum = hash_crc32c(sum, zeros, sizeof zeros);
    sum = hash_crc32c(sum, behind, (size_t)(bytes + h->length - behind));
    return sum == read32(crc);
}

static void proxy_v2_set_in(struct addr_peer *p, const unsigned char *ip, const unsigned char *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    memcpy(&in.sin_addr, ip, sizeof in.sin_addr);
    memcpy(&in.sin_port, port, sizeof in.sin_port);
    addr_peer_set(p, (struct sockaddr *)&in, sizeof in);
}

static void proxy_v2_set_in6(struct addr_peer *p, const unsigned char *ip,
                             const unsigned char *port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    memcpy(&in6.sin6_addr, ip, sizeof in6.sin6_addr);
    memcpy(&in6.sin6_port, port, sizeof in6.sin6_port);
    addr_peer_set(p, (struct sockaddr *)&in6, sizeof in6);
}

/* A header for datagrams counts as one without addresses, as the specification says for transports
 * that the receiver does not handle. */
static void read_addresses(struct proxy_header *h, const unsigned char *bytes)
{
    const unsigned char *at = bytes + AT_ADDRESSES;
    h->has_addresses = true;
    switch (bytes[AT_FAMILY]) {
    case FAMILY_IN | TRANSPORT_STREAM:
        proxy_v2_set_in(&h->source, at, at + 8);
        proxy_v2_set_in(&h->destination, at + 4, at + 10);
        break;
    case FAMILY_IN6 | TRANSPORT_STREAM:
        proxy_v2_set_in6(&h->source, at, at + 32);
        proxy_v2_set_in6(&h->destination, at + 16, at + 34);
        break;
    case FAMILY_UNIX | TRANSPORT_STREAM:
        h->source.sa.sa_family = AF_UNIX;
        h->destination.sa.sa_family = AF_UNIX;
        break;
    default:
        h->has_addresses = false;
        break;
    }
}

enum proxy_header_result proxy_v2_parse(struct proxy_header *h, const unsigned char *bytes,
                                        size_t n)
{
    const unsigned char *crc = NULL;
    enum proxy_header_result rc = proxy_v2_check_header(h, bytes, n);
    if (rc != PROXY_HEADER_DONE)
        return rc;
    h->length = AT_ADDRESSES + read16(bytes + AT_LENGTH);
    if (h->length > PROXY_HEADER_MAX)
        return proxy_v2_invalid(h, "longer than 4096 bytes");
    if (!is_address_block(bytes))
        return n < h->length ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
    if (h->length < AT_ADDRESSES + addresses_size(bytes[AT_FAMILY] & 0xf0))
        return proxy_v2_invalid(h, "too short for its addresses");
    rc = check_tlvs(h, bytes, n, &crc);
    if (rc != PROXY_HEADER_DONE)
        return rc;
    if (crc != NULL && !crc_is_right(h, bytes, crc))
        return proxy_v2_invalid(h, "the checksum is wrong");
    read_addresses(h, bytes);
    return PROXY_HEADER_DONE;
}

/* --- Writing --- */

static unsigned char *proxy_v2_append(unsigned char *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

static unsigned char *append_header(unsigned char *at, unsigned command, unsigned family)
{
    const size_t size = addresses_size(family & 0xf0);
    const unsigned char head[] = { (unsigned char)(VERSION | command), (unsigned char)family,
                                   (unsigned char)(size >> 8), (unsigned char)size };
    at = proxy_v2_append(at, signature, sizeof signature);
    return proxy_v2_append(at, head, sizeof head);
}

/* Two addresses of n bytes each, then their ports. */
static unsigned char *append_addresses(unsigned char *at, const void *source_ip,
                                       const void *destination_ip, size_t n, in_port_t source_port,
                                       in_port_t destination_port)
{
    at = proxy_v2_append(at, source_ip, n);
    at = proxy_v2_append(at, destination_ip, n);
    at = proxy_v2_append(at, &source_port, sizeof source_port);
    return proxy_v2_append(at, &destination_port, sizeof destination_port);
}

size_t proxy_v2_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], const struct addr_peer *source,
                      const struct addr_peer *destination)
{
    const struct sockaddr_in *in = &source->in;
    const struct sockaddr_in6 *in6 = &source->in6;
    unsigned char *at = buf;
    switch (source->sa.sa_family) {
    case AF_INET:
        at = append_header(at, COMMAND_PROXY, FAMILY_IN | TRANSPORT_STREAM);
        at = append_addresses(at, &in->sin_addr, &destination->in.sin_addr, sizeof in->sin_addr,
                              in->sin_port, destination->in.sin_port);
        break;
    case AF_INET6:
        at = append_header(at, COMMAND_PROXY, FAMILY_IN6 | TRANSPORT_STREAM);
        at = append_addresses(at, &in6->sin6_addr, &destination->in6.sin6_addr,
                              sizeof in6->sin6_addr, in6->sin6_port, destination->in6.sin6_port);
        break;
    case AF_UNIX:
        at = append_header(at, COMMAND_PROXY, FAMILY_UNIX | TRANSPORT_STREAM);
        memset(at, 0, UNIX_SIZE);
        at += UNIX_SIZE;
        break;
    default:
        at = append_header(at, COMMAND_PROXY, FAMILY_UNSPEC | TRANSPORT_UNSPEC);
        break;
    }
    return (size_t)(at - buf);
}

size_t proxy_v2_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX])
{
    return (size_t)(append_header(buf, COMMAND_LOCAL, FAMILY_UNSPEC | TRANSPORT_UNSPEC) - buf);
}

/* A text that is empty is left out. */
static unsigned char *append_text(unsigned char *at, unsigned char type, const char *text)
{
    size_t n = strnlen(text, TEXT_MAX);
    const unsigned char head[TLV_HEAD] = { type, (unsigned char)(n >> 8), (unsigned char)n };
    if (n == 0)
        return at;
    at = proxy_v2_append(at, head, sizeof head);
    return proxy_v2_append(at, text, n);
}

static void set_length(unsigned char *at, size_t n)
{
    at[0] = (unsigned char)(n >> 8);
    at[1] = (unsigned char)n;
}

static unsigned char *append_ssl(unsigned char *at, const struct proxy_tls *tls)
{
    unsigned flags = CLIENT_SSL;
    if (tls->has_certificate)
        flags |= tls->is_resumed ? CLIENT_CERT_SESS : CLIENT_CERT_SESS | CLIENT_CERT_CONN;
    /* verify: 0 only if a certificate was verified */
    const unsigned char head[] = { TLV_SSL, 0, 0, (unsigned char)flags,
                                   0,       0, 0, !tls->has_certificate };
    unsigned char *begin = at;
    at = proxy_v2_append(at, head, sizeof head);
    at = append_text(at, TLV_VERSION, tls->version);
    at = append_text(at, TLV_CN, tls->common_name);
    at = append_text(at, TLV_CIPHER, tls->cipher);
    set_length(begin + 1, (size_t)(at - begin) - TLV_HEAD);
    return at;
}

size_t proxy_v2_add_tls(unsigned char buf[PROXY_HEADER_TLS_MAX], size_t n,
                        const struct proxy_tls *tls)
{
    unsigned char *at = buf + n;
    at = append_text(at, TLV_ALPN, tls->protocol);
    at = append_text(at, TLV_AUTHORITY, tls->name);
    at = append_ssl(at, tls);
    set_length(buf + AT_LENGTH, (size_t)(at - buf) - AT_ADDRESSES);
    return (size_t)(at - buf);
}
