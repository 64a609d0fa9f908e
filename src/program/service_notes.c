#include "program/service_notes.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "control/privileges.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

#define NO_RIGHTS 65534 /* stands for the user that DynamicUser= makes at the start */

/* ---- paths ---- */

/* sd_booted(3). */
static bool systemd_runs(void)
{
    return access("/run/systemd/system", F_OK) == 0;
}

static void print_hidden(const char *kind, const char *name, const char *key, const char *path,
                         FILE *out)
{
    const char *setting = sandbox_setting(path);
    if (setting != NULL)
        fprintf(out,
                "note: [%s%s%s] %s: %s: %s of the unit that comes with zproxy hides this directory "
                "from the service, and its files from others; use one in /run\n",
                kind, name == NULL ? "" : " ", name == NULL ? "" : name, key, path, setting);
}

static void print_hidden_socket(const char *kind, const char *name, const char *key,
                                const struct addr *a, FILE *out)
{
    if (a->len != 0 && addr_is_unix(a))
        print_hidden(kind, name, key, a->un.sun_path, out);
}

/* Within the service, ExecReload= runs zproxy -t: what it sees there is what zproxy sees. */
static bool is_visible(const struct addr *a)
{
    return getenv("INVOCATION_ID") != NULL && addr_is_unix(a) && access(a->un.sun_path, F_OK) == 0;
}

static void print_hidden_paths(const struct config *c, FILE *out)
{
    print_hidden_socket("admin", NULL, "socket", &c->admin.socket, out);
    print_hidden_socket("admin", NULL, "http", &c->admin.http, out);
    for (size_t i = 0; i < c->listen_count; i++)
        for (size_t j = 0; j < c->listen[i].bind_count; j++)
            if (c->listen[i].bind[j].addr_count > 0)
                print_hidden_socket("listen", c->listen[i].name, "bind",
                                    &c->listen[i].bind[j].addr[0], out);
    for (size_t i = 0; i < c->pool_count; i++) {
        const struct config_pool *p = &c->pool[i];
        for (size_t j = 0; j < p->server_count; j++)
            if (p->server[j].host == NULL && !is_visible(&p->server[j].addr))
                print_hidden_socket("pool", p->name, "server", &p->server[j].addr, out);
        if (p->file != NULL)
            print_hidden("pool", p->name, "file", p->file, out);
    }
}

/* ---- chroot ---- */

/* Where the files of a section are looked for by a reload. */
struct chroot_notes {
    const char *root;
    const char *kind;
    const char *name;
    FILE *out;
};

/* Relative paths begin at the root. */
static void print_outside(const struct chroot_notes *n, const char *key, const char *path)
{
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "%s/%s", n->root, path + (path[0] == '/'));
    if (access(inside, F_OK) == -1)
        fprintf(n->out,
                "note: [%s%s%s] %s: %s is not there, and reloads look for %s in the chroot\n",
                n->kind, n->name[0] == '\0' ? "" : " ", n->name, key, inside, path);
}

static void on_tls_file(void *arg, const struct tls_file *file)
{
    if (strcmp(file->path, "system") != 0) /* read again only if it is found and has changed */
        print_outside(arg, file->key, file->path);
}

static void print_chroot(const struct config *c, const char *file, FILE *out)
{
    struct chroot_notes n = { c->global.chroot, "global", "", out };
    if (n.root == NULL)
        return;
    print_outside(&n, "chroot", file);
    n.kind = "listen";
    for (size_t i = 0; i < c->listen_count; i++) {
        n.name = c->listen[i].name;
        tls_server_context_files(c->listen[i].tls_context, on_tls_file, &n);
    }
    n.kind = "pool";
    for (size_t i = 0; i < c->pool_count; i++) {
        n.name = c->pool[i].name;
        tls_client_context_files(c->pool[i].tls_context, on_tls_file, &n);
        if (c->pool[i].file != NULL)
            print_outside(&n, "file", c->pool[i].file);
    }
}

/* ---- files ---- */

/* The user that reads the files of the configuration later. */
struct reader {
    uid_t uid;
    gid_t gid;
    const char *name;
    const char *when; /* zproxy reads the files as this user */
};

/* Returns false if there is none: the user that checks the configuration reads it later, too. */
static bool reader_find(struct reader *r, const struct config_global *g)
{
    struct privileges privileges;
    const char *key = NULL;
    const struct passwd *user = NULL;
    if (privileges_find(&privileges, g, &key) < 0 || g->chroot != NULL)
        return false;
    if (privileges.uid != (uid_t)-1) {
        *r = (struct reader){ privileges.uid, privileges.gid, g->user,
                              "after the start, so that reloads fail" };
        return true;
    }
    if (!systemd_runs())
        return false;
    user = getpwnam("zproxy");
    *r = (struct reader){ NO_RIGHTS, NO_RIGHTS,
                          "DynamicUser=", "if it is started by the unit that comes with it" };
    if (user != NULL) {
        r->uid = user->pw_uid;
        r->gid = user->pw_gid;
        r->name = "zproxy";
    }
    return true;
}

static bool reader_become(const struct reader *r)
{
    int rc = r->uid == NO_RIGHTS ? setgroups(0, NULL) : initgroups(r->name, r->gid);
    return rc == 0 && setegid(r->gid) == 0 && seteuid(r->uid) == 0;
}

/* Loads the configuration again as that user: the errors are those of its rights. */
static void print_unreadable(const char *file, const struct reader *r, FILE *out)
{
    char *errors = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&errors, &size);
    if (to == NULL)
        return;
    struct config *c = reader_become(r) ? config_load_on_machine(file, to) : NULL;
    bool is_root = seteuid(0) == 0 && setegid(0) == 0;
    fclose(to);
    config_free(c);
    for (char *line = errors, *next; is_root && line != NULL && *line != '\0'; line = next) {
        next = line + strcspn(line, "\n");
        fprintf(out, "note: %.*s; zproxy reads it as user %s %s\n", (int)(next - line), line,
                r->name, r->when);
        next += *next == '\n';
    }
    free(errors);
}

void service_notes_print(const struct config *conf, const char *file, FILE *out)
{
    struct reader reader;
    if (systemd_runs())
        print_hidden_paths(conf, out);
    print_chroot(conf, file, out);
    if (geteuid() == 0 && reader_find(&reader, &conf->global))
        print_unreadable(file, &reader, out);
}
