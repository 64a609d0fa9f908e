#include "base/node.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNKNOWN "unknown"

static const struct node *_Atomic current;
static const struct node *all; /* names that are or were in use; control thread only */

/* As value_is_name() of base/value.h has it. */
static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("._-:", c) != NULL;
}

static void read_host(char name[NODE_NAME_MAX + 1])
{
    memset(name, 0, NODE_NAME_MAX + 1);
    if (gethostname(name, NODE_NAME_MAX + 1) < 0)
        name[0] = '\0';
    /* of a host that was given no name the kernel says "(none)" */
    if (name[0] == '\0' || strcmp(name, "(none)") == 0)
        memcpy(name, UNKNOWN, sizeof UNKNOWN);
    for (char *c = name; *c != '\0'; c++)
        if (!is_name_character(*c))
            *c = '_';
}

const struct node *node_prepare(const char *name)
{
    char host[NODE_NAME_MAX + 1];
    read_host(host);
    const char *wanted = name == NULL ? host : name;
    bool is_host = strcmp(wanted, host) == 0;
    for (const struct node *n = all; n != NULL; n = n->next)
        if (strcmp(n->name, wanted) == 0 && n->is_host == is_host)
            return n;
    struct node *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    memcpy(n->name, wanted, strnlen(wanted, NODE_NAME_MAX));
    n->is_host = is_host;
    n->next = all;
    all = n;
    return n;
}

void node_set(const struct node *node)
{
    /* release: a thread that reads the pointer sees the name */
    atomic_store_explicit(&current, node, memory_order_release);
}

const struct node *node_get(void)
{
    return atomic_load_explicit(&current, memory_order_acquire); /* see node_set() */
}

const char *node_name(void)
{
    const struct node *node = node_get();
    return node == NULL ? UNKNOWN : node->name;
}
