#include "balance/dns_answer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LEN   12
#define ALIASES_MAX  16 /* CNAMEs in a row; a ring of them ends here */
#define NAME_LEN_MAX 255

#define FLAG_RESPONSE  0x8000u
#define FLAG_TRUNCATED 0x0200u

/* The message, and how far it has been read. A read past its end reads zeros and says so. */
struct reader {
    const uint8_t *bytes;
    size_t len;
    size_t at;
    bool bad;
};

struct record {
    size_t owner; /* where its name begins */
    unsigned type;
    unsigned class;
    uint32_t ttl;
    size_t data; /* where its data begins, all of it within the message */
    size_t len;
};

static unsigned read_u8(struct reader *r)
{
    if (r->at >= r->len) {
        r->bad = true;
        return 0;
    }
    return r->bytes[r->at++];
}

static unsigned read_u16(struct reader *r)
{
    unsigned high = read_u8(r);
    return high << 8 | read_u8(r);
}

static uint32_t read_u32(struct reader *r)
{
    uint32_t high = read_u16(r);
    return high << 16 | read_u16(r);
}

static void skip(struct reader *r, size_t n)
{
    if (n > r->len - r->at)
        r->bad = true;
    else
        r->at += n;
}

/* ---- names ---- */

/* The next label of a name at *at, which moves behind it; compression is followed. A pointer leads
 * towards the begin of the message, and below every one before it (*floor): so they end. Returns
 * the label's length, 0 at the end of the name, or -1. */
static int next_label(const struct reader *r, size_t *at, size_t *floor, const uint8_t **label)
{
    while (*at < r->len) {
        unsigned length = r->bytes[*at];
        if (length < 0x40) {
            if (length >= r->len - *at)
                return -1;
            *label = r->bytes + *at + 1;
            *at += length + 1;
            return (int)length;
        }
        if (length < 0xc0 || r->len - *at < 2)
            return -1;
        size_t to = (length & 0x3fu) << 8 | r->bytes[*at + 1];
        if (to < HEADER_LEN || to >= *floor)
            return -1;
        *at = *floor = to;
    }
    return -1;
}

/* Whether there is a name at all; its letters do not matter. */
static bool is_name(const struct reader *r, size_t at)
{
    const uint8_t *label = NULL;
    size_t floor = at;
    size_t total = 1;
    int length = 0;
    while ((length = next_label(r, &at, &floor, &label)) > 0) {
        total += (size_t)length + 1;
        if (total > NAME_LEN_MAX)
            return false;
    }
    return length == 0;
}

/* Moves the reader behind a name, where what follows it begins. */
static size_t read_name(struct reader *r)
{
    size_t begin = r->at;
    if (r->bad || !is_name(r, begin)) {
        r->bad = true;
        return begin;
    }
    while (r->bytes[r->at] != 0 && r->bytes[r->at] < 0x40)
        r->at += r->bytes[r->at] + 1u;
    r->at += r->bytes[r->at] == 0 ? 1 : 2;
    return begin;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool same_label(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

/* Both are names, is_name() says so. */
static bool same_name(const struct reader *r, size_t a, size_t b)
{
    const uint8_t *label_a = NULL;
    const uint8_t *label_b = NULL;
    size_t floor_a = a;
    size_t floor_b = b;
    int length = 1;
    while (length > 0) {
        length = next_label(r, &a, &floor_a, &label_a);
        if (next_label(r, &b, &floor_b, &label_b) != length)
            return false;
        if (length > 0 && !same_label(label_a, label_b, (size_t)length))
            return false;
    }
    return length == 0;
}

/* Letters that names of hosts are made of (RFC 952), and the underscore that many have. */
static bool is_host_letter(uint8_t c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool append_label(char *text, size_t *used, const uint8_t *label, size_t n)
{
    if (*used + n + 2 > DNS_NAME_MAX)
        return false;
    if (*used > 0)
        text[(*used)++] = '.';
    for (size_t i = 0; i < n; i++) {
        if (!is_host_letter(label[i]))
            return false;
        text[(*used)++] = (char)lower(label[i]);
    }
    return true;
}

/* Writes the name of a host as text. False when it is none. */
static bool print_host(const struct reader *r, size_t at, char text[DNS_NAME_MAX])
{
    const uint8_t *label = NULL;
    size_t floor = at;
    size_t used = 0;
    int length = 0;
    while ((length = next_label(r, &at, &floor, &label)) > 0)
        if (!append_label(text, &used, label, (size_t)length))
            return false;
    text[used] = '\0';
    return length == 0;
}

/* ---- records ---- */

static struct record read_record(struct reader *r)
{
    struct record record = { .owner = read_name(r) };
    record.type = read_u16(r);
    record.class = read_u16(r);
    record.ttl = read_u32(r);
    record.len = read_u16(r);
    record.data = r->at;
    if (record.ttl > INT32_MAX) /* RFC 2181, 8 */
        record.ttl = 0;
    skip(r, record.len);
    return record;
}

static bool is_answer_to(const struct reader *r, const struct record *record, size_t name,
                         unsigned type)
{
    return record->type == type && record->class == DNS_CLASS_IN &&
           same_name(r, record->owner, name);
}

/* Reads the data of a record of type a->type, which fills its length exactly. */
static bool read_data(const struct reader *message, const struct record *record, enum dns_type type,
                      union dns_record *out)
{
    struct reader r = { message->bytes, message->len, record->data, false };
    const uint8_t *data = r.bytes + record->data;
    switch (type) {
    case DNS_A:
        if (record->len == sizeof out->a)
            memcpy(&out->a, data, sizeof out->a);
        return record->len == sizeof out->a;
    case DNS_AAAA:
        if (record->len == sizeof out->aaaa)
            memcpy(&out->aaaa, data, sizeof out->aaaa);
        return record->len == sizeof out->aaaa;
    case DNS_SRV:
        out->srv.priority = (uint16_t)read_u16(&r);
        out->srv.weight = (uint16_t)read_u16(&r);
        out->srv.port = (uint16_t)read_u16(&r);
        size_t target = read_name(&r);
        return !r.bad && r.at == record->data + record->len &&
               print_host(&r, target, out->srv.target);
    case DNS_CNAME:
        break;
    }
    return false;
}

static void note_ttl(struct dns_answer *a, const struct record *record)
{
    if (record->ttl < a->ttl)
        a->ttl = record->ttl;
}

/* The alias that name has, if any: where its target begins. */
static bool find_alias(const struct reader *message, unsigned count, size_t *name,
                       struct dns_answer *a)
{
    struct reader r = *message;
    for (unsigned i = 0; i < count; i++) {
        struct record record = read_record(&r);
        if (r.bad || !is_answer_to(&r, &record, *name, DNS_CNAME))
            continue;
        struct reader data = { r.bytes, record.data + record.len, record.data, false };
        size_t target = read_name(&data);
        if (data.bad)
            return false;
        note_ttl(a, &record);
        *name = target;
        return true;
    }
    return false;
}

static int read_records(struct reader *r, unsigned count, size_t name, struct dns_answer *a)
{
    for (unsigned i = 0; i < count; i++) {
        struct record record = read_record(r);
        if (r->bad)
            return -EBADMSG;
        if (!is_answer_to(r, &record, name, a->type))
            continue;
        if (a->count == DNS_RECORDS_MAX)
            return -E2BIG;
        if (!read_data(r, &record, a->type, &a->record[a->count]))
            return -EBADMSG;
        note_ttl(a, &record);
        a->count++;
    }
    return 0;
}

/* Reads the header and the question. Returns 0 or -errno; *count: records in the answer. */
static int read_question(struct reader *r, enum dns_type type, unsigned *count, size_t *name)
{
    skip(r, 2); /* its number is for who has asked */
    unsigned flags = read_u16(r);
    unsigned questions = read_u16(r);
    *count = read_u16(r);
    skip(r, 4);
    *name = read_name(r);
    unsigned asked = read_u16(r);
    unsigned class = read_u16(r);
    if (r->bad || questions != 1 || asked != (unsigned)type || class != DNS_CLASS_IN)
        return -EBADMSG;
    if ((flags & FLAG_RESPONSE) == 0)
        return -EBADMSG;
    return (flags & FLAG_TRUNCATED) != 0 ? -EMSGSIZE : 0;
}

int dns_answer_parse(struct dns_answer *a, const uint8_t *message, size_t len, enum dns_type type)
{
    struct reader r = { .bytes = message, .len = len };
    unsigned count = 0;
    size_t name = 0;
    *a = (struct dns_answer){ .type = type, .ttl = INT32_MAX };
    int rc = read_question(&r, type, &count, &name);
    if (rc < 0)
        return rc;
    size_t room = count < DNS_RECORDS_MAX ? count : DNS_RECORDS_MAX;
    a->record = calloc(room + 1, sizeof *a->record);
    if (a->record == NULL)
        return -ENOMEM;
    for (int i = 0; i < ALIASES_MAX && find_alias(&r, count, &name, a); i++)
        continue;
    rc = read_records(&r, count, name, a);
    if (rc < 0)
        dns_answer_free(a);
    return rc;
}

void dns_answer_free(struct dns_answer *a)
{
    free(a->record);
    a->record = NULL;
    a->count = 0;
}
