#include "session/preread_info.h"

#include <stdlib.h>
#include <string.h>

struct preread_info *preread_info_copy(uint64_t ms, const char *name, const char *alpn)
{
    size_t name_size = strlen(name) + 1;
    size_t alpn_size = strlen(alpn) + 1;
    if (ms == 0 && name_size == 1 && alpn_size == 1)
        return NULL;
    struct preread_info *info = malloc(sizeof *info + name_size + alpn_size);
    if (info == NULL)
        return NULL;
    info->ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    info->alpn = info->text + name_size;
    memcpy(info->text, name, name_size);
    memcpy(info->text + name_size, alpn, alpn_size);
    return info;
}

/* A byte of a protocol's name that would end the text, or the name in the list, becomes "?". */
static void print_alpn(const struct hello *hello, char text[HELLO_ALPN_MAX + 1])
{
    char *to = text;
    for (size_t at = 0; at < hello->alpn_size;) {
        size_t end = at + 1 + hello->alpn[at];
        if (at > 0)
            *to++ = ',';
        for (at++; at < end && at < hello->alpn_size; at++)
            *to++ = hello->alpn[at] == '\0' || hello->alpn[at] == ',' ? '?' : (char)hello->alpn[at];
    }
    *to = '\0';
}

struct preread_info *preread_info_new(uint64_t ms, const struct hello *hello)
{
    char alpn[HELLO_ALPN_MAX + 1] = "";
    if (hello != NULL)
        print_alpn(hello, alpn);
    return preread_info_copy(ms, hello == NULL ? "" : hello->name, alpn);
}
