#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/hostname.h"
#include "fuzz.h"
#include "tls/certificate_names.h"

const char fuzz_name[] = "certificate_names";

/* An input is text: a line for each certificate, with its type (a digit) and its names; the last
 * line is the name in a hello. */
#define CERTIFICATES_MAX 8
#define NAMES_MAX        32

struct input {
    struct certificate certificate[CERTIFICATES_MAX];
    size_t count;
    char *name[NAMES_MAX]; /* of all certificates */
    size_t name_count;
    char *asked;
};

/* As certificate_load() leaves them: in lower case. */
static void parse_certificate(struct input *in, char *line)
{
    struct certificate *c = &in->certificate[in->count++];
    char *rest = NULL;
    *c = (struct certificate){ .type = (unsigned char)line[0] % CERTIFICATE_TYPES,
                               .name = in->name + in->name_count };
    if (line[0] == '\0')
        return;
    for (char *name = strtok_r(line + 1, " ", &rest); name != NULL && in->name_count < NAMES_MAX;
         name = strtok_r(NULL, " ", &rest)) {
        for (char *at = name; *at != '\0'; at++)
            *at = (char)tolower((unsigned char)*at);
        in->name[in->name_count++] = name;
        c->name_count++;
    }
}

static void parse(struct input *in, char *text)
{
    char *line = text;
    char *end;
    *in = (struct input){ .asked = text };
    while ((end = strchr(line, '\n')) != NULL && in->count < CERTIFICATES_MAX) {
        *end = '\0';
        parse_certificate(in, line);
        line = end + 1;
    }
    in->asked = line;
}

/* ---- the same, by looking at each of them ---- */

static size_t first_for(const struct input *in, enum certificate_type type, const char *name)
{
    for (size_t i = 0; i < in->count; i++)
        for (size_t j = 0; j < in->certificate[i].name_count; j++)
            if (in->certificate[i].type == type &&
                strcasecmp(in->certificate[i].name[j], name) == 0)
                return i;
    return CERTIFICATE_NONE;
}

static bool is_named(const struct input *in, const char *name)
{
    for (size_t i = 0; i < in->name_count; i++)
        if (strcasecmp(in->name[i], name) == 0)
            return true;
    return false;
}

/* "*.b.c" for "a.b.c"; "": none. */
static void make_wildcard(const char *name, char *wildcard, size_t size)
{
    const char *dot = strchr(name, '.');
    snprintf(wildcard, size, "%s%s", dot == NULL || dot == name ? "" : "*",
             dot == NULL || dot == name ? "" : dot);
}

static void check_found(const struct input *in, const struct certificate_names *names)
{
    char name[600], wildcard[601];
    size_t group = certificate_names_find(names, in->asked);
    size_t length = strlen(in->asked);
    if (length > 0 && in->asked[length - 1] == '.')
        length--;
    if (length == 0 || length > HOSTNAME_MAX) {
        FUZZ_REQUIRE(group == CERTIFICATE_NONE);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)length, in->asked);
    make_wildcard(name, wildcard, sizeof wildcard);
    FUZZ_REQUIRE((group != CERTIFICATE_NONE) == (is_named(in, name) || is_named(in, wildcard)));
    for (size_t type = 0; type < CERTIFICATE_TYPES && group != CERTIFICATE_NONE; type++) {
        size_t expected = first_for(in, type, name);
        if (expected == CERTIFICATE_NONE)
            expected = first_for(in, type, wildcard);
        FUZZ_REQUIRE(names->group[group].certificate[type] == expected);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in;
    struct certificate_names names;
    char *text = malloc(n + 1);
    FUZZ_REQUIRE(text != NULL);
    memcpy(text, bytes, n);
    text[n] = '\0';
    parse(&in, text);
    if (in.count > 0) {
        FUZZ_REQUIRE(certificate_names_init(&names, in.certificate, in.count) == 0);
        FUZZ_REQUIRE(names.group[0].certificate[in.certificate[0].type] == 0);
        check_found(&in, &names);
        certificate_names_fini(&names);
    }
    free(text);
    return 0;
}
