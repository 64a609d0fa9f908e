#include "starve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* The names are those of ld(1), --wrap. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static _Thread_local long left = -1;

void starve_after(long grants)
{
    left = grants;
}

static bool is_refused(void)
{
    if (left == 0)
        errno = ENOMEM;
    if (left <= 0)
        return left == 0;
    left--;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return is_refused() ? NULL : __real_strdup(text);
}
/* NOLINTEND(bugprone-reserved-identifier) */
