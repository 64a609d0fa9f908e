#include "base/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

static void json_put_ascii(FILE *out, unsigned char c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
        fprintf(out, "\\u%04x", c);
    else
        fputc(c, out);
}

static void json_put_string(FILE *out, const char *text)
{
    if (text == NULL) {
        fputs("null", out);
        return;
    }
    size_t left = strlen(text);
    fputc('"', out);
    while (left > 0) {
        size_t n = utf8_length(text, left);
        if (n == 1)
            json_put_ascii(out, (unsigned char)*text);
        else if (n == 0)
            fputs("\\ufffd", out);
        else
            fwrite(text, 1, n, out);
        n = n == 0 ? 1 : n;
        text += n;
        left -= n;
    }
    fputc('"', out);
}

static void json_begin_value(struct json_writer *w, const char *name)
{
    if (w->comma)
        fputc(',', w->out);
    w->comma = true;
    if (name == NULL)
        return;
    json_put_string(w->out, name);
    fputc(':', w->out);
}

static void json_open(struct json_writer *w, const char *name, char bracket)
{
    json_begin_value(w, name);
    fputc(bracket, w->out);
    w->comma = false;
}

static void json_close(struct json_writer *w, char bracket)
{
    fputc(bracket, w->out);
    w->comma = true;
}

void json_begin_object(struct json_writer *w, const char *name)
{
    json_open(w, name, '{');
}

void json_end_object(struct json_writer *w)
{
    json_close(w, '}');
}

void json_begin_array(struct json_writer *w, const char *name)
{
    json_open(w, name, '[');
}

void json_end_array(struct json_writer *w)
{
    json_close(w, ']');
}

void json_add_string(struct json_writer *w, const char *name, const char *text)
{
    json_begin_value(w, name);
    json_put_string(w->out, text);
}

void json_add_uint(struct json_writer *w, const char *name, uint64_t number)
{
    json_begin_value(w, name);
    fprintf(w->out, "%" PRIu64, number);
}

void json_add_limit(struct json_writer *w, const char *name, uint64_t limit)
{
    if (limit == 0)
        json_add_string(w, name, NULL);
    else
        json_add_uint(w, name, limit);
}

void json_add_double(struct json_writer *w, const char *name, double number)
{
    json_begin_value(w, name);
    fprintf(w->out, "%.6g", number);
}

void json_add_bool(struct json_writer *w, const char *name, bool flag)
{
    json_begin_value(w, name);
    fputs(flag ? "true" : "false", w->out);
}
