#include "balance/dns_answer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"

#define HEADER_LEN   12
#define ALIASES_MAX  16 /* CNAMEs in a row; ends a loop of them */
#define NAME_LEN_MAX 255

#define FLAG_RESPONSE  0x8000u
#define FLAG_TRUNCATED 0x0200u

/* A message and the read position. A read past its end returns 0 and sets bad. */
struct reader {
    const uint8_t *bytes;
    size_t len;
    size_t at;
    bool bad;
};

struct record {
    size_t owner; /* offset of its name */
    unsigned type;
    unsigned class;
    uint32_t ttl;
    size_t data; /* offset of its data, which lies within the message */
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

static void dns_answer_skip(struct reader *r, size_t n)
{
    if (n > r->len - r->at)
        r->bad = true;
    else
        r->at += n;
}

/* ---- names ---- */

/* Reads the next label of a name at *at and advances *at. Follows compression pointers; each must
 * point below all earlier ones (*floor), so a loop is impossible. Returns the length of the label,
 * 0 at the end of the name, or -1. */
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

/* Whether a well-formed name begins at `at`, of any characters. */
static bool dns_answer_is_name(const struct reader *r, size_t at)
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

/* Skips a name. Returns its offset. */
static size_t dns_answer_read_name(struct reader *r)
{
    size_t begin = r->at;
    if (r->bad || !dns_answer_is_name(r, begin)) {
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

/* Both must have passed dns_answer_is_name(). */
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

/* Characters of host names (RFC 952), and the underscore that many host names have. */
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

/* Writes a host name as text. Returns false if the name is no host name. */
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

/* Writes any name as printable text. */
static void print_bad_target(const struct reader *r, size_t at, char text[DNS_NAME_MAX])
{
    const uint8_t *label = NULL;
    size_t floor = at;
    size_t used = 0;
    int length = 0;
    while ((length = next_label(r, &at, &floor, &label)) > 0) {
        if (used > 0 && used < DNS_NAME_MAX - 1)
            text[used++] = '.';
        for (int i = 0; i < length && used < DNS_NAME_MAX - 1; i++)
            text[used++] = label[i] > ' ' && label[i] < 0x7f ? (char)label[i] : '?';
    }
    text[used] = '\0';
}

/* ---- records ---- */

static struct record read_record(struct reader *r)
{
    struct record record = { .owner = dns_answer_read_name(r) };
    record.type = read_u16(r);
    record.class = read_u16(r);
    record.ttl = read_u32(r);
    record.len = read_u16(r);
    record.data = r->at;
    if (record.ttl > INT32_MAX) /* RFC 2181, 8 */
        record.ttl = 0;
    dns_answer_skip(r, record.len);
    return record;
}

static bool is_answer_to(const struct reader *r, const struct record *record, size_t name,
                         unsigned type)
{
    return record->type == type && record->class == DNS_CLASS_IN &&
           same_name(r, record->owner, name);
}

/* Reads the data of an SRV record. bad_target: the target if it is no host name, otherwise "". */
static bool read_service(struct reader *r, size_t end, struct dns_service *out,
                         char bad_target[DNS_NAME_MAX])
{
    out->priority = (uint16_t)read_u16(r);
    out->weight = (uint16_t)read_u16(r);
    out->port = (uint16_t)read_u16(r);
    size_t target = dns_answer_read_name(r);
    bad_target[0] = '\0';
    if (r->bad || r->at != end)
        return false;
    if (!print_host(r, target, out->target) || hostname_ends_in_number(out->target))
        print_bad_target(r, target, bad_target);
    return true;
}

/* Reads the data of a record of that type, which must have exactly its length. */
static bool read_data(const struct reader *message, const struct record *record, enum dns_type type,
                      union dns_record *out, char bad_target[DNS_NAME_MAX])
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
        return read_service(&r, record->data + record->len, &out->srv, bad_target);
    case DNS_CNAME:
    case DNS_SOA:
        break;
    }
    return false;
}

static void note_ttl(struct dns_answer *a, const struct record *record)
{
    if (record->ttl < a->ttl)
        a->ttl = record->ttl;
}

/* Follows an alias of *name, if there is one: sets *name to the offset of its target. */
static bool find_alias(const struct reader *message, unsigned count, size_t *name,
                       struct dns_answer *a)
{
    struct reader r = *message;
    for (unsigned i = 0; i < count; i++) {
        struct record record = read_record(&r);
        if (r.bad || !is_answer_to(&r, &record, *name, DNS_CNAME))
            continue;
        struct reader data = { r.bytes, record.data + record.len, record.data, false };
        size_t target = dns_answer_read_name(&data);
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
    char bad_target[DNS_NAME_MAX] = "";
    for (unsigned i = 0; i < count; i++) {
        struct record record = read_record(r);
        if (r->bad)
            return -EBADMSG;
        if (!is_answer_to(r, &record, name, a->type))
            continue;
        if (a->count == DNS_RECORDS_MAX)
            return -E2BIG;
        if (!read_data(r, &record, a->type, &a->record[a->count], bad_target))
            return -EBADMSG;
        note_ttl(a, &record);
        if (bad_target[0] == '\0')
            a->count++;
        else if (a->bad_target_count++ == 0)
            memcpy(a->bad_target, bad_target, sizeof bad_target);
    }
    return 0;
}

/* ---- other sections ---- */

/* Reads the TTL of an answer without records from its SOA record (RFC 2308, section 5). */
static void read_negative_ttl(struct reader *r, unsigned count, struct dns_answer *a)
{
    for (unsigned i = 0; i < count && !r->bad; i++) {
        struct record record = read_record(r);
        if (r->bad || record.type != DNS_SOA || record.class != DNS_CLASS_IN)
            continue;
        struct reader data = { r->bytes, record.data + record.len, record.data, false };
        (void)dns_answer_read_name(&data);
        (void)dns_answer_read_name(&data);
        dns_answer_skip(&data, 16); /* serial, refresh, retry, expire */
        uint32_t minimum = read_u32(&data);
        if (data.bad)
            continue;
        a->negative_ttl = minimum < record.ttl ? minimum : record.ttl;
    }
}

static int compare_extra(const void *left, const void *right)
{
    const struct dns_extra *a = left;
    const struct dns_extra *b = right;
    int order = strcmp(a->host, b->host);
    return order != 0 ? order : (a->type > b->type) - (a->type < b->type);
}

/* Reads the addresses of hosts. Invalid records are skipped: their names can be queried. */
static int read_extra(struct reader *r, unsigned count, struct dns_answer *a)
{
    char bad_target[DNS_NAME_MAX] = "";
    size_t room = count < 2 * DNS_RECORDS_MAX ? count : 2 * DNS_RECORDS_MAX;
    a->extra = calloc(room + 1, sizeof *a->extra);
    if (a->extra == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count && a->extra_count < room; i++) {
        struct record record = read_record(r);
        struct dns_extra *e = &a->extra[a->extra_count];
        if (r->bad)
            break;
        if ((record.type != DNS_A && record.type != DNS_AAAA) || record.class != DNS_CLASS_IN)
            continue;
        e->type = (enum dns_type)record.type;
        e->ttl = record.ttl;
        if (print_host(r, record.owner, e->host) &&
            read_data(r, &record, e->type, &e->record, bad_target))
            a->extra_count++;
    }
    qsort(a->extra, a->extra_count, sizeof *a->extra, compare_extra);
    return 0;
}

/* Reads the sections after the answer, which may be missing. */
static int read_other_sections(struct reader *r, unsigned authority, unsigned additional,
                               struct dns_answer *a)
{
    if (a->count == 0 && a->bad_target_count == 0) {
        read_negative_ttl(r, authority, a);
        return 0;
    }
    if (a->type != DNS_SRV)
        return 0;
    for (unsigned i = 0; i < authority; i++)
        (void)read_record(r);
    return r->bad ? 0 : read_extra(r, additional, a);
}

/* ---- message ---- */

/* The number of records in each section. */
struct counts {
    unsigned answer;
    unsigned authority;
    unsigned additional;
};

/* Reads the header and the question. Returns 0 or -errno. */
static int read_question(struct reader *r, enum dns_type type, struct counts *n, size_t *name)
{
    dns_answer_skip(r, 2); /* the ID, which c-ares has checked */
    unsigned flags = read_u16(r);
    unsigned questions = read_u16(r);
    n->answer = read_u16(r);
    n->authority = read_u16(r);
    n->additional = read_u16(r);
    *name = dns_answer_read_name(r);
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
    struct counts n = { 0 };
    size_t name = 0;
    *a = (struct dns_answer){ .type = type, .ttl = INT32_MAX, .negative_ttl = DNS_TTL_NONE };
    int rc = read_question(&r, type, &n, &name);
    if (rc < 0)
        return rc;
    size_t room = n.answer < DNS_RECORDS_MAX ? n.answer : DNS_RECORDS_MAX;
    a->record = calloc(room + 1, sizeof *a->record);
    if (a->record == NULL)
        return -ENOMEM;
    for (int i = 0; i < ALIASES_MAX && find_alias(&r, n.answer, &name, a); i++)
        continue;
    rc = read_records(&r, n.answer, name, a);
    if (rc == 0)
        rc = read_other_sections(&r, n.authority, n.additional, a);
    if (rc < 0)
        dns_answer_free(a);
    return rc;
}

void dns_answer_free(struct dns_answer *a)
{
    free(a->record);
    a->record = NULL;
    a->count = 0;
    free(a->extra);
    a->extra = NULL;
    a->extra_count = 0;
}

int dns_answer_copy(struct dns_answer *to, const struct dns_answer *from)
{
    *to = *from;
    to->extra = NULL;
    to->extra_count = 0;
    to->record = calloc(from->count + 1, sizeof *to->record);
    if (to->record == NULL) {
        to->count = 0;
        return -ENOMEM;
    }
    if (from->count > 0)
        memcpy(to->record, from->record, from->count * sizeof *to->record);
    return 0;
}

/* The first additional record that is not before e. They are sorted. */
static size_t find_extra(const struct dns_answer *a, const struct dns_extra *e)
{
    size_t low = 0;
    size_t high = a->extra_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_extra(&a->extra[middle], e) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int dns_answer_extra(const struct dns_answer *a, const char *host, enum dns_type type,
                     struct dns_answer *out)
{
    struct dns_extra wanted = { .type = type };
    size_t n = strlen(host);
    *out = (struct dns_answer){ .type = type, .ttl = INT32_MAX, .negative_ttl = DNS_TTL_NONE };
    if (n >= sizeof wanted.host)
        return 0;
    memcpy(wanted.host, host, n + 1);
    const size_t first = find_extra(a, &wanted);
    size_t end = first;
    while (end < a->extra_count && compare_extra(&a->extra[end], &wanted) == 0)
        end++;
    if (end == first)
        return 0;
    out->record = calloc(end - first, sizeof *out->record);
    if (out->record == NULL)
        return -ENOMEM;
    for (size_t i = first; i < end; i++) {
        out->record[out->count++] = a->extra[i].record;
        if (a->extra[i].ttl < out->ttl)
            out->ttl = a->extra[i].ttl;
    }
    return (int)out->count;
}
