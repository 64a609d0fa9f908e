#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"
#include "config/options.h"
#include "config/value_kinds.h"

/* --- texts that may be unset, for which a word stands --- */

static void free_text(void *value)
{
    char **text = value;
    free(*text);
    *text = NULL;
}

static void print_text(const struct value *v, const void *in, FILE *out)
{
    const char *text = *(char *const *)in;
    fputs(text == NULL ? v->zero_word : text, out);
}

/* --- tls_ca: a path, or system --- */

static int parse_ca(const struct value *v, void *out, const char *text, struct value_error *error)
{
    static const struct value path = VALUE_PATH;
    if (strcmp(text, v->zero_word) == 0) {
        *(char **)out = NULL;
        return 0;
    }
    if (text[0] != '/')
        return value_invalid(error, text, "expected system, or a path that begins with /");
    return value_parse(&path, out, text, error);
}

const struct value_kind value_kind_tls_ca = { parse_ca, print_text, free_text };

/* --- tls_certificate: FILE [key=FILE] --- */

static const struct option certificate_option[] = {
    { "key", VALUE_PATH, NULL, offsetof(struct config_certificate, key) },
};
static const struct options certificate_options = { certificate_option, 1, "key=" };

static void free_certificate(void *value)
{
    struct config_certificate *c = value;
    options_free(&certificate_options, c);
    free(c->file);
    c->file = NULL;
}

static int parse_certificate_words(struct config_certificate *c, char *line,
                                   struct value_error *error)
{
    static const struct value path = VALUE_PATH;
    char *rest = NULL;
    char *word = strtok_r(line, " \t", &rest);
    if (word == NULL)
        return value_invalid(error, line, "empty, expected FILE [key=FILE]");
    int rc = value_parse(&path, &c->file, word, error);
    return rc < 0 ? rc : options_parse(&certificate_options, c, &rest, error);
}

static int parse_certificate(const struct value *v, void *out, const char *text,
                             struct value_error *error)
{
    struct config_certificate c = { .file = NULL };
    char *line = NULL;
    int rc = value_strdup(&line, text, error);
    (void)v;
    if (rc < 0)
        return rc;
    rc = parse_certificate_words(&c, line, error);
    free(line);
    if (rc == 0)
        *(struct config_certificate *)out = c;
    else
        free_certificate(&c);
    return rc;
}

static void print_certificate(const struct value *v, const void *in, FILE *out)
{
    const struct config_certificate *c = in;
    (void)v;
    fputs(c->file, out);
    options_print(&certificate_options, c, out);
}

const struct value_kind value_kind_certificate = { parse_certificate, print_certificate,
                                                   free_certificate };

/* --- tls_alpn: protocols (RFC 7301, 3.1) --- */

static int parse_protocol(const struct value *v, void *out, const char *text,
                          struct value_error *error)
{
    size_t n = 0;
    (void)v;
    while (text[n] > ' ' && text[n] < 0x7f)
        n++;
    if (n == 0 || n > 255 || text[n] != '\0')
        return value_invalid(error, text, "not a protocol, expected one as in h2 or http/1.1");
    return value_strdup(out, text, error);
}

static void print_protocol(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(char *const *)in, out);
}

const struct value_kind value_kind_protocol = { parse_protocol, print_protocol, free_text };

/* --- tls_ciphers, tls_ciphersuites, tls_groups: lists of OpenSSL's, or library --- */

#define LIST_LINE \
    120 /* bytes; a longer list is printed with spaces, where its line can be broken */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Removes white space around ":", where the list is continued on the next line. */
static void close_up(char *list)
{
    char *to = list;
    for (const char *from = list; *from != '\0'; from++) {
        const char *next = from + strspn(from, " \t");
        bool is_gap = is_space(*from) && (*next == ':' || (to > list && to[-1] == ':'));
        if (!is_gap)
            *to++ = *from;
    }
    *to = '\0';
}

static int parse_library_list(const struct value *v, void *out, const char *text,
                              struct value_error *error)
{
    char *list = NULL;
    if (strcmp(text, v->zero_word) == 0) {
        *(char **)out = NULL;
        return 0;
    }
    int rc = value_strdup(&list, text, error);
    if (rc < 0)
        return rc;
    close_up(list);
    if (list[0] == '\0' || strpbrk(list, " \t") != NULL) {
        free(list);
        return value_invalid(error, text, "not a list, expected names with : between them, or %s",
                             v->zero_word);
    }
    *(char **)out = list;
    return 0;
}

static void print_library_list(const struct value *v, const void *in, FILE *out)
{
    const char *list = *(char *const *)in;
    if (list == NULL || strlen(list) <= LIST_LINE) {
        print_text(v, in, out);
        return;
    }
    for (const char *c = list; *c != '\0'; c++) {
        fputc(*c, out);
        if (*c == ':' && strchr(":#;", c[1]) == NULL) /* a space would begin a comment there */
            fputc(' ', out);
    }
}

const struct value_kind value_kind_library_list = { parse_library_list, print_library_list,
                                                    free_text };

/* --- tls_name: a name, an address, or client --- */

static int parse_tls_name(const struct value *v, void *out, const char *text,
                          struct value_error *error)
{
    struct addr a;
    const char *why = NULL;
    (void)v;
    if (strcmp(text, "client") != 0 && value_parse_ip(&a, text, 0, error) < 0 &&
        !hostname_is_host(text, &why))
        return value_invalid(error, text, "%s; an IP address and client are allowed too", why);
    return value_strdup(out, text, error);
}

static void print_tls_name(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(char *const *)in, out);
}

const struct value_kind value_kind_tls_name = { parse_tls_name, print_tls_name, free_text };
