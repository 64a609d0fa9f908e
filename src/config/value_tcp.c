#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/value_kinds.h"

#define KERNEL "kernel"

/* --- The algorithm of congestion control --- */

#define CONGESTION_NAME_MAX 15 /* the kernel's TCP_CA_NAME_MAX - 1 */

static int parse_congestion(const struct value *v, void *out, const char *text,
                            struct value_error *error)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";
    char *copy = NULL;
    int rc = 0;
    (void)v;
    if (text[0] == '\0' || strlen(text) > CONGESTION_NAME_MAX ||
        text[strspn(text, allowed)] != '\0')
        return value_invalid(error, text,
                             "not the name of an algorithm, expected one such as cubic or bbr, "
                             "or kernel");
    if (strcmp(text, KERNEL) != 0)
        rc = value_strdup(&copy, text, error);
    if (rc == 0)
        *(char **)out = copy;
    return rc;
}

static void print_congestion(const struct value *v, const void *in, FILE *out)
{
    const char *name = *(char *const *)in;
    (void)v;
    fputs(name == NULL ? KERNEL : name, out);
}

static void free_congestion(void *value)
{
    char **name = value;
    free(*name);
    *name = NULL;
}

const struct value_kind value_kind_congestion = { parse_congestion, print_congestion,
                                                  free_congestion };

/* --- DSCP: a number or a name of IANA's registry, in lower case --- */

static const struct dscp_name {
    const char *name;
    unsigned value;
} dscp_names[] = {
    { "cs0", 0 },   { "cs1", 8 },   { "cs2", 16 },  { "cs3", 24 },  { "cs4", 32 },  { "cs5", 40 },
    { "cs6", 48 },  { "cs7", 56 },  { "af11", 10 }, { "af12", 12 }, { "af13", 14 }, { "af21", 18 },
    { "af22", 20 }, { "af23", 22 }, { "af31", 26 }, { "af32", 28 }, { "af33", 30 }, { "af41", 34 },
    { "af42", 36 }, { "af43", 38 }, { "ef", 46 },   { "va", 44 },   { "le", 1 },    { "be", 0 },
};
#define DSCP_NAME_COUNT (sizeof dscp_names / sizeof *dscp_names)

static const struct value dscp_number = VALUE_COUNT(0, 63, NULL);

/* Returns -1 if text is none of the names. */
static int find_dscp(const char *text)
{
    for (size_t i = 0; i < DSCP_NAME_COUNT; i++)
        if (strcasecmp(dscp_names[i].name, text) == 0)
            return (int)dscp_names[i].value;
    return -1;
}

static int parse_dscp(const struct value *v, void *out, const char *text, struct value_error *error)
{
    struct config_dscp *dscp = out;
    struct value_error ignored;
    uint64_t number = 0;
    int named = find_dscp(text);
    (void)v;
    if (strcmp(text, KERNEL) == 0)
        *dscp = (struct config_dscp){ .is_set = false };
    else if (named >= 0)
        *dscp = (struct config_dscp){ true, (unsigned)named };
    else if (value_parse(&dscp_number, &number, text, &ignored) == 0)
        *dscp = (struct config_dscp){ true, (unsigned)number };
    else
        return value_invalid(error, text,
                             "not understood, expected a number from 0 to 63, a name (cs0 to cs7, "
                             "af11 to af43, ef, va, le), or kernel");
    return 0;
}

/* The first name of a value is the one that is printed. */
static void print_dscp(const struct value *v, const void *in, FILE *out)
{
    const struct config_dscp *dscp = in;
    (void)v;
    for (size_t i = 0; i < DSCP_NAME_COUNT && dscp->is_set; i++)
        if (dscp_names[i].value == dscp->value) {
            fputs(dscp_names[i].name, out);
            return;
        }
    if (dscp->is_set)
        fprintf(out, "%u", dscp->value);
    else
        fputs(KERNEL, out);
}

const struct value_kind value_kind_dscp = { parse_dscp, print_dscp, NULL };
