#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hello_samples.h"
#include "session/hello.h"
#include "suite.h"

/* Bytes of a stream. */
struct bytes {
    size_t n;
    unsigned char at[40000];
};

static void add(struct bytes *b, const void *bytes, size_t n)
{
    ck_assert_uint_le(n, sizeof b->at - b->n);
    memcpy(b->at + b->n, bytes, n);
    b->n += n;
}

static void add_number(struct bytes *b, size_t number, size_t width)
{
    while (width-- > 0)
        b->at[b->n++] = (unsigned char)(number >> 8 * width);
}

static void add_hex(struct bytes *b, const char *hex)
{
    unsigned byte = 0;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        add_number(b, byte, 1);
}

static void sample(struct bytes *b, int i)
{
    b->n = 0;
    add_hex(b, hello_samples[i].hex);
}

static void copy(struct bytes *to, const struct bytes *b)
{
    to->n = 0;
    add(to, b->at, b->n);
}

/* The same handshake in records of at most size bytes. */
static void in_records(struct bytes *out, const struct bytes *b, size_t size)
{
    out->n = 0;
    for (size_t at = 5; at < b->n; at += size) {
        size_t part = b->n - at < size ? b->n - at : size;
        add(out, "\x16\x03\x01", 3);
        add_number(out, part, 2);
        add(out, b->at + at, part);
    }
}

/* Copies that end where the bytes end, so that a sanitizer reports reads beyond. */
static enum hello_result parse_copy(struct hello *h, const void *bytes, size_t n)
{
    char *copy = malloc(n + 1);
    memcpy(copy + 1, bytes, n);
    enum hello_result rc = hello_parse(h, copy + 1, n);
    free(copy);
    return rc;
}

/* Protocols, each with a comma behind it. */
static const char *protocols(const struct hello *h)
{
    static char text[2 * HELLO_ALPN_MAX];
    size_t n = 0;
    text[0] = '\0';
    for (size_t at = 0; at < h->alpn_size; at += 1 + h->alpn[at])
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s,", h->alpn[at], h->alpn + at + 1);
    return text;
}

static void expect_sample(const struct bytes *b, int i)
{
    struct hello h;
    ck_assert_int_eq(parse_copy(&h, b->at, b->n), HELLO_DONE);
    ck_assert_str_eq(h.name, hello_samples[i].name);
    ck_assert_str_eq(protocols(&h), hello_samples[i].alpn);
}

START_TEST(a_real_hello_is_understood)
{
    static struct bytes b;
    sample(&b, _i);
    expect_sample(&b, _i);
    add(&b, "\x17\x03\x03\x00\x05hello", 10);
    expect_sample(&b, _i);
}
END_TEST

START_TEST(a_hello_may_be_cut_into_any_records)
{
    static struct bytes b;
    static struct bytes records;
    sample(&b, _i);
    for (size_t size = 1; size < b.n; size++) {
        in_records(&records, &b, size);
        expect_sample(&records, _i);
    }
}
END_TEST

/* What is said of a part is MORE, or holds for the whole. */
static void expect_steady(const struct bytes *b)
{
    struct hello whole;
    struct hello part;
    enum hello_result rc = parse_copy(&whole, b->at, b->n);
    for (size_t n = 0; n < b->n; n++) {
        enum hello_result early = parse_copy(&part, b->at, n);
        ck_assert_msg(early == HELLO_MORE || early == rc, "%zu bytes: %d, then %d", n, early, rc);
        if (early != HELLO_DONE)
            continue;
        ck_assert_str_eq(part.name, whole.name);
        ck_assert_uint_eq(part.alpn_size, whole.alpn_size);
        ck_assert_mem_eq(part.alpn, whole.alpn, whole.alpn_size);
    }
}

START_TEST(a_hello_may_come_in_any_pieces)
{
    static struct bytes b;
    static struct bytes ones;
    static struct bytes tens;
    sample(&b, _i);
    in_records(&ones, &b, 1);
    in_records(&tens, &b, 10);
    expect_steady(&b);
    expect_steady(&ones);
    expect_steady(&tens);
}
END_TEST

START_TEST(the_answer_does_not_wait_for_what_does_not_matter)
{
    static struct bytes b;
    struct hello h;
    sample(&b, 0);
    static const unsigned char last[] = "http/1.1";
    const unsigned char *end = memmem(b.at, b.n, last, sizeof last - 1);
    size_t n = (size_t)(end - b.at) + sizeof last - 1;
    ck_assert_uint_lt(n + 100, b.n);
    ck_assert_int_eq(parse_copy(&h, b.at, n - 1), HELLO_MORE);
    ck_assert_int_eq(parse_copy(&h, b.at, n), HELLO_DONE);
    ck_assert_str_eq(h.name, "www.example.com");
}
END_TEST

/* clang-format off */
static const struct {
    const char *bytes;
    size_t size;
    enum hello_result answer; /* to all of it; to less it is MORE */
} openings[] = {
#define TEXT(bytes) bytes, sizeof(bytes) - 1
    { TEXT("G"), HELLO_NOT_TLS },
    { TEXT("\0"), HELLO_NOT_TLS },
    { TEXT("\x80"), HELLO_NOT_TLS }, /* SSL 2.0 */
    { TEXT("\x17"), HELLO_NOT_TLS },
    { TEXT("\x16\x02"), HELLO_NOT_TLS },
    { TEXT("\x16\x03\x05"), HELLO_NOT_TLS },
    { TEXT("\x16\x03\x00\x00\x00"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x01\x40\x01"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x01\x40\x00\x02"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x01\x40\x00\x01\x00\x3f\xfd"), HELLO_TOO_LONG },
    { TEXT("\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x02\x00"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x04\x00\x01\x01\x15"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x00"), HELLO_MALFORMED },
    { TEXT("\x16\x03\x01\x00\x06\x01\x00\x00\x01"), HELLO_MALFORMED },
};
/* clang-format on */

START_TEST(what_is_no_hello_is_known_at_once)
{
    struct hello h;
    const size_t size = openings[_i].size;
    ck_assert_int_eq(parse_copy(&h, openings[_i].bytes, size - 1), HELLO_MORE);
    ck_assert_int_eq(parse_copy(&h, openings[_i].bytes, size), openings[_i].answer);
}
END_TEST

/* --- Hellos made here --- */

struct parts {
    struct bytes extensions;
    bool no_extensions;
    size_t ciphers;    /* bytes */
    size_t session_id; /* bytes */
};

static void add_extension(struct parts *p, unsigned type, const void *bytes, size_t n)
{
    add_number(&p->extensions, type, 2);
    add_number(&p->extensions, n, 2);
    add(&p->extensions, bytes, n);
}

static void add_name(struct parts *p, const char *name, size_t n)
{
    struct bytes b = { .n = 0 };
    add_number(&b, n + 3, 2);
    add_number(&b, 0, 1);
    add_number(&b, n, 2);
    add(&b, name, n);
    add_extension(p, 0, b.at, b.n);
}

/* list: as it goes over the wire, without its length */
static void add_alpn(struct parts *p, const void *list, size_t n)
{
    struct bytes b = { .n = 0 };
    add_number(&b, n, 2);
    add(&b, list, n);
    add_extension(p, 16, b.at, b.n);
}

static void build(struct bytes *out, const struct parts *p)
{
    static const unsigned char zeros[20000];
    static struct bytes body;
    body.n = 0;
    out->n = 0;
    add(&body, "\x03\x03", 2);
    add(&body, zeros, 32);
    add_number(&body, p->session_id, 1);
    add(&body, zeros, p->session_id);
    add_number(&body, p->ciphers, 2);
    add(&body, zeros, p->ciphers);
    add(&body, "\x01\x00", 2);
    if (!p->no_extensions) {
        add_number(&body, p->extensions.n, 2);
        add(&body, p->extensions.at, p->extensions.n);
    }
    add(out, "\x16\x03\x01", 3);
    add_number(out, body.n + 4, 2);
    add_number(out, 1, 1);
    add_number(out, body.n, 3);
    add(out, body.at, body.n);
}

static enum hello_result answer(struct hello *h, const struct parts *p)
{
    static struct bytes b;
    build(&b, p);
    expect_steady(&b);
    return parse_copy(h, b.at, b.n);
}

START_TEST(a_hello_without_extensions_has_no_name)
{
    struct parts p = { .no_extensions = true, .ciphers = 2 };
    struct hello h;
    ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
    ck_assert_str_eq(h.name, "");
    ck_assert_uint_eq(h.alpn_size, 0);
    p.no_extensions = false;
    ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
}
END_TEST

START_TEST(what_is_no_name_of_a_host_is_no_name)
{
    static const struct {
        const char *sent;
        const char *name;
    } names[] = {
        { "a", "a" },
        { "EXAMPLE.com", "example.com" },
        { "example.com.", "example.com" },
        { "_sip.x-y.example", "_sip.x-y.example" },
        { "xn--bcher-kva.example", "xn--bcher-kva.example" },
        { "a1.2b", "a1.2b" },
        { "10.0.0.1", "" },
        { "10.0.0.1.", "" },
        { "0x7f000001", "" },
        { "127.1", "" },
        { "example.com:443", "" },
        { "[::1]", "" },
        { "", "" },
        { ".", "" },
        { "..", "" },
        { ".example.com", "" },
        { "example..com", "" },
        { "example.com..", "" },
        { "*.example.com", "" },
        { "exam ple.com", "" },
        { "b\xc3\xbc"
          "cher.example",
          "" },
        { "::1", "" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct parts p = { .ciphers = 2 };
        struct hello h;
        add_name(&p, names[i].sent, strlen(names[i].sent));
        add_alpn(&p, "\x02h2", 3);
        ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
        ck_assert_str_eq(h.name, names[i].name);
        ck_assert_str_eq(protocols(&h), "h2,");
    }
}
END_TEST

START_TEST(a_name_has_no_nul_and_at_most_255_bytes)
{
    struct hello h;
    char name[300];
    struct parts nul = { .ciphers = 2 };
    add_name(&nul, "a\0b", 3);
    ck_assert_int_eq(answer(&h, &nul), HELLO_DONE);
    ck_assert_str_eq(h.name, "");
    for (size_t n = 254; n <= 256; n++) {
        struct parts p = { .ciphers = 2 };
        for (size_t i = 0; i < n; i++)
            name[i] = i % 50 == 49 ? '.' : 'a';
        add_name(&p, name, n);
        ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
        ck_assert_uint_eq(strlen(h.name), n <= 255 ? n : 0);
    }
    for (size_t n = 63; n <= 64; n++) {
        struct parts p = { .ciphers = 2 };
        memset(name, 'b', n);
        add_name(&p, name, n);
        ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
        ck_assert_uint_eq(strlen(h.name), n == 63 ? n : 0);
    }
}
END_TEST

START_TEST(the_first_name_of_a_host_counts)
{
    struct parts p = { .ciphers = 2 };
    struct parts twice = { .ciphers = 2 };
    struct hello h;
    add_extension(&p, 0, "\x00\x0a\x07\x00\x02xx\x00\x00\x02yy", 12);
    ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
    ck_assert_str_eq(h.name, "yy");
    add_extension(&twice, 0, "\x00\x0a\x00\x00\x02xx\x00\x00\x02yy", 12);
    ck_assert_int_eq(answer(&h, &twice), HELLO_DONE);
    ck_assert_str_eq(h.name, "xx");
}
END_TEST

START_TEST(an_extension_may_be_there_once)
{
    struct parts p = { .ciphers = 2 };
    struct parts q = { .ciphers = 2 };
    struct parts other = { .ciphers = 2 };
    struct hello h;
    add_name(&p, "a", 1);
    add_name(&p, "a", 1);
    ck_assert_int_eq(answer(&h, &p), HELLO_MALFORMED);
    add_alpn(&q, "\x02h2", 3);
    add_alpn(&q, "\x02h2", 3);
    ck_assert_int_eq(answer(&h, &q), HELLO_MALFORMED);
    add_extension(&other, 0x2a2a, "", 0);
    add_extension(&other, 0x2a2a, "x", 1);
    ck_assert_int_eq(answer(&h, &other), HELLO_DONE);
}
END_TEST

START_TEST(protocols_beyond_the_room_are_left_out)
{
    unsigned char list[600];
    struct parts p = { .ciphers = 2 };
    struct parts full = { .ciphers = 2 };
    struct hello h;
    memset(list, 'x', sizeof list);
    list[0] = 200;
    list[201] = 55; /* one byte too many */
    list[257] = 54;
    list[312] = 2;
    add_alpn(&p, list, 315);
    ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
    ck_assert_uint_eq(h.alpn_size, 256);
    ck_assert_mem_eq(h.alpn, list, 201);
    ck_assert_mem_eq(h.alpn + 201, list + 257, 55);
    memset(list, 'x', sizeof list);
    list[0] = 255;
    list[256] = 3;
    add_alpn(&full, list, 260);
    ck_assert_int_eq(answer(&h, &full), HELLO_DONE);
    ck_assert_uint_eq(h.alpn_size, 256);
    ck_assert_mem_eq(h.alpn, list, 256);
}
END_TEST

START_TEST(an_empty_extension_list_or_protocol_is_none)
{
    static const struct {
        unsigned type;
        const char *bytes;
        size_t n;
    } empty[] = {
        { 0, TEXT("") },  { 0, TEXT("\0\0") },  { 0, TEXT("\0\3\0\0\0") },
        { 16, TEXT("") }, { 16, TEXT("\0\0") }, { 16, TEXT("\0\1\0") },
    };
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct parts p = { .ciphers = 2 };
        struct hello h;
        add_extension(&p, empty[i].type, empty[i].bytes, empty[i].n);
        if (empty[i].type == 0)
            add_alpn(&p, "\x02h2", 3);
        else
            add_name(&p, "example", 7);
        ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
        ck_assert_str_eq(h.name, empty[i].type == 0 ? "" : "example");
        ck_assert_str_eq(protocols(&h), empty[i].type == 0 ? "h2," : "");
    }
    struct parts p = { .ciphers = 2 };
    struct hello h;
    add_extension(&p, 16, TEXT("\0\4\2h2\0"));
    ck_assert_int_eq(answer(&h, &p), HELLO_DONE);
    ck_assert_str_eq(protocols(&h), "h2,");
}
END_TEST

START_TEST(a_list_that_does_not_fit_is_malformed)
{
    static const struct {
        unsigned type;
        const char *bytes;
        size_t n;
    } bad[] = {
        { 0, TEXT("\0") },          { 0, TEXT("\0\5\0\0\1a") }, { 0, TEXT("\0\3\0\0\1a") },
        { 0, TEXT("\0\4\0\0\2a") }, { 0, TEXT("\0\2\0\0") },    { 16, TEXT("\0\2\2h2") },
        { 16, TEXT("\0\4\2h2") },   { 16, TEXT("\0\3\3h2") },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct parts p = { .ciphers = 2 };
        struct hello h;
        add_extension(&p, bad[i].type, bad[i].bytes, bad[i].n);
        ck_assert_int_eq(answer(&h, &p), HELLO_MALFORMED);
    }
}
END_TEST

START_TEST(an_extension_must_fit_into_the_hello)
{
    static struct bytes b;
    struct parts p = { .ciphers = 2 };
    struct hello h;
    add_name(&p, "example", 7);
    build(&b, &p);
    ck_assert_int_eq(parse_copy(&h, b.at, b.n), HELLO_DONE);
    b.at[8]--;  /* of the handshake */
    b.at[51]--; /* of the extensions */
    ck_assert_int_eq(parse_copy(&h, b.at, b.n), HELLO_MALFORMED);
    b.at[51]++;
    ck_assert_int_eq(parse_copy(&h, b.at, b.n), HELLO_MALFORMED);
}
END_TEST

START_TEST(a_hello_has_at_most_16_kib)
{
    static struct bytes b;
    static struct bytes small;
    struct hello h;
    struct parts p = { .ciphers = 2 };
    static const unsigned char zeros[20000];
    /* 4 of the handshake, 2 + 32 + 1 + 4 + 2 + 2 in front of the extensions */
    size_t room = HELLO_MAX - 47;
    add_extension(&p, 21, zeros, room - 10 - 4);
    add_name(&p, "a", 1);
    build(&b, &p);
    ck_assert_uint_eq(b.n, 5 + HELLO_MAX);
    ck_assert_int_eq(parse_copy(&h, b.at, b.n - 1), HELLO_MORE);
    ck_assert_int_eq(parse_copy(&h, b.at, b.n), HELLO_DONE);
    ck_assert_str_eq(h.name, "a");
    in_records(&small, &b, 6);
    ck_assert_uint_le(small.n, HELLO_STREAM_MAX);
    ck_assert_int_eq(parse_copy(&h, small.at, small.n), HELLO_DONE);
    in_records(&small, &b, 5); /* with its heads, longer than the stream may be */
    ck_assert_int_eq(parse_copy(&h, small.at, HELLO_STREAM_MAX - 1), HELLO_MORE);
    ck_assert_int_eq(parse_copy(&h, small.at, HELLO_STREAM_MAX), HELLO_TOO_LONG);
    ck_assert_int_eq(parse_copy(&h, small.at, small.n), HELLO_TOO_LONG);
}
END_TEST

START_TEST(what_stands_in_front_has_its_bounds)
{
    static const struct {
        size_t session_id, ciphers;
        enum hello_result answer;
    } fronts[] = {
        { 0, 2, HELLO_DONE },        { 32, 200, HELLO_DONE },   { 33, 2, HELLO_MALFORMED },
        { 255, 2, HELLO_MALFORMED }, { 0, 0, HELLO_MALFORMED },
    };
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        struct parts p = { .ciphers = fronts[i].ciphers, .session_id = fronts[i].session_id };
        struct hello h;
        ck_assert_int_eq(answer(&h, &p), fronts[i].answer);
    }
}
END_TEST

/* --- A second opinion, on the handshake put together first --- */

struct cursor {
    const unsigned char *at;
    size_t left;
    bool failed;
};

static size_t number(struct cursor *c, size_t width)
{
    size_t value = 0;
    c->failed |= width > c->left;
    for (; !c->failed && width > 0; width--, c->left--)
        value = value * 256 + *c->at++;
    return value;
}

static struct cursor part(struct cursor *c, size_t n)
{
    struct cursor inner = { c->at, n, false };
    c->failed |= n > c->left;
    inner.failed = c->failed;
    if (!c->failed) {
        c->at += n;
        c->left -= n;
    }
    return inner;
}

static bool put_together(struct bytes *out, const unsigned char *b, size_t n)
{
    size_t need = 4;
    out->n = 0;
    for (size_t at = 0; out->n < need;) {
        if (n - at < 5 || b[at] != 22 || b[at + 1] != 3 || b[at + 2] > 4)
            return at < n && n - at >= 1 && out->n > 4; /* maybe enough for an answer */
        size_t size = (size_t)b[at + 3] * 256 + b[at + 4];
        if (size == 0 || size > 16384)
            return out->n > 4;
        at += 5;
        size_t there = n - at < size ? n - at : size;
        add(out, b + at, there);
        at += there;
        if (out->n >= 4)
            need = 4 + ((size_t)out->at[1] << 16 | (size_t)out->at[2] << 8 | out->at[3]);
        if (there < size)
            break;
    }
    return out->n > 4;
}

/* Whether n bytes, which are letters, digits, "-", "_" and ".", are the name of a host. */
static bool is_host(const char *name, size_t n)
{
    const char *last = name;
    for (const char *label = name;; label += strcspn(label, ".") + 1) {
        size_t length = strcspn(label, ".");
        if (length < 1 || length > 63)
            return false;
        last = label;
        if (label[length] == '\0')
            break;
    }
    bool hex = last[0] == '0' && last[1] == 'x';
    return n <= 255 && strspn(last + (hex ? 2 : 0), hex ? "0123456789abcdef" : "0123456789") <
                           strlen(last) - (hex ? 2 : 0);
}

/* What is no name of a host is none. */
static void second_text(struct cursor text, char *name)
{
    size_t n = text.left;
    name[0] = '\0';
    if (n == 0 || n > 255)
        return;
    if (text.at[n - 1] == '.')
        n--;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = text.at[i];
        if (c == '\0' || !isascii(c) || (!isalnum(c) && !strchr("-_.", c))) {
            name[0] = '\0';
            return;
        }
        name[i] = (char)tolower(c);
        name[i + 1] = '\0';
    }
    if (!is_host(name, n))
        name[0] = '\0';
}

static bool second_name(struct cursor ext, char *name)
{
    bool have = false;
    if (ext.left == 0)
        return true;
    struct cursor list = part(&ext, number(&ext, 2));
    if (ext.failed || ext.left != 0)
        return false;
    while (list.left > 0) {
        size_t type = number(&list, 1);
        struct cursor text = part(&list, number(&list, 2));
        if (list.failed)
            return false;
        if (type == 0 && !have)
            second_text(text, name);
        have |= type == 0;
    }
    return true;
}

static bool second_alpn(struct cursor ext, struct bytes *alpn)
{
    if (ext.left == 0)
        return true;
    struct cursor list = part(&ext, number(&ext, 2));
    if (ext.failed || ext.left != 0)
        return false;
    while (list.left > 0) {
        struct cursor protocol = part(&list, number(&list, 1));
        if (list.failed)
            return false;
        if (protocol.left > 0)
            add(alpn, protocol.at - 1, 1 + protocol.left);
    }
    return true;
}

static bool second_opinion(const unsigned char *b, size_t n, char *name, struct bytes *alpn)
{
    static struct bytes whole;
    bool have_name = false;
    bool have_alpn = false;
    name[0] = '\0';
    alpn->n = 0;
    if (n > HELLO_STREAM_MAX || !put_together(&whole, b, n) || whole.at[0] != 1)
        return false;
    struct cursor all = { whole.at + 1, whole.n - 1, false };
    size_t length = number(&all, 3);
    if (length > HELLO_MAX - 4)
        return false;
    if (all.left > length)
        all.left = length;
    size_t unread = length - all.left;
    struct cursor version = part(&all, 2);
    part(&all, 32);
    size_t session_id = number(&all, 1);
    part(&all, session_id);
    size_t ciphers = number(&all, 2);
    part(&all, ciphers);
    size_t compressions = number(&all, 1);
    part(&all, compressions);
    if (all.failed || version.at[0] != 3 || session_id > 32 || ciphers < 2 || compressions < 1)
        return false;
    if (all.left + unread == 0)
        return true;
    if (number(&all, 2) != all.left + unread || all.failed)
        return false;
    while (all.left + unread > 0 && !(have_name && have_alpn)) {
        size_t type = number(&all, 2);
        struct cursor ext = part(&all, number(&all, 2));
        if (all.failed || (type == 0 && have_name) || (type == 16 && have_alpn))
            return false;
        have_name |= type == 0;
        have_alpn |= type == 16;
        if ((type == 0 && !second_name(ext, name)) || (type == 16 && !second_alpn(ext, alpn)))
            return false;
    }
    return true;
}

static void judge(const struct bytes *b)
{
    static struct bytes alpn;
    char name[256];
    struct hello h;
    bool good = second_opinion(b->at, b->n, name, &alpn);
    ck_assert_int_eq(parse_copy(&h, b->at, b->n) == HELLO_DONE, good);
    if (!good)
        return;
    ck_assert_str_eq(h.name, name);
    ck_assert(alpn.n > HELLO_ALPN_MAX || alpn.n == h.alpn_size);
    ck_assert_mem_eq(h.alpn, alpn.at, alpn.n > HELLO_ALPN_MAX ? 0 : alpn.n);
}

START_TEST(every_byte_counts)
{
    static struct bytes b;
    static struct bytes records;
    sample(&b, _i);
    in_records(&records, &b, 60);
    for (size_t at = 0; at < records.n; at++)
        for (unsigned flip = 1; flip < 256; flip += flip < 8 ? 1 : 19) {
            records.at[at] ^= (unsigned char)flip;
            judge(&records);
            if (at % 7 == 0 && flip == 1)
                expect_steady(&records);
            records.at[at] ^= (unsigned char)flip;
        }
}
END_TEST

START_TEST(every_length_counts)
{
    static struct bytes b;
    static struct bytes other;
    sample(&b, _i);
    for (size_t at = 3; at + 1 < b.n; at++)
        for (int by = -300; by <= 300; by += by > -4 && by < 4 ? 1 : 37) {
            copy(&other, &b); /* as if a length of two bytes stood there */
            unsigned length = (unsigned)(other.at[at] * 256 + other.at[at + 1] + by);
            other.at[at] = (unsigned char)(length >> 8);
            other.at[at + 1] = (unsigned char)length;
            judge(&other);
        }
}
END_TEST

START_TEST(no_bytes_are_too_much)
{
    srandom(4711);
    for (int round = 0; round < 5000; round++) {
        static struct bytes b;
        static struct bytes whole;
        sample(&whole, (int)(random() % HELLO_SAMPLES));
        if (random() % 2 == 0)
            in_records(&b, &whole, 1 + (size_t)random() % 300);
        else
            copy(&b, &whole);
        for (long k = random() % 4; k >= 0 && b.n > 0; k--) {
            size_t at = (size_t)random() % b.n;
            switch (random() % 4) {
            case 0:
                memmove(b.at + at + 1, b.at + at, b.n - at);
                b.n++;
                break;
            case 1:
                b.n--;
                memmove(b.at + at, b.at + at + 1, b.n - at);
                break;
            default:
                b.at[at] = (unsigned char)(random() % 3 == 0 ? random() % 4 : random());
                break;
            }
        }
        judge(&b);
        if (round % 20 == 0)
            expect_steady(&b);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hello");
    TCase *t = tcase_create("hello");
    tcase_set_timeout(t, 240);
    tcase_add_loop_test(t, a_real_hello_is_understood, 0, HELLO_SAMPLES);
    tcase_add_loop_test(t, a_hello_may_be_cut_into_any_records, 0, HELLO_SAMPLES);
    tcase_add_loop_test(t, a_hello_may_come_in_any_pieces, 0, HELLO_SAMPLES);
    tcase_add_test(t, the_answer_does_not_wait_for_what_does_not_matter);
    tcase_add_loop_test(t, what_is_no_hello_is_known_at_once, 0,
                        sizeof openings / sizeof *openings);
    tcase_add_test(t, a_hello_without_extensions_has_no_name);
    tcase_add_test(t, what_is_no_name_of_a_host_is_no_name);
    tcase_add_test(t, a_name_has_no_nul_and_at_most_255_bytes);
    tcase_add_test(t, the_first_name_of_a_host_counts);
    tcase_add_test(t, an_extension_may_be_there_once);
    tcase_add_test(t, protocols_beyond_the_room_are_left_out);
    tcase_add_test(t, an_empty_extension_list_or_protocol_is_none);
    tcase_add_test(t, a_list_that_does_not_fit_is_malformed);
    tcase_add_test(t, an_extension_must_fit_into_the_hello);
    tcase_add_test(t, a_hello_has_at_most_16_kib);
    tcase_add_test(t, what_stands_in_front_has_its_bounds);
    tcase_add_loop_test(t, every_byte_counts, 0, HELLO_SAMPLES);
    tcase_add_loop_test(t, every_length_counts, 0, HELLO_SAMPLES);
    tcase_add_test(t, no_bytes_are_too_much);
    suite_add_tcase(s, t);
    return suite_main(s);
}
