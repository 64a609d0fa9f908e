#include "config/route.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hostname.h"
#include "config/config.h"
#include "config/options.h"

/* --- Words with "|" between them --- */

static void free_words(void *value)
{
    struct config_words *w = value;
    for (size_t i = 0; i < w->count; i++)
        free(w->word[i]);
    free(w->word);
    *w = (struct config_words){ .word = NULL };
}

static void print_words(const struct value *v, const void *in, FILE *out)
{
    const struct config_words *w = in;
    (void)v;
    for (size_t i = 0; i < w->count; i++)
        fprintf(out, "%s%s", i == 0 ? "" : "|", w->word[i]);
}

static int add_word(struct config_words *w, const char *text, struct value_error *error)
{
    char **word = array_add(&w->word, &w->count, sizeof *word);
    if (word == NULL)
        return value_no_memory(error);
    return value_strdup(word, text, error);
}

/* Splits text; each word is read by `one`, which may change it. */
static int route_parse_words(struct config_words *out, const char *text, struct value_error *error,
                             int (*parse_one)(char *word, struct value_error *error))
{
    struct config_words w = { .word = NULL };
    char *copy = NULL;
    char *rest = NULL;
    char *word = NULL;
    int rc = value_strdup(&copy, text, error);
    if (rc < 0)
        return rc;
    for (rest = copy; rc == 0 && (word = strsep(&rest, "|")) != NULL;)
        if ((rc = parse_one(word, error)) == 0)
            rc = add_word(&w, word, error);
    free(copy);
    if (rc == 0)
        *out = w;
    else
        free_words(&w);
    return rc;
}

/* --- Names of servers (RFC 6066, 3): no addresses, no dot at the end --- */

static int route_read_name(char *name, struct value_error *error)
{
    const char *why = NULL;
    const char *host = strncmp(name, "*.", 2) == 0 ? name + 2 : name;
    size_t n = strlen(host);
    if (n > 0 && host[strspn(host, "0123456789.")] == '\0')
        return value_invalid(error, name, "no name, addresses are not sent in a hello");
    if (n > 0 && host[n - 1] == '.')
        return value_invalid(error, name, "a dot at the end, expected the name without it");
    if (strchr(host, '*') != NULL)
        return value_invalid(error, name,
                             "\"*\" stands for whole labels in front, expected *.example.com");
    if (!hostname_is_host(host, &why))
        return value_invalid(error, name, "%s", why);
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return 0;
}

static int parse_sni(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    return route_parse_words(out, text, error, route_read_name);
}

static const struct value_kind value_kind_sni = { parse_sni, print_words, free_words };

/* --- Protocols (RFC 7301, 3.1): 1 to 255 bytes, as they are registered --- */

static int read_protocol(char *name, struct value_error *error)
{
    size_t n = 0;
    while (name[n] > ' ' && name[n] < 0x7f)
        n++;
    if (n == 0 || n > 255 || name[n] != '\0')
        return value_invalid(error, name, "not a protocol, expected one as in h2 or http/1.1");
    return 0;
}

static int parse_alpn(const struct value *v, void *out, const char *text, struct value_error *error)
{
    (void)v;
    return route_parse_words(out, text, error, read_protocol);
}

static const struct value_kind value_kind_alpn = { parse_alpn, print_words, free_words };

/* --- All of it --- */

static const struct option list[] = {
    { "sni", { .kind = &value_kind_sni }, NULL, offsetof(struct config_route, sni) },
    { "alpn", { .kind = &value_kind_alpn }, NULL, offsetof(struct config_route, alpn) },
    { "pool", VALUE_NAME, NULL, offsetof(struct config_route, pool_name) },
};
static const struct options options = { list, sizeof list / sizeof *list, "sni=, alpn= or pool=" };

static void free_route(void *value)
{
    options_free(&options, value);
}

static int parse_route(const struct value *v, void *out, const char *text,
                       struct value_error *error)
{
    struct config_route r = { .pool_name = NULL };
    char *line = NULL;
    char *rest = NULL;
    int rc = value_strdup(&line, text, error);
    (void)v;
    if (rc < 0)
        return rc;
    rest = line;
    rc = options_parse(&options, &r, &rest, error);
    free(line);
    if (rc == 0 && r.pool_name == NULL)
        rc = value_invalid(error, text, "no pool, expected [sni=NAME] [alpn=PROTOCOL] pool=NAME");
    else if (rc == 0 && r.sni.count == 0 && r.alpn.count == 0)
        rc = value_invalid(error, text, "no condition, expected sni=, alpn= or both");
    if (rc == 0)
        *(struct config_route *)out = r;
    else
        free_route(&r);
    return rc;
}

/* As options, without the space in front of the first. */
static void print_route(const struct value *v, const void *in, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    (void)v;
    if (memory == NULL)
        return;
    options_print(&options, in, memory);
    if (fclose(memory) == 0)
        fputs(text + 1, out);
    free(text);
}

const struct value_kind value_kind_route = { parse_route, print_route, free_route };
