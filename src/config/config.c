#include "config/config.h"

#include <stdlib.h>

#include "config/check.h"
#include "config/check_machine.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/raw_text.h"
#include "config/report.h"
#include "config/variable.h"

static struct config *load_checked(const char *path, FILE *errors, bool on_this_machine)
{
    struct report report = { .out = errors };
    struct config *c = calloc(1, sizeof *c);
    struct load load;
    if (c == NULL) {
        fprintf(errors, "%s: out of memory\n", path);
        return NULL;
    }
    report.config = c;
    load_init(&load, c, &report);
    load_read(&load, path);
    check_config(&load);
    if (on_this_machine)
        check_machine(&load);
    load_fini(&load);
    if (report.count > 0) {
        config_free(c);
        return NULL;
    }
    return c;
}

struct config *config_load(const char *path, FILE *errors)
{
    return load_checked(path, errors, false);
}

struct config *config_load_on_machine(const char *path, FILE *errors)
{
    return load_checked(path, errors, true);
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t kind = 0; kind < SECTION_KINDS; kind++) {
        const struct section *s = &keys_sections[kind];
        for (size_t i = 0; i < keys_section_count(s, c); i++)
            keys_section_free(s, keys_section_at(s, c, i));
    }
    free(c->listen);
    free(c->pool);
    raw_text_free(c);
    variable_free(c);
    free(c);
}
