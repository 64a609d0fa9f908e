#include "json_text.h"

#include <string.h>

#include "base/utf8.h"

struct reading {
    const char *at;
    const char *end;
};

static bool value(struct reading *r, unsigned depth);

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void space(struct reading *r)
{
    while (r->at < r->end && is_one_of(*r->at, " \t\n\r"))
        r->at++;
}

static bool take(struct reading *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool word(struct reading *r, const char *text)
{
    while (*text != '\0')
        if (!take(r, *text++))
            return false;
    return true;
}

static bool digits(struct reading *r)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return r->at > from;
}

static bool number(struct reading *r)
{
    (void)take(r, '-');
    if (!take(r, '0') && !digits(r))
        return false;
    if (take(r, '.') && !digits(r))
        return false;
    if (!take(r, 'e') && !take(r, 'E'))
        return true;
    if (!take(r, '-'))
        (void)take(r, '+');
    return digits(r);
}

static bool escape(struct reading *r)
{
    if (r->at == r->end)
        return false;
    const char c = *r->at++;
    if (c != 'u')
        return is_one_of(c, "\"\\/bfnrt");
    for (int i = 0; i < 4; i++, r->at++)
        if (r->at == r->end || !is_one_of(*r->at, "0123456789abcdefABCDEF"))
            return false;
    return true;
}

static bool string(struct reading *r)
{
    if (!take(r, '"'))
        return false;
    while (r->at < r->end && *r->at != '"') {
        size_t n = utf8_length(r->at, (size_t)(r->end - r->at));
        if (n == 0 || (n == 1 && (unsigned char)*r->at < 0x20))
            return false;
        r->at += n;
        if (r->at[-1] == '\\' && !escape(r))
            return false;
    }
    return take(r, '"');
}

static bool member(struct reading *r, unsigned depth)
{
    space(r);
    if (!string(r))
        return false;
    space(r);
    return take(r, ':') && value(r, depth);
}

/* What is behind the opening bracket. */
static bool list(struct reading *r, char close, bool (*item)(struct reading *, unsigned),
                 unsigned depth)
{
    if (depth == 0)
        return false;
    space(r);
    if (take(r, close))
        return true;
    do {
        if (!item(r, depth - 1))
            return false;
    } while (take(r, ','));
    return take(r, close);
}

static bool bare_value(struct reading *r, unsigned depth)
{
    if (take(r, '{'))
        return list(r, '}', member, depth);
    if (take(r, '['))
        return list(r, ']', value, depth);
    if (r->at == r->end)
        return false;
    switch (*r->at) {
    case '"':
        return string(r);
    case 't':
        return word(r, "true");
    case 'f':
        return word(r, "false");
    case 'n':
        return word(r, "null");
    default:
        return number(r);
    }
}

static bool value(struct reading *r, unsigned depth)
{
    space(r);
    bool valid = bare_value(r, depth);
    space(r);
    return valid;
}

bool json_text_is_valid(const char *text, size_t n)
{
    struct reading r = { text, text + n };
    return value(&r, JSON_TEXT_DEPTH) && r.at == r.end;
}
