#include "session/route.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Whether the client offers the protocol, a name of n bytes. */
static bool speaks(const struct hello *hello, const char *protocol, size_t n)
{
    const unsigned char *end = hello->alpn + hello->alpn_size;
    for (const unsigned char *at = hello->alpn; at < end; at += 1 + *at)
        if (*at == n && strncasecmp((const char *)at + 1, protocol, n) == 0)
            return true;
    return false;
}

static bool names(const struct hello *hello, const char *pattern, size_t n)
{
    return hostname_matches(hello->name, pattern, n);
}

typedef bool fits_fn(const struct hello *hello, const char *text, size_t n);

/* Whether one of the words matches, or there are no words. */
static bool fits_any(const struct hello *hello, const struct config_words *words, fits_fn *fits)
{
    for (size_t i = 0; i < words->count; i++)
        if (fits(hello, words->word[i], strlen(words->word[i])))
            return true;
    return words->count == 0;
}

struct pool *route_match(const struct route *routes, size_t count, const struct hello *hello)
{
    for (const struct route *r = routes; r < routes + count; r++)
        if (fits_any(hello, r->sni, names) && fits_any(hello, r->alpn, speaks))
            return r->pool;
    return NULL;
}
