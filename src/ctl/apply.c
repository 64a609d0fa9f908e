#include "ctl/apply.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctl/config_file.h"

#define ANSWER_MS       60000 /* without an answer for so long, zproxy hangs: the reload has failed */
#define ANSWER_LEAST_MS 1000  /* also with a shorter timeout */
#define RECONNECT_MS    10000 /* for a zproxy that is being restarted meanwhile */

struct apply {
    struct ctl *ctl;
    const char *file; /* as the user named it */
    char *text;       /* its content */
    size_t size;
    json_int_t pid;      /* of zproxy, as it is numbered here */
    char *running;       /* the path of the configuration, as zproxy has it */
    char root[PATH_MAX]; /* of zproxy, if it has changed it; else "" */
    struct config_file config;
    bool same;        /* the content is that of the configuration file */
    uint64_t until;   /* of the timeout, on ctl_clock() */
    sigset_t signals; /* the mask before the replacement */
    bool has_blocked; /* it is in signals */
    json_t *lines;
    json_t *notes;
};

static uint64_t time_left(const struct apply *a)
{
    uint64_t now = ctl_clock();
    return a->until == CTL_NO_TIMEOUT ? a->until : a->until > now ? a->until - now : 0;
}

/* ---- the end ---- */

static void add_note(struct apply *a, const char *text)
{
    if (a->notes == NULL)
        a->notes = json_array();
    json_array_append_new(a->notes, json_string(text));
}

/* The prompt goes on after an apply: signals and requests are as before. */
static void release(struct apply *a)
{
    if (a->has_blocked)
        sigprocmask(SIG_SETMASK, &a->signals, NULL);
    control_client_set_timeout(&a->ctl->client, 0);
    config_file_close(&a->config);
    json_decref(a->notes);
    json_decref(a->lines);
    free(a->running);
    free(a->text);
}

/* Adds what is in all results, prints the result, and frees everything. */
static enum ctl_status apply_end(struct apply *a, enum ctl_status status, json_t *result)
{
    if (json_object_get(result, "changed") == NULL)
        json_object_set_new(result, "changed", json_false());
    if (a->config.path[0] != '\0')
        json_object_set_new(result, "file", json_string(a->config.path));
    if (a->notes != NULL)
        json_object_set(result, "notes", a->notes);
    release(a);
    return ctl_finish(a->ctl, status, result);
}

static enum ctl_status apply_refuse(struct apply *a, const char *why)
{
    return apply_end(a, CTL_FAILED, ctl_error("refused", "%s", why));
}

static enum ctl_status apply_no_answer(struct apply *a, int rc)
{
    const char *path = a->ctl->client.path;
    if (rc == -ETIMEDOUT && time_left(a) == 0)
        return apply_end(a, CTL_TIMED_OUT,
                         ctl_error("timeout", "%s: timed out, zproxy does not answer", path));
    if (rc == -ETIMEDOUT)
        return apply_end(a, CTL_NOT_CONNECTED,
                         ctl_error("unreachable", "%s: zproxy does not answer for %d seconds", path,
                                   ANSWER_MS / 1000));
    release(a);
    return ctl_fail_connection(a->ctl, rc);
}

/* A question before the replacement. Its answer may be given up, but not at once: with a timeout of
 * 0 only the lock is not waited for. */
static json_t *request(struct apply *a, const char *command, int *rc)
{
    uint64_t left = time_left(a);
    uint64_t limit = left < ANSWER_MS ? left : ANSWER_MS;
    control_client_set_timeout(&a->ctl->client, limit > ANSWER_LEAST_MS ? limit : ANSWER_LEAST_MS);
    return ctl_request(a->ctl, command, rc);
}

/* ---- what is to be applied, and where ---- */

static int read_all(struct apply *a, FILE *in)
{
    char part[4096];
    size_t n;
    int rc;
    FILE *out = open_memstream(&a->text, &a->size);
    if (out == NULL)
        return -ENOMEM;
    do {
        n = fread(part, 1, sizeof part, in);
        rc = n < sizeof part && ferror(in) ? -errno : 0;
        fwrite(part, 1, n, out);
    } while (n == sizeof part);
    return fclose(out) == 0 ? rc : -ENOMEM;
}

static int read_input(struct apply *a)
{
    if (strcmp(a->file, "-") == 0)
        return read_all(a, stdin);
    FILE *in = fopen(a->file, "re");
    if (in == NULL)
        return -errno;
    int rc = read_all(a, in);
    fclose(in);
    return rc;
}

static const char *shown_name(const struct apply *a)
{
    return strcmp(a->file, "-") == 0 ? "standard input" : a->file;
}

/* The target of a link of /proc/PID; "" if it cannot be read. */
static void read_process_link(json_int_t pid, const char *what, char target[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%lld/%s", (long long)pid, what);
    ssize_t n = readlink(link, target, PATH_MAX - 1);
    target[n > 0 ? n : 0] = '\0';
}

/* In another PID namespace zproxy has another number than here, which the kernel tells. */
static json_int_t process_id(const struct apply *a, const json_t *info)
{
    pid_t pid = control_client_peer(&a->ctl->client);
    return pid > 0 ? pid : json_integer_value(json_object_get(info, "pid"));
}

/* Whether zproxy has the same file there; it may have mounts of its own. True if that cannot be
 * found out. */
static bool is_same_file(json_int_t pid, const char *file, const char *path)
{
    char its[PATH_MAX + 64];
    struct stat here;
    struct stat there;
    snprintf(its, sizeof its, "/proc/%lld/%s/%s", (long long)pid, file[0] == '/' ? "root" : "cwd",
             file);
    if (stat(its, &there) == -1)
        return true;
    return stat(path, &here) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* Finds the configuration file as seen from here: zproxy may have another root directory, and its
 * path may be relative to its working directory. */
static bool locate(struct apply *a, const json_t *info, char path[2 * PATH_MAX])
{
    const char *file = json_string_value(json_object_get(info, "file"));
    json_int_t pid = process_id(a, info);
    char cwd[PATH_MAX] = "";
    a->pid = pid;
    if (file == NULL || strpbrk(file, " \t") != NULL)
        return false;
    a->running = strdup(file);
    read_process_link(pid, "root", a->root);
    if (strcmp(a->root, "/") == 0)
        a->root[0] = '\0';
    if (file[0] != '/')
        read_process_link(pid, "cwd", cwd);
    snprintf(path, 2 * PATH_MAX, "%s%s%s", file[0] == '/' ? a->root : cwd,
             file[0] == '/' ? "" : "/", file);
    return a->running != NULL;
}

/* The path of a file beside the configuration, as zproxy has it. */
static const char *zproxy_path(const struct apply *a, const char *path)
{
    size_t n = strlen(a->root);
    return strncmp(path, a->root, n) == 0 ? path + n : path;
}

/* ---- the check ---- */

/* Returns text with each `from` replaced by `to`. */
static json_t *replace_all(const char *text, const char *from, const char *to)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    if (stream == NULL)
        return NULL;
    for (const char *at; (at = strstr(text, from)) != NULL; text = at + strlen(from))
        fprintf(stream, "%.*s%s", (int)(at - text), text, to);
    fputs(text, stream);
    json_t *result = fclose(stream) == 0 ? json_string(out) : NULL;
    free(out);
    return result;
}

/* The user knows the file by the name that was given, not by that of the candidate. */
static void name_file(const struct apply *a, json_t *errors)
{
    size_t i = 0;
    json_t *line = NULL;
    json_array_foreach(errors, i, line)
    {
        json_array_set_new(errors, i,
                           replace_all(json_string_value(line), zproxy_path(a, a->config.candidate),
                                       shown_name(a)));
    }
}

static json_t *preview(struct apply *a, const char *path, int *rc)
{
    char *command = NULL;
    if (asprintf(&command, "preview %s as %s", path, a->running) < 0) {
        *rc = -ENOMEM;
        return NULL;
    }
    json_t *answer = request(a, command, rc);
    free(command);
    return answer;
}

static bool would_change(const json_t *answer)
{
    return json_is_true(json_object_get(answer, "would_change"));
}

/* ---- the reload ---- */

/* Asks until zproxy answers: a service manager may be starting it again. */
static json_t *request_reload(struct apply *a, int *rc)
{
    static const struct timespec pause = { .tv_nsec = 100000000 };
    uint64_t until = ctl_clock() + RECONNECT_MS;
    json_t *answer = NULL;
    control_client_set_timeout(&a->ctl->client, ANSWER_MS);
    while ((answer = ctl_request(a->ctl, "reload", rc)) == NULL && *rc != -ETIMEDOUT &&
           ctl_clock() < until) {
        nanosleep(&pause, NULL);
    }
    return answer;
}

/* The former file is in place again, and zproxy has never left its configuration: without this
 * reload, which changes nothing, the failed one would stay in the list of problems. */
static void clear_failure(struct apply *a)
{
    int rc = 0;
    json_t *before = preview(a, a->running, &rc);
    if (before != NULL && json_object_get(before, "errors") == NULL && !would_change(before))
        json_decref(ctl_request(a->ctl, "reload", &rc));
    json_decref(before);
}

static enum ctl_status roll_back(struct apply *a, enum ctl_status status, json_t *failure)
{
    json_t *errors = json_object_get(failure, "errors");
    if (a->same) {
        json_object_set_new(failure, "changed", json_false());
        return apply_end(a, CTL_FAILED, failure);
    }
    if (config_file_restore(&a->config) < 0) {
        json_array_append_new(errors, json_string(a->config.error));
        json_object_set_new(failure, "code", json_string("not_restored"));
        json_object_set_new(failure, "changed", json_true());
        return apply_end(a, CTL_NOT_RESTORED, failure);
    }
    if (status == CTL_ROLLED_BACK) {
        json_object_set_new(failure, "code", json_string("rolled_back"));
        clear_failure(a);
    }
    json_array_append_new(errors, json_sprintf("%s: not applied, the former file is in place again",
                                               a->config.path));
    json_object_set_new(failure, "changed", json_false());
    return apply_end(a, status, failure);
}

static enum ctl_status reload(struct apply *a)
{
    int rc = 0;
    json_t *answer = request_reload(a, &rc);
    if (answer == NULL)
        return roll_back(a, CTL_NOT_CONNECTED,
                         ctl_error("unreachable", "%s: no answer to the reload: %s",
                                   a->ctl->client.path,
                                   rc == -EPIPE ? "zproxy closed the connection" : strerror(-rc)));
    if (json_object_get(answer, "errors") != NULL)
        return roll_back(a, CTL_ROLLED_BACK, answer);
    json_decref(answer);
    config_file_remove_leftovers(&a->config);
    json_array_append_new(a->lines, json_sprintf("%s: applied", a->config.path));
    return apply_end(a, CTL_DONE, json_pack("{s:O, s:b}", "lines", a->lines, "changed", 1));
}

/* A signal between the replacement and the end of the reload would leave a new file that is not in
 * force. */
static void block_signals(struct apply *a)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTSTP);
    a->has_blocked = sigprocmask(SIG_BLOCK, &set, &a->signals) == 0;
}

/* ---- in order ---- */

static enum ctl_status commit(struct apply *a)
{
    block_signals(a);
    if (!a->same && config_file_replace(&a->config) < 0) {
        config_file_drop_candidate(&a->config);
        return apply_refuse(a, a->config.error);
    }
    return reload(a);
}

/* answer: of the preview, without errors. */
static enum ctl_status decide(struct apply *a, json_t *answer)
{
    bool changes = would_change(answer) || !a->same;
    a->lines = json_incref(json_object_get(answer, "lines"));
    if (!would_change(answer) && json_array_size(a->lines) == 1)
        json_array_clear(a->lines); /* "no difference" */
    json_decref(answer);
    if (changes && !a->ctl->check)
        return commit(a);
    if (a->ctl->check)
        config_file_drop_candidate(&a->config);
    else
        config_file_remove_leftovers(&a->config);
    json_array_append_new(a->lines, json_sprintf("%s: %s", a->config.path,
                                                 changes ? "would be applied" : "nothing changes"));
    return apply_end(a, CTL_DONE,
                     json_pack("{s:O, s:b}", "lines", a->lines, "changed", (int)changes));
}

static enum ctl_status check(struct apply *a)
{
    int rc = 0;
    if (!a->same && config_file_write(&a->config, a->text, a->size) < 0)
        return apply_refuse(a, a->config.error);
    json_t *answer = preview(a, a->same ? a->running : zproxy_path(a, a->config.candidate), &rc);
    json_t *errors = json_object_get(answer, "errors");
    if (answer != NULL && errors == NULL)
        return decide(a, answer);
    if (!a->same)
        config_file_drop_candidate(&a->config);
    if (answer == NULL)
        return apply_no_answer(a, rc);
    name_file(a, errors);
    return apply_end(a, CTL_FAILED, answer);
}

static enum ctl_status open_config(struct apply *a, const char *path)
{
    char leftovers[CONFIG_FILE_ERROR_MAX];
    int rc = config_file_open(&a->config, path, time_left(a));
    if (rc == -ETIMEDOUT)
        return apply_end(a, CTL_TIMED_OUT, ctl_error("timeout", "%s", a->config.error));
    if (rc < 0)
        return apply_refuse(a, a->config.error);
    if (strpbrk(a->config.path, " \t") != NULL)
        return apply_refuse(a, "the path of the configuration has a space");
    if (config_file_leftovers(&a->config, leftovers))
        add_note(a, leftovers);
    rc = config_file_has(&a->config, a->text, a->size);
    if (rc < 0)
        return apply_refuse(a, a->config.error);
    a->same = rc > 0;
    return check(a);
}

enum ctl_status apply_run(struct ctl *c, const char *file)
{
    struct apply a = { .ctl = c, .file = file, .config.dir = -1, .until = CTL_NO_TIMEOUT };
    char path[2 * PATH_MAX] = "";
    int rc = read_input(&a);
    if (c->timeout != CTL_NO_TIMEOUT)
        a.until = ctl_clock() + c->timeout;
    if (rc < 0)
        return apply_end(&a, CTL_FAILED,
                         ctl_error("usage", "%s: %s", shown_name(&a), strerror(-rc)));
    json_t *info = request(&a, "show info", &rc);
    if (info == NULL)
        return apply_no_answer(&a, rc);
    bool is_located = locate(&a, info, path);
    json_decref(info);
    if (!is_located)
        return apply_refuse(&a, "the path of the configuration is unknown or has a space");
    if (is_same_file(a.pid, a.running, path))
        return open_config(&a, path);
    return apply_end(
        &a, CTL_FAILED,
        ctl_error("refused",
                  "%s: zproxy has another file there, in a mount namespace of its own; try "
                  "nsenter -m -t %lld zproxyctl apply - <FILE",
                  path, (long long)a.pid));
}
