#include "session/hello.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define RECORD_HEAD      5 /* type, version, length */
#define RECORD_HANDSHAKE 22
#define RECORD_MAX       16384
#define VERSION_MAJOR    3 /* of every version of TLS, and of SSL 3.0 */
#define VERSION_MINOR    4

#define CLIENT_HELLO   1
#define HANDSHAKE_HEAD 4 /* type, length */
#define RANDOM_SIZE    32
#define SESSION_ID_MAX 32

#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN        16
#define NAME_TYPE_HOST        0

/* Reads the bytes of the handshake across its records. */
struct reader {
    const unsigned char *begin;
    const unsigned char *at;
    const unsigned char *end;
    size_t record; /* bytes left of the record */
};

/* In the functions below HELLO_DONE means that the part was read. */
static enum hello_result next_record(struct reader *r)
{
    const size_t n = (size_t)(r->end - r->at);
    const bool wrong = (n > 0 && r->at[0] != RECORD_HANDSHAKE) ||
                       (n > 1 && r->at[1] != VERSION_MAJOR) || (n > 2 && r->at[2] > VERSION_MINOR);
    if (wrong)
        return r->at == r->begin ? HELLO_NOT_TLS : HELLO_MALFORMED;
    if (n < RECORD_HEAD)
        return HELLO_MORE;
    r->record = (size_t)r->at[3] << 8 | r->at[4];
    r->at += RECORD_HEAD;
    return r->record > 0 && r->record <= RECORD_MAX ? HELLO_DONE : HELLO_MALFORMED;
}

/* Reads n bytes of a part with *left bytes. out may be NULL. */
static enum hello_result hello_take(struct reader *r, size_t *left, void *out, size_t n)
{
    unsigned char *to = out;
    if (n > *left)
        return HELLO_MALFORMED;
    *left -= n;
    while (n > 0) {
        enum hello_result rc = r->record > 0 ? HELLO_DONE : next_record(r);
        if (rc != HELLO_DONE)
            return rc;
        size_t part = r->record < n ? r->record : n;
        if (part > (size_t)(r->end - r->at))
            return HELLO_MORE;
        if (to != NULL) {
            memcpy(to, r->at, part);
            to += part;
        }
        r->at += part;
        r->record -= part;
        n -= part;
    }
    return HELLO_DONE;
}

static enum hello_result take_number(struct reader *r, size_t *left, size_t width, size_t *number)
{
    unsigned char bytes[3];
    enum hello_result rc = hello_take(r, left, bytes, width);
    *number = 0;
    for (size_t i = 0; rc == HELLO_DONE && i < width; i++)
        *number = *number << 8 | bytes[i];
    return rc;
}

/* Reads the length of a part, which must fit into the bytes that are left. */
static enum hello_result take_length(struct reader *r, size_t *left, size_t width, size_t *length)
{
    enum hello_result rc = take_number(r, left, width, length);
    return rc == HELLO_DONE && *length > *left ? HELLO_MALFORMED : rc;
}

/* Reads the length of a list, which must be all the bytes that are left. It may be empty. */
static enum hello_result take_list(struct reader *r, size_t *left)
{
    size_t length = 0;
    enum hello_result rc = take_number(r, left, 2, &length);
    return rc == HELLO_DONE && length != *left ? HELLO_MALFORMED : rc;
}

/* Skips a part that begins with its length. */
static enum hello_result hello_skip(struct reader *r, size_t *left, size_t width, size_t min,
                                    size_t max)
{
    size_t length = 0;
    enum hello_result rc = take_length(r, left, width, &length);
    if (rc != HELLO_DONE)
        return rc;
    return length < min || length > max ? HELLO_MALFORMED : hello_take(r, left, NULL, length);
}

/* --- Extensions --- */

/* Clients often send something that is no host name, against RFC 6066: an address, "host:443",
 * nothing. Servers accept that, so parsing continues without a name. */
static void normalize_name(char *name, size_t length)
{
    if (length > 0 && name[length - 1] == '.') /* a trailing dot makes no difference */
        length--;
    bool valid = hostname_is_valid(name, length);
    name[valid ? length : 0] = '\0';
    if (hostname_ends_in_number(name))
        name[0] = '\0';
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
}

static enum hello_result hello_take_name(struct reader *r, size_t *left, size_t length, char *name)
{
    if (length > HOSTNAME_MAX)
        return hello_take(r, left, NULL, length);
    enum hello_result rc = hello_take(r, left, name, length);
    if (rc == HELLO_DONE)
        normalize_name(name, length);
    else
        name[0] = '\0';
    return rc;
}

static enum hello_result take_server_names(struct reader *r, size_t left, char *name)
{
    bool named = false;
    if (left == 0)
        return HELLO_DONE;
    enum hello_result rc = take_list(r, &left);
    while (rc == HELLO_DONE && left > 0) {
        size_t type = 0;
        size_t length = 0;
        if ((rc = take_number(r, &left, 1, &type)) != HELLO_DONE ||
            (rc = take_length(r, &left, 2, &length)) != HELLO_DONE)
            break;
        bool wanted = type == NAME_TYPE_HOST && !named; /* the first one counts */
        rc = wanted ? hello_take_name(r, &left, length, name) : hello_take(r, &left, NULL, length);
        named |= wanted;
    }
    return rc;
}

static enum hello_result take_protocol(struct reader *r, size_t *left, struct hello *hello)
{
    size_t length = 0;
    unsigned char *to = NULL;
    enum hello_result rc = take_length(r, left, 1, &length);
    if (rc != HELLO_DONE)
        return rc;
    if (length > 0 && length < HELLO_ALPN_MAX - (size_t)hello->alpn_size) {
        hello->alpn[hello->alpn_size] = (unsigned char)length;
        to = &hello->alpn[hello->alpn_size + 1];
        hello->alpn_size = (uint16_t)(hello->alpn_size + 1 + length);
    }
    return hello_take(r, left, to, length);
}

static enum hello_result take_protocols(struct reader *r, size_t left, struct hello *hello)
{
    if (left == 0)
        return HELLO_DONE;
    enum hello_result rc = take_list(r, &left);
    while (rc == HELLO_DONE && left > 0)
        rc = take_protocol(r, &left, hello);
    return rc;
}

/* Which of the extensions that matter were seen: each may occur once. */
struct seen {
    bool name;
    bool alpn;
};

static enum hello_result take_extension(struct reader *r, size_t *left, struct hello *hello,
                                        struct seen *seen)
{
    size_t type = 0;
    size_t length = 0;
    enum hello_result rc = HELLO_DONE;
    if ((rc = take_number(r, left, 2, &type)) != HELLO_DONE ||
        (rc = take_length(r, left, 2, &length)) != HELLO_DONE)
        return rc;
    if (type != EXTENSION_SERVER_NAME && type != EXTENSION_ALPN)
        return hello_take(r, left, NULL, length);
    bool *again = type == EXTENSION_ALPN ? &seen->alpn : &seen->name;
    if (*again)
        return HELLO_MALFORMED;
    *again = true;
    *left -= length;
    return type == EXTENSION_ALPN ? take_protocols(r, length, hello)
                                  : take_server_names(r, length, hello->name);
}

/* --- The hello --- */

/* Reads the type and the length, the number of bytes that follow. */
static enum hello_result take_header(struct reader *r, size_t *left)
{
    size_t room = HANDSHAKE_HEAD;
    size_t type = 0;
    enum hello_result rc = take_number(r, &room, 1, &type);
    if (rc != HELLO_DONE)
        return rc;
    if (type != CLIENT_HELLO)
        return HELLO_MALFORMED;
    if ((rc = take_number(r, &room, 3, left)) != HELLO_DONE)
        return rc;
    return *left > HELLO_MAX - HANDSHAKE_HEAD ? HELLO_TOO_LONG : HELLO_DONE;
}

/* Skips everything before the extensions. */
static enum hello_result take_fixed_fields(struct reader *r, size_t *left)
{
    unsigned char version[2];
    enum hello_result rc = hello_take(r, left, version, sizeof version);
    if (rc != HELLO_DONE)
        return rc;
    if (version[0] != VERSION_MAJOR)
        return HELLO_MALFORMED;
    if ((rc = hello_take(r, left, NULL, RANDOM_SIZE)) != HELLO_DONE ||
        (rc = hello_skip(r, left, 1, 0, SESSION_ID_MAX)) != HELLO_DONE ||
        (rc = hello_skip(r, left, 2, 2, HELLO_MAX)) != HELLO_DONE || /* cipher suites */
        (rc = hello_skip(r, left, 1, 1, UINT8_MAX)) != HELLO_DONE)   /* compression methods */
        return rc;
    return HELLO_DONE;
}

static enum hello_result take_hello(struct reader *r, struct hello *hello)
{
    size_t left = 0;
    struct seen seen = { false, false };
    enum hello_result rc = HELLO_DONE;
    if ((rc = take_header(r, &left)) != HELLO_DONE ||
        (rc = take_fixed_fields(r, &left)) != HELLO_DONE)
        return rc;
    if (left == 0) /* a hello without extensions is valid */
        return HELLO_DONE;
    size_t length = 0;
    if ((rc = take_number(r, &left, 2, &length)) != HELLO_DONE)
        return rc;
    if (length != left)
        return HELLO_MALFORMED;
    while (rc == HELLO_DONE && left > 0 && !(seen.name && seen.alpn))
        rc = take_extension(r, &left, hello, &seen);
    return rc;
}

enum hello_result hello_parse(struct hello *hello, const void *bytes, size_t n)
{
    const size_t size = n < HELLO_STREAM_MAX ? n : HELLO_STREAM_MAX;
    struct reader r = { .begin = bytes, .at = bytes, .end = (const unsigned char *)bytes + size };
    hello->name[0] = '\0';
    hello->alpn_size = 0;
    enum hello_result rc = take_hello(&r, hello);
    return rc == HELLO_MORE && n >= HELLO_STREAM_MAX ? HELLO_TOO_LONG : rc;
}
