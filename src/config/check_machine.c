#include "config/check_machine.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/safe_open.h"

/* --- Users and groups --- */

static void check_user(const struct load *l, struct location at, const char *section,
                       const char *key, const char *user)
{
    if (user != NULL && getpwnam(user) == NULL)
        report_error(l->report, at, section, key,
                     "\"%s\": no such user, expected one of this machine", user);
}

static void check_group(const struct load *l, struct location at, const char *section,
                        const char *key, const char *group)
{
    if (group != NULL && getgrnam(group) == NULL)
        report_error(l->report, at, section, key,
                     "\"%s\": no such group, expected one of this machine", group);
}

static void check_global(const struct load *l)
{
    const struct config_global *g = &l->config->global;
    check_user(l, load_location(l, SECTION_GLOBAL, 0, "user"), "global", "user", g->user);
    check_group(l, load_location(l, SECTION_GLOBAL, 0, "group"), "global", "group", g->group);
}

/* The owners of unix sockets. */
static void check_owners(const struct load *l, size_t i)
{
    const struct config_listen *listen = &l->config->listen[i];
    const struct location *at = load_origin(l, SECTION_LISTEN, i, "bind")->item;
    char label[KEYS_LABEL_MAX];
    keys_section_label(&keys_sections[SECTION_LISTEN], listen, label);
    for (size_t item = 0; item < listen->bind_count; item++) {
        check_user(l, at[item], label, "bind", listen->bind[item].user);
        check_group(l, at[item], label, "bind", listen->bind[item].group);
    }
}

/* --- Files --- */

static const char *why_not_readable(const char *path)
{
    int fd = safe_open_read(path);
    if (fd < 0)
        return safe_open_strerror(fd);
    close(fd);
    return NULL;
}

static void check_answer(const struct load *l, size_t i)
{
    const struct config_pool *pool = &l->config->pool[i];
    const char *why = pool->file == NULL ? NULL : why_not_readable(pool->file);
    char label[KEYS_LABEL_MAX];
    if (why != NULL)
        report_error(l->report, load_location(l, SECTION_POOL, i, "file"),
                     keys_section_label(&keys_sections[SECTION_POOL], pool, label), "file",
                     "\"%s\": %s, expected a file that can be read", pool->file, why);
}

/* --- All together --- */

void check_machine(const struct load *l)
{
    if (l->exhausted)
        return;
    check_global(l);
    for (size_t i = 0; i < l->config->listen_count; i++)
        check_owners(l, i);
    for (size_t i = 0; i < l->config->pool_count; i++)
        check_answer(l, i);
}
