#include "config/probe.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"

/* --- Ports: counts that may be unset again --- */

static int probe_parse_port(const struct value *v, void *out, const char *text,
                            struct value_error *error)
{
    return value_kind_count.parse(v, out, text, error);
}

static void print_port(const struct value *v, const void *in, FILE *out)
{
    value_kind_count.print(v, in, out);
}

static void free_port(void *value)
{
    *(uint64_t *)value = 0;
}

const struct value_kind value_kind_check_port = { probe_parse_port, print_port, free_port };

/* --- Ranges --- */

/* Reads a number and moves on; false where there is none, or one that is too large. */
static bool probe_read_number(const char **text, unsigned *number)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 9)
        return false;
    *number = (unsigned)strtoul(*text, NULL, 10);
    *text += digits;
    return true;
}

/* LOW ["-" HIGH] */
static bool probe_read_range(const char *text, struct config_range *r)
{
    if (!probe_read_number(&text, &r->low))
        return false;
    r->high = r->low;
    if (*text == '\0')
        return true;
    return *text++ == '-' && probe_read_number(&text, &r->high) && *text == '\0';
}

static int probe_parse_range(const struct value *v, void *out, const char *text,
                             struct value_error *error)
{
    struct config_range r;
    const char *wrong = "not understood";
    if (probe_read_range(text, &r)) {
        if (r.low <= r.high && r.low >= v->min && r.high <= v->max) {
            *(struct config_range *)out = r;
            return 0;
        }
        wrong = r.low > r.high ? "the wrong way round" : "out of range";
    }
    return value_invalid(error, text, "%s, expected a number from %u to %u, or two as in 200-399",
                         wrong, (unsigned)v->min, (unsigned)v->max);
}

static void print_range(const struct value *v, const void *in, FILE *out)
{
    const struct config_range *r = in;
    (void)v;
    fprintf(out, "%u", r->low);
    if (r->high != r->low)
        fprintf(out, "-%u", r->high);
}

const struct value_kind value_kind_status_range = { probe_parse_range, print_range, NULL };

/* --- Parts of HTTP requests: bytes that cannot end them, or a line of them --- */

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    return true;
}

static int parse_http_path(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    (void)v;
    if (text[0] != '/')
        return value_invalid(error, text, "expected a path that begins with /");
    if (!is_printable(text) || strchr(text, '#') != NULL)
        return value_invalid(error, text,
                             "not a path of HTTP, expected visible ASCII, all other bytes and # "
                             "as %%HH");
    return value_strdup(out, text, error);
}

static int parse_http_host(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    (void)v;
    if (*text == '\0' || !is_printable(text) || strpbrk(text, "/?#@,") != NULL)
        return value_invalid(error, text,
                             "not a host of HTTP, expected one as in www.example or "
                             "www.example:8080");
    return value_strdup(out, text, error);
}

static void probe_print_text(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    fputs(*(char *const *)in, out);
}

static void probe_free_text(void *value)
{
    char **text = value;
    free(*text);
    *text = NULL;
}

const struct value_kind value_kind_http_path = { parse_http_path, probe_print_text,
                                                 probe_free_text };
const struct value_kind value_kind_http_host = { parse_http_host, probe_print_text,
                                                 probe_free_text };
