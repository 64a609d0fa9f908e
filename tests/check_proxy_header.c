#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/proxy_header.h"
#include "suite.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define PAYLOAD   "GET / HTTP/1.1\r\n\r\n"

/* --- Expected results --- */

/* A header: its bytes, and its two addresses as text; "-": it has none. */
struct sample {
    const char *bytes;
    size_t size;
    const char *source;
    const char *destination;
};

#define TEXT(bytes) bytes, sizeof(bytes) - 1
#define ZEROS_9     "\0\0\0\0\0\0\0\0\0"
#define ZEROS_54    ZEROS_9 ZEROS_9 ZEROS_9 ZEROS_9 ZEROS_9 ZEROS_9
#define ZEROS_216   ZEROS_54 ZEROS_54 ZEROS_54 ZEROS_54
#define V4_ENDS     "\x0a\x00\x00\x01\xc0\xa8\x00\x02\xc8\x22\x01\xbb"
#define NOOP_OF_5  \
    "\x04\x00\x05" \
    "abcde"

/* clang-format off */
static const struct sample samples[] = {
    { TEXT("PROXY TCP4 10.0.0.1 192.168.0.2 51234 443\r\n"), "10.0.0.1:51234", "192.168.0.2:443" },
    { TEXT("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0:0", "255.255.255.255:65535" },
    { TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
      "255.255.255.255:65535", "255.255.255.255:65535" },
    { TEXT("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"), "[2001:db8::1]:1", "[::1]:2" },
    { TEXT("PROXY TCP6 :: :: 0 0\r\n"), "[::]:0", "[::]:0" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7:8 1::8 10 20\r\n"), "[1:2:3:4:5:6:7:8]:10", "[1::8]:20" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 10 20\r\n"),
      "[1:2:3:4:5:6:7:0]:10", "[0:2:3:4:5:6:7:8]:20" },
    { TEXT("PROXY TCP6 ABCD:EF01:2345:6789:abcd:ef01:2345:6789 "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
      "[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:65535",
      "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
    { TEXT("PROXY TCP6 ::ffff:10.0.0.1 2001:db8::2 80 81\r\n"), "10.0.0.1:80", "[2001:db8::2]:81" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:1.2.3.4 64:ff9b::1.2.3.4 80 81\r\n"),
      "[1:2:3:4:5:6:102:304]:80", "[64:ff9b::102:304]:81" },
    { TEXT("PROXY UNKNOWN\r\n"), "-", "-" },
    { TEXT("PROXY UNKNOWN \r\n"), "-", "-" },
    { TEXT("PROXY UNKNOWN any thing \0\xff at all\r\n"), "-", "-" },
    { TEXT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), "-", "-" },
    { TEXT(SIGNATURE "\x21\x11\x00\x0c" V4_ENDS), "10.0.0.1:51234", "192.168.0.2:443" },
    { TEXT(SIGNATURE "\x21\x11\x00\x14" V4_ENDS NOOP_OF_5), "10.0.0.1:51234", "192.168.0.2:443" },
    { TEXT(SIGNATURE "\x21\x11\x00\x1a" V4_ENDS "\x04\x00\x00" NOOP_OF_5 "\xee\x00\x00"),
      "10.0.0.1:51234", "192.168.0.2:443" },
    { TEXT(SIGNATURE "\x21\x12\x00\x0c" V4_ENDS), "-", "-" },
    { TEXT(SIGNATURE "\x21\x10\x00\x01?"), "-", "-" },
    { TEXT(SIGNATURE "\x21\x21\x00\x24"
           "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
           "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01\x00\x50\x00\x51"),
      "[2001:db8::1]:80", "10.0.0.1:81" },
    { TEXT(SIGNATURE "\x21\x31\x00\xd8" ZEROS_216), "unix:", "unix:" },
    { TEXT(SIGNATURE "\x21\x32\x00\xe0" ZEROS_216 NOOP_OF_5), "-", "-" },
    { TEXT(SIGNATURE "\x21\x00\x00\x00"), "-", "-" },
    { TEXT(SIGNATURE "\x21\x01\x00\x03" "abc"), "-", "-" },
    { TEXT(SIGNATURE "\x20\x00\x00\x00"), "-", "-" },
    { TEXT(SIGNATURE "\x20\xff\x00\x05" "hello"), "-", "-" },
    { TEXT(SIGNATURE "\x20\x11\x00\x0c" V4_ENDS), "-", "-" },
    /* HAProxy 2.6: send-proxy-v2 proxy-v2-options crc32c,unique-id; the last is a health check */
    { TEXT(SIGNATURE "\x21\x11\x00\x16\x7f\x00\x00\x01\x7f\x00\x00\x01\xa2\x66\x1e\x79"
           "\x03\x00\x04\x45\x98\xa9\xaa\x05\x00\x00"), "127.0.0.1:41574", "127.0.0.1:7801" },
    { TEXT(SIGNATURE "\x21\x21\x00\x2e"
           "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
           "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xd2\xfe\x1e\x79"
           "\x03\x00\x04\xbf\x67\xcb\xa5\x05\x00\x00"), "[::1]:54014", "[::1]:7801" },
    { TEXT(SIGNATURE "\x20\x00\x00\x07\x03\x00\x04\xa9\xb8\x7e\x8f"), "-", "-" },
};
/* clang-format on */

#define SAMPLES ((int)(sizeof samples / sizeof *samples))

/* Copies of the exact size, so that a sanitizer reports a read beyond the end. */
static enum proxy_header_result parse_copy(struct proxy_header *h, const void *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    memcpy(copy + 1, bytes, n);
    enum proxy_header_result rc = proxy_header_parse(h, copy + 1, n);
    free(copy);
    return rc;
}

static bool same_peer(const struct addr_peer *a, const struct addr_peer *b)
{
    char text[2][ADDR_TEXT_MAX];
    return strcmp(addr_peer_print(a, text[0]), addr_peer_print(b, text[1])) == 0;
}

static bool same(const struct proxy_header *a, const struct proxy_header *b)
{
    return a->length == b->length && a->has_addresses == b->has_addresses &&
           same_peer(&a->source, &b->source) && same_peer(&a->destination, &b->destination);
}

static const char *printed(const struct addr_peer *p)
{
    static char text[ADDR_TEXT_MAX];
    return addr_peer_print(p, text);
}

START_TEST(a_header_gives_the_addresses_and_its_length)
{
    const struct sample *s = &samples[_i];
    char stream[512];
    struct proxy_header h;
    memcpy(stream, s->bytes, s->size);
    memcpy(stream + s->size, PAYLOAD, sizeof PAYLOAD - 1);
    enum proxy_header_result rc = parse_copy(&h, stream, s->size + sizeof PAYLOAD - 1);
    ck_assert_msg(rc == PROXY_HEADER_DONE, "%d: %s", rc, h.why);
    ck_assert_uint_eq(h.length, s->size);
    ck_assert_str_eq(printed(&h.source), s->source);
    ck_assert_str_eq(printed(&h.destination), s->destination);
    ck_assert_int_eq(h.has_addresses, strcmp(s->source, "-") != 0);
}
END_TEST

START_TEST(a_partial_header_wants_more_bytes)
{
    const struct sample *s = &samples[_i];
    struct proxy_header h;
    for (size_t n = 0; n < s->size; n++) {
        enum proxy_header_result rc = parse_copy(&h, s->bytes, n);
        ck_assert_msg(rc == PROXY_HEADER_MORE, "of %zu bytes: %d %s", n, rc, h.why);
    }
    ck_assert_int_eq(parse_copy(&h, s->bytes, s->size), PROXY_HEADER_DONE);
}
END_TEST

/* The last byte is the first wrong one. */
/* clang-format off */
static const struct {
    const char *bytes;
    size_t size;
    const char *why;
} bad[] = {
    { TEXT("G"), "no PROXY header" },
    { TEXT("\x16"), "no PROXY header" },
    { TEXT("\0"), "no PROXY header" },
    { TEXT("p"), "no PROXY header" },
    { TEXT("PRI"), "does not begin with PROXY" },
    { TEXT("PROXY\t"), "does not begin with PROXY" },
    { TEXT("PROXY  "), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY TCP "), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY TCP5"), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY Ud"), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY UNKNOWN_"), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY UNKNOWN\n"), "neither TCP4 nor TCP6 nor UNKNOWN" },
    { TEXT("PROXY UNKNOWN\r\r"), "the line does not end in CR LF" },
    { TEXT("PROXY UNKNOWN x\n"), "the line does not end in CR LF" },
    { TEXT("PROXY UNKNOWN x\r "), "the line does not end in CR LF" },
    { TEXT("PROXY TCP44"), "no space where one must be" },
    { TEXT("PROXY TCP4  "), "not an IPv4 address" },
    { TEXT("PROXY TCP4 1.2.3 "), "not an IPv4 address" },
    { TEXT("PROXY TCP4 1.2.3.256"), "not an IPv4 address" },
    { TEXT("PROXY TCP4 01"), "not an IPv4 address" },
    { TEXT("PROXY TCP4 00"), "not an IPv4 address" },
    { TEXT("PROXY TCP4 1..") , "not an IPv4 address" },
    { TEXT("PROXY TCP4 a"), "not an IPv4 address" },
    { TEXT("PROXY TCP4 :"), "not an IPv4 address" },
    { TEXT("PROXY TCP4 1.2.3.4."), "no space where one must be" },
    { TEXT("PROXY TCP4 1.2.3.4\r"), "no space where one must be" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 65536"), "not a port" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 08"), "not a port" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 -"), "not a port" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4  "), "not a port" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r"), "no space where one must be" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 "), "the line does not end in CR LF" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), "the line does not end in CR LF" },
    { TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx"), "the line does not end in CR LF" },
    { TEXT("PROXY TCP6 :1"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 : "), "not an IPv6 address" },
    { TEXT("PROXY TCP6 :::"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:::"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1::2::"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1: "), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1::2: "), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7 "), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7:8:"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7::8"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1::3:4:5:6:7:8:"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 12345"), "not an IPv6 address" },
    { TEXT("PROXY TCP6 g"), "not an IPv6 address" },
    { TEXT("PROXY TCP6  "), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1."), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:1."), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6:7:1."), "not an IPv6 address" },
    { TEXT("PROXY TCP6 1:2:3:4:5:6::1."), "not an IPv6 address" },
    { TEXT("PROXY TCP6 ::256."), "not an IPv4 address" },
    { TEXT("PROXY TCP6 ::a."), "not an IPv4 address" },
    { TEXT("PROXY TCP6 ::1.2.3 "), "not an IPv4 address" },
    { TEXT("PROXY TCP6 ::1%"), "no space where one must be" },
    { TEXT("\r\n\r\n\r"), "neither PROXY nor the signature of version 2" },
    { TEXT(SIGNATURE "\x11"), "a version other than 1 and 2" },
    { TEXT(SIGNATURE "\x30"), "a version other than 1 and 2" },
    { TEXT(SIGNATURE "\x22"), "a command other than LOCAL and PROXY" },
    { TEXT(SIGNATURE "\x21\x41"), "an unknown address family" },
    { TEXT(SIGNATURE "\x21\x13"), "an unknown transport" },
    { TEXT(SIGNATURE "\x21\x11\x00\x0b"), "too short for its addresses" },
    { TEXT(SIGNATURE "\x21\x22\x00\x23"), "too short for its addresses" },
    { TEXT(SIGNATURE "\x21\x31\x00\xd7"), "too short for its addresses" },
    { TEXT(SIGNATURE "\x21\x11\x00\x0d"), "a TLV is cut off" },
    { TEXT(SIGNATURE "\x21\x11\x00\x16" V4_ENDS "\x04\x00\x05"), "a TLV is cut off" },
    { TEXT(SIGNATURE "\x21\x11\x00\x13" V4_ENDS "\x04\x00\x05"),
      "a TLV is longer than the header" },
    { TEXT(SIGNATURE "\x21\x11\x00\x13" V4_ENDS "\x03\x00\x03"),
      "a checksum that has not four bytes" },
    { TEXT(SIGNATURE "\x21\x11\x00\x1a" V4_ENDS "\x03\x00\x04" "abcd" "\x03\x00\x04"),
      "more than one checksum" },
    { TEXT(SIGNATURE "\x21\x11\x00\x13" V4_ENDS "\x03\x00\x04" "abcd"),
      "the checksum is wrong" },
    { TEXT(SIGNATURE "\x21\x11\x0f\xf1"), "longer than 4096 bytes" },
    { TEXT(SIGNATURE "\x20\x00\xff\xff"), "longer than 4096 bytes" },
};
/* clang-format on */

START_TEST(an_invalid_header_is_refused_at_its_first_wrong_byte)
{
    struct proxy_header h;
    const size_t last = bad[_i].size - 1;
    for (size_t n = 0; n <= last; n++)
        ck_assert_int_eq(parse_copy(&h, bad[_i].bytes, n), PROXY_HEADER_MORE);
    ck_assert_int_eq(parse_copy(&h, bad[_i].bytes, last + 1), PROXY_HEADER_INVALID);
    ck_assert_str_eq(h.why, bad[_i].why);
}
END_TEST

START_TEST(a_line_has_at_most_107_bytes)
{
    char line[200];
    struct proxy_header h;
    int n = snprintf(line, sizeof line, "PROXY UNKNOWN %91s\r\n", "");
    ck_assert_int_eq(n, 107);
    ck_assert_int_eq(parse_copy(&h, line, 107), PROXY_HEADER_DONE);
    ck_assert_uint_eq(h.length, 107);
    snprintf(line, sizeof line, "PROXY UNKNOWN %92s\r\n", "");
    ck_assert_int_eq(parse_copy(&h, line, 105), PROXY_HEADER_MORE);
    for (size_t k = 106; k <= 108; k++)
        ck_assert_int_eq(parse_copy(&h, line, k), PROXY_HEADER_INVALID);
    ck_assert_str_eq(h.why, "the line is longer than 107 bytes");
    n = snprintf(line, sizeof line, "PROXY TCP6 %s:255.255.255.255 %s:255.255.255.255 1 1\r\n",
                 "ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff");
    ck_assert_int_eq(n, 108);
    ck_assert_int_eq(parse_copy(&h, line, (size_t)n), PROXY_HEADER_INVALID);
}
END_TEST

START_TEST(a_block_has_at_most_4096_bytes)
{
    static unsigned char block[PROXY_HEADER_MAX + 1] = SIGNATURE "\x20\x00\x0f\xf0";
    struct proxy_header h;
    ck_assert_int_eq(parse_copy(&h, block, sizeof block - 2), PROXY_HEADER_MORE);
    ck_assert_int_eq(parse_copy(&h, block, sizeof block), PROXY_HEADER_DONE);
    ck_assert_uint_eq(h.length, PROXY_HEADER_MAX);
}
END_TEST

/* --- A reference parser for complete headers, made from library functions --- */

static bool same_text_port(const char *text, unsigned *port)
{
    char again[16];
    *port = (unsigned)strtoul(text, NULL, 10);
    snprintf(again, sizeof again, "%u", *port);
    return strcmp(again, text) == 0 && *port <= 65535;
}

static bool read_end(struct addr_peer *p, int family, const char *ip, const char *port)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    unsigned number = 0;
    if (inet_pton(family, ip, family == AF_INET ? (void *)&in.sin_addr : &in6.sin6_addr) != 1 ||
        !same_text_port(port, &number))
        return false;
    in.sin_port = in6.sin6_port = htons((uint16_t)number);
    if (family == AF_INET)
        addr_peer_set(p, (struct sockaddr *)&in, sizeof in);
    else
        addr_peer_set(p, (struct sockaddr *)&in6, sizeof in6);
    return true;
}

/* Judges a line with its CR LF. */
static bool second_opinion_v1(struct proxy_header *h, const char *bytes, size_t n)
{
    char line[128] = "";
    char *word[8] = { NULL };
    size_t words = 0;
    const char *lf = memchr(bytes, '\n', n);
    memset(h, 0, sizeof *h);
    if (lf == NULL || lf == bytes || lf[-1] != '\r' || lf - bytes >= 107)
        return false;
    h->length = (size_t)(lf - bytes) + 1;
    memcpy(line, bytes, h->length - 2);
    if (memchr(line, '\r', h->length - 2) != NULL)
        return false;
    if (memcmp(line, "PROXY UNKNOWN", 13) == 0 && (h->length == 15 || line[13] == ' '))
        return true;
    if (strlen(line) != h->length - 2)
        return false;
    for (char *rest = line; rest != NULL && words < 8;)
        word[words++] = strsep(&rest, " ");
    if (words != 6 || strcmp(word[0], "PROXY") != 0)
        return false;
    int family = strcmp(word[1], "TCP4") == 0 ? AF_INET : AF_INET6;
    h->has_addresses = true;
    return (family == AF_INET || strcmp(word[1], "TCP6") == 0) &&
           read_end(&h->source, family, word[2], word[4]) &&
           read_end(&h->destination, family, word[3], word[5]);
}

static bool tlvs_are_good(const unsigned char *header, size_t at, size_t size)
{
    unsigned char copy[PROXY_HEADER_MAX];
    size_t crc_at = 0;
    memcpy(copy, header, size);
    for (; at + 3 <= size; at += 3 + (size_t)header[at + 1] * 256 + header[at + 2])
        if (header[at] == 3) {
            if (crc_at != 0 || header[at + 1] != 0 || header[at + 2] != 4)
                return false;
            crc_at = at + 3;
        }
    if (at != size)
        return false;
    if (crc_at == 0)
        return true;
    uint32_t stored = 0;
    memcpy(&stored, copy + crc_at, 4);
    memset(copy + crc_at, 0, 4);
    return ntohl(stored) == hash_crc32c(HASH_CRC32C_EMPTY, copy, size);
}

/* Judges a complete block. */
static bool second_opinion_v2(struct proxy_header *h, const unsigned char *b, size_t n)
{
    static const size_t sizes[] = { 0, 12, 36, 216 };
    char ip[2][INET6_ADDRSTRLEN];
    char port[2][8];
    memset(h, 0, sizeof *h);
    if (n < 16 || memcmp(b, SIGNATURE, 12) != 0 || (b[12] != 0x20 && b[12] != 0x21))
        return false;
    h->length = 16 + (size_t)b[14] * 256 + b[15];
    if (h->length > n || h->length > PROXY_HEADER_MAX)
        return false;
    if (b[12] == 0x20)
        return true;
    if (b[13] >> 4 > 3 || (b[13] & 15) > 2)
        return false;
    if (b[13] >> 4 == 0 || (b[13] & 15) == 0)
        return true;
    size_t size = sizes[b[13] >> 4];
    if (h->length < 16 + size || !tlvs_are_good(b, 16 + size, h->length))
        return false;
    h->has_addresses = (b[13] & 15) == 1;
    if (!h->has_addresses)
        return true;
    if (b[13] == 0x31) {
        h->source.sa.sa_family = h->destination.sa.sa_family = AF_UNIX;
        return true;
    }
    int family = b[13] == 0x11 ? AF_INET : AF_INET6;
    size_t width = b[13] == 0x11 ? 4 : 16;
    for (size_t i = 0; i < 2; i++) {
        inet_ntop(family, b + 16 + i * width, ip[i], sizeof ip[i]);
        const unsigned char *p = b + 16 + 2 * width + 2 * i;
        snprintf(port[i], sizeof port[i], "%u", p[0] * 256U + p[1]);
    }
    return read_end(&h->source, family, ip[0], port[0]) &&
           read_end(&h->destination, family, ip[1], port[1]);
}

/* For any bytes: the result is DONE exactly if the reference accepts the header, and a result other
 * than MORE for a prefix is that of the whole. */
static void judge(const unsigned char *bytes, size_t n, bool parts)
{
    struct proxy_header whole;
    struct proxy_header part;
    struct proxy_header second;
    enum proxy_header_result rc = parse_copy(&whole, bytes, n);
    bool good = n > 0 && (bytes[0] == 'P' ? second_opinion_v1(&second, (const char *)bytes, n)
                                          : second_opinion_v2(&second, bytes, n));
    ck_assert_int_eq(rc == PROXY_HEADER_DONE, good);
    ck_assert(!good || same(&whole, &second));
    ck_assert_int_eq(rc == PROXY_HEADER_INVALID, whole.why != NULL);
    for (size_t k = 0; parts && k < n; k++) {
        enum proxy_header_result early = parse_copy(&part, bytes, k);
        ck_assert(early == PROXY_HEADER_MORE || early == rc);
        if (early == PROXY_HEADER_DONE)
            ck_assert(same(&part, &whole));
    }
}

START_TEST(every_changed_byte_is_judged_as_by_the_reference)
{
    const struct sample *s = &samples[_i];
    unsigned char bytes[300];
    for (size_t at = 0; at < s->size; at++)
        for (unsigned flip = 1; flip < 256; flip += flip < 8 ? 1 : 5) {
            memcpy(bytes, s->bytes, s->size);
            bytes[at] ^= (unsigned char)flip;
            judge(bytes, s->size, at % 5 == 0 && flip == 1);
        }
}
END_TEST

START_TEST(random_bytes_are_judged_as_by_the_reference)
{
    unsigned char bytes[400];
    srandom(4711);
    for (int round = 0; round < 5000; round++) {
        const struct sample *s = &samples[random() % SAMPLES];
        size_t n = s->size;
        memcpy(bytes, s->bytes, n);
        for (long k = random() % 4; k >= 0; k--) {
            size_t at = (size_t)random() % n;
            switch (random() % 4) {
            case 0: /* changes a byte to one that occurs in headers */
                bytes[at] = (unsigned char)" \r\n:.0159afPTU\x03\x04\x11\x21"[random() % 18];
                break;
            case 1: /* inserts a byte */
                memmove(bytes + at + 1, bytes + at, n++ - at);
                break;
            case 2: /* removes a byte */
                memmove(bytes + at, bytes + at + 1, --n - at);
                break;
            default:
                bytes[at] = (unsigned char)random();
                break;
            }
        }
        judge(bytes, n, round % 4 == 0);
    }
}
END_TEST

/* --- Writing --- */

static struct addr_peer peer(const char *text)
{
    struct addr_peer p = { .sa.sa_family = AF_UNSPEC };
    struct addr a;
    const char *why = NULL;
    if (strcmp(text, "unix:") == 0)
        p.sa.sa_family = AF_UNIX;
    else if (addr_parse(&a, text, &why) == 0)
        addr_peer_set(&p, &a.sa, a.len);
    return p;
}

/* clang-format off */
static const struct {
    const char *client, *destination;
    const char *line;
    const char *block; /* the bytes after the signature, in hexadecimal */
} written[] = {
    { "10.0.0.1:51234", "192.168.0.2:443", "PROXY TCP4 10.0.0.1 192.168.0.2 51234 443\r\n",
      "2111000c" "0a000001" "c0a80002" "c822" "01bb" },
    { "[2001:db8::1]:1", "[::1]:2", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
      "21210024" "20010db8000000000000000000000001" "00000000000000000000000000000001" "0001" "0002" },
    { "10.0.0.1:1", "[::1]:2", "PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n",
      "21210024" "00000000000000000000ffff0a000001" "00000000000000000000000000000001" "0001" "0002" },
    { "[::2]:1", "10.0.0.1:2", "PROXY TCP6 ::2 ::ffff:10.0.0.1 1 2\r\n",
      "21210024" "00000000000000000000000000000002" "00000000000000000000ffff0a000001" "0001" "0002" },
    { "10.0.0.1:1", "unix:", "PROXY TCP4 10.0.0.1 0.0.0.0 1 0\r\n",
      "2111000c" "0a000001" "00000000" "0001" "0000" },
    { "[::2]:1", "unix:", "PROXY TCP6 ::2 :: 1 0\r\n",
      "21210024" "00000000000000000000000000000002" "00000000000000000000000000000000" "0001" "0000" },
    { "-", "10.0.0.1:2", "PROXY UNKNOWN\r\n", "21000000" },
};
/* clang-format on */

#define WRITTEN ((int)(sizeof written / sizeof *written))

START_TEST(headers_are_written)
{
    struct addr_peer client = peer(written[_i].client);
    struct addr_peer destination = peer(written[_i].destination);
    unsigned char buf[PROXY_HEADER_WRITE_MAX];
    char hex[2 * PROXY_HEADER_WRITE_MAX + 1] = "";
    size_t n = proxy_header_write(buf, PROXY_HEADER_V1, &client, &destination);
    ck_assert_uint_eq(n, strlen(written[_i].line));
    ck_assert_mem_eq(buf, written[_i].line, n);
    n = proxy_header_write(buf, PROXY_HEADER_V2, &client, &destination);
    ck_assert_mem_eq(buf, SIGNATURE, 12);
    for (size_t i = 12; i < n; i++)
        sprintf(hex + 2 * (i - 12), "%02x", buf[i]);
    ck_assert_str_eq(hex, written[_i].block);
}
END_TEST

START_TEST(a_client_of_a_unix_socket_has_no_address)
{
    struct addr_peer client = peer("unix:");
    unsigned char buf[PROXY_HEADER_WRITE_MAX];
    size_t n = proxy_header_write(buf, PROXY_HEADER_V1, &client, &client);
    ck_assert_uint_eq(n, 15);
    ck_assert_mem_eq(buf, "PROXY UNKNOWN\r\n", n);
    n = proxy_header_write(buf, PROXY_HEADER_V2, &client, &client);
    ck_assert_uint_eq(n, PROXY_HEADER_WRITE_MAX);
    ck_assert_mem_eq(buf, SIGNATURE "\x21\x31\x00\xd8" ZEROS_216, n);
}
END_TEST

START_TEST(a_health_check_is_local)
{
    struct addr_peer own = peer("127.0.0.1:4000");
    struct addr_peer server = peer("127.0.0.1:80");
    unsigned char buf[PROXY_HEADER_WRITE_MAX];
    size_t n = proxy_header_write_local(buf, PROXY_HEADER_V2, &own, &server);
    ck_assert_uint_eq(n, 16);
    ck_assert_mem_eq(buf, SIGNATURE "\x20\x00\x00\x00", n);
    n = proxy_header_write_local(buf, PROXY_HEADER_V1, &own, &server);
    ck_assert_uint_eq(n, 40);
    ck_assert_mem_eq(buf, "PROXY TCP4 127.0.0.1 127.0.0.1 4000 80\r\n", n);
}
END_TEST

static struct addr_peer random_peer(void)
{
    struct addr_peer p = { .sa.sa_family = AF_UNSPEC };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = (in_port_t)random() };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = (in_port_t)random() };
    in.sin_addr.s_addr = (in_addr_t)(random() << 1 ^ random());
    for (int i = 0; i < 16; i++)
        in6.sin6_addr.s6_addr[i] = (uint8_t)(random() % 3 == 0 ? random() : 0);
    if (random() % 2 == 0)
        addr_peer_set(&p, (struct sockaddr *)&in, sizeof in);
    else
        addr_peer_set(&p, (struct sockaddr *)&in6, sizeof in6);
    return p;
}

START_TEST(a_written_header_parses_to_the_same_addresses)
{
    srandom(1147);
    for (int round = 0; round < 5000; round++) {
        struct addr_peer client = random_peer();
        struct addr_peer destination = random_peer();
        enum proxy_header_version v = round % 2 == 0 ? PROXY_HEADER_V1 : PROXY_HEADER_V2;
        unsigned char buf[PROXY_HEADER_WRITE_MAX];
        struct proxy_header h;
        size_t n = proxy_header_write(buf, v, &client, &destination);
        ck_assert_int_eq(parse_copy(&h, buf, n), PROXY_HEADER_DONE);
        ck_assert_uint_eq(h.length, n);
        ck_assert(h.has_addresses);
        ck_assert_mem_eq(&h.source, &client, sizeof client);
        ck_assert_mem_eq(&h.destination, &destination, sizeof destination);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proxy_header");
    TCase *t = tcase_create("proxy_header");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, a_header_gives_the_addresses_and_its_length, 0, SAMPLES);
    tcase_add_loop_test(t, a_partial_header_wants_more_bytes, 0, SAMPLES);
    tcase_add_loop_test(t, an_invalid_header_is_refused_at_its_first_wrong_byte, 0,
                        sizeof bad / sizeof *bad);
    tcase_add_test(t, a_line_has_at_most_107_bytes);
    tcase_add_test(t, a_block_has_at_most_4096_bytes);
    tcase_add_loop_test(t, every_changed_byte_is_judged_as_by_the_reference, 0, SAMPLES);
    tcase_add_test(t, random_bytes_are_judged_as_by_the_reference);
    tcase_add_loop_test(t, headers_are_written, 0, WRITTEN);
    tcase_add_test(t, a_client_of_a_unix_socket_has_no_address);
    tcase_add_test(t, a_health_check_is_local);
    tcase_add_test(t, a_written_header_parses_to_the_same_addresses);
    suite_add_tcase(s, t);
    return suite_main(s);
}
