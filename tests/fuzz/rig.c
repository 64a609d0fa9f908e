#include "rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "command/commands.h"
#include "control/config_change.h"
#include "control/health_checks.h"
#include "fuzz.h"
#include "metrics/web.h"

static char directory[4096];
static int here = -1; /* the current directory outside of a rig */

#define GLOBAL                                         \
    "log = /dev/null\naccess_log = off\nmax_pipes = 8" \
    "\n[admin]\nsocket = @/admin.sock\n"

/* No client connects, so no server is connected to. */
static const struct file {
    const char *name;
    const char *text; /* of which @ is the directory */
} files[] = {
    { "first.ini", "[global]\nworkers = 1\nmax_connections = 64\n" GLOBAL
                   "[listen front]\nbind = unix:@/front.sock\npool = main\n"
                   "[pool main]\nserver = 127.0.0.2:9 name=one\n"
                   "server = 127.0.0.3:9 name=two weight=2 backup\n"
                   "server = unix:@/three.sock name=three state=maint\n"
                   "max_queue = 3\nfallback = spare\ncheck = tcp\ncheck_interval = 1h\n"
                   "[pool spare]\nbalance = hash\nserver = [::1]:9 max_connections=1\n" },
    { "second.ini", "[global]\nworkers = 2\nmax_connections = 32\nlog_level = debug\n" GLOBAL
                    "[listen second]\nbind = unix:@/second.sock\npool = main\n"
                    "[listen front]\nbind = unix:@/front.sock\npool = other\n"
                    "[pool main]\nbalance = least_conn\nserver = 127.0.0.2:9 name=one weight=3\n"
                    "server = 127.0.0.4:9 name=four\n"
                    "[pool other]\nbalance = first\nserver = 127.0.0.5:9\n" },
    { "broken.ini", "[global]\nworkres = 2\nlog = @/log\n[listen \"front\\]\nbind = nowhere\n"
                    "[pool main]\nserver = 127.0.0.2:99999\nbalance = luck\n" },
};
#define FILES (sizeof files / sizeof *files)

/* ---- the directory ---- */

static void remove_directory(void)
{
    FUZZ_REQUIRE(chdir(directory) == 0);
    for (size_t i = 0; i < FILES; i++)
        unlink(files[i].name);
    FUZZ_REQUIRE(fchdir(here) == 0);
    rmdir(directory);
    close(here);
}

static void write_file(const struct file *f)
{
    FILE *out = fopen(f->name, "we");
    FUZZ_REQUIRE(out != NULL);
    for (const char *c = f->text; *c != '\0'; c++) {
        if (*c == '@')
            fputs(directory, out);
        else
            fputc(*c, out);
    }
    FUZZ_REQUIRE(fclose(out) == 0);
}

static void make_directory(void)
{
    const char *tmp = getenv("TMPDIR");
    here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_REQUIRE(here != -1);
    snprintf(directory, sizeof directory, "%s/zproxy-fuzz.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    FUZZ_REQUIRE(mkdtemp(directory) != NULL && chdir(directory) == 0);
    atexit(remove_directory);
    for (size_t i = 0; i < FILES; i++)
        write_file(&files[i]);
}

static void enter_directory(void)
{
    if (here == -1)
        make_directory();
    else
        FUZZ_REQUIRE(chdir(directory) == 0);
}

/* ---- the runtime ---- */

static void on_wake(void *arg)
{
    (void)arg;
}

static bool on_kept(void *arg, const struct pool *p)
{
    return config_change_uses_pool(arg, p);
}

static bool on_tidied(void *arg)
{
    return config_change_cleanup(arg);
}

static void set_up(struct rig *g, const struct config_global *conf)
{
    struct runtime *rt = &g->rt;
    const char *key = NULL;
    const struct worker_setup setup = {
        .splice = true,
        .pipe_size = (int)conf->fixed.pipe_size,
        .quota = &rt->quota,
        .grace = &rt->grace,
        .last_session_id = &rt->last_session_id,
        .finished = on_wake,
        .accept_paused = on_wake,
    };
    FUZZ_REQUIRE(uv_loop_init(&g->loop) == 0);
    rt->loop = &g->loop;
    rt->file = "second.ini";
    rt->descriptors = 1024;
    rt->pid_file.fd = -1;
    rt->notify.fd = -1;
    FUZZ_REQUIRE(privileges_find(&rt->privileges, conf, &key) == 0);
    grace_init(&rt->grace);
    listen_sockets_init(&rt->listen_sockets);
    LIST_INIT(&rt->listener_states);
    rt->accept_watch.listener_states = &rt->listener_states;
    LIST_INIT(&rt->generations);
    pools_init(&rt->pools, &g->loop, &rt->grace);
    names_init(&rt->names, &g->loop);
    rt->pools.kept = on_kept;
    rt->pools.cleaned_up = on_tidied;
    rt->pools.arg = rt;
    conn_limit_init(&rt->conn_limit, 0, on_wake, NULL);
    workers_init(&rt->workers, &setup, false);
}

static void open_log(const struct config_global *conf)
{
    const char *failed = NULL;
    const struct log_settings settings = {
        .log = conf->fixed.log,
        .access = conf->fixed.access_log,
        .level = conf->log_level,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
    };
    FUZZ_REQUIRE(log_open(&settings, &failed) == 0);
}

struct config *rig_begin_empty(struct rig *g)
{
    memset(g, 0, sizeof *g);
    enter_directory();
    struct config *conf = config_load("first.ini", stderr);
    FUZZ_REQUIRE(conf != NULL);
    open_log(&conf->global);
    set_up(g, &conf->global);
    FUZZ_REQUIRE(health_checks_open(&g->rt) == 0 && commands_open(&g->rt) == 0 &&
                 web_open(&g->rt) == 0);
    return conf;
}

void rig_begin(struct rig *g)
{
    struct config_change *config_change = NULL;
    struct config *conf = rig_begin_empty(g);
    FUZZ_REQUIRE(config_change_prepare(&g->rt, conf, stderr, &config_change) == 0);
    config_change_commit(config_change);
    FUZZ_REQUIRE(workers_start(&g->rt.workers) == 0);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_loop(struct rig *g)
{
    names_close(&g->rt.names);
    health_checks_close(&g->rt);
    uv_walk(&g->loop, close_handle, NULL);
    uv_run(&g->loop, UV_RUN_DEFAULT);
    FUZZ_REQUIRE(uv_loop_close(&g->loop) == 0);
}

static void free_generations(struct runtime *rt)
{
    struct generation *old;
    while ((old = LIST_FIRST(&rt->generations)) != NULL) {
        LIST_REMOVE(old, in_all);
        generation_free(old);
    }
    generation_free(rt->current);
}

void rig_end(struct rig *g)
{
    struct runtime *rt = &g->rt;
    workers_each(&rt->workers, worker_abort);
    workers_each(&rt->workers, worker_join);
    listen_sockets_unlink(&rt->listen_sockets);
    admin_unlink(rt->admin);
    close_loop(g);
    commands_fini(rt);
    web_fini(rt);
    workers_fini(&rt->workers);
    listen_sockets_fini(&rt->listen_sockets);
    grace_fini(&rt->grace);
    pools_fini(&rt->pools);
    free_generations(rt);
    pid_file_fini(&rt->pid_file);
    log_close();
    FUZZ_REQUIRE(fchdir(here) == 0);
}

int rig_connect(const struct rig *g)
{
    const struct addr *at = &runtime_conf(&g->rt)->admin.socket;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    FUZZ_REQUIRE(fd != -1 && connect(fd, &at->sa, at->len) == 0);
    return fd;
}
