/* zproxyctl(8): options and exit status. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/safe_open.h"
#include "build.h"
#include "ctl/control_client.h"
#include "ctl/prompt.h"
#include "ctl/top.h"

enum status {
    CTL_DONE = 0,
    CTL_FAILED = 1,
    CTL_NOT_CONNECTED = 2,
};

static void ctl_usage(FILE *out)
{
    fprintf(out, "usage: zproxyctl [-s SOCKET] [-j] [COMMAND...]\n"
                 "  -s, --socket SOCKET  control socket (default: " CONTROL_CLIENT_SOCKET ")\n"
                 "  -j, --json           print answers as JSON\n"
                 "  -v, -V, --version    print the version\n"
                 "  -h, --help           print this help\n"
                 "Without COMMAND, commands are read from a prompt. \"zproxyctl help\" lists the\n"
                 "commands of zproxy; \"zproxyctl top\" shows a live view.\n");
}

/* Advice on an error of the connection. */
static const char *error_hint(int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        return ": is zproxy running, with this socket in [admin]? -s selects another socket";
    case EACCES:
    case EPERM:
        return ": run zproxyctl as root, or as a user that socket_mode in [admin] allows";
    case ENAMETOOLONG:
        return ", expected a path of at most 107 bytes";
    case EPIPE:
    case ECONNRESET:
        return ": is it still running? Its log has the reason";
    default:
        return "";
    }
}

static enum status ctl_status_of(const struct control_client *t, int rc)
{
    if (rc >= 0)
        return rc > 0 ? CTL_DONE : CTL_FAILED;
    fprintf(stderr, "zproxyctl: %s: %s%s\n", t->path,
            rc == -EPIPE ? "zproxy closed the connection" : strerror(-rc), error_hint(-rc));
    return CTL_NOT_CONNECTED;
}

/* Joins the words to one line. The file of "preview" becomes an absolute path, since zproxy has
 * another working directory. Returns NULL when out of memory. */
static char *ctl_join(char **words, int count)
{
    char *line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    for (int i = 0; i < count; i++) {
        char *path = i == 1 && strcmp(words[0], "preview") == 0 ? realpath(words[1], NULL) : NULL;
        fprintf(out, "%s%s", i == 0 ? "" : " ", path != NULL ? path : words[i]);
        free(path);
    }
    if (fclose(out) == 0)
        return line;
    free(line);
    return NULL;
}

/* Whether the answer to "health", a line or a record, says that it is healthy. */
static bool is_healthy(const char *answer, bool json)
{
    if (!json)
        return strcmp(answer, "ok\n") == 0;
    json_t *record = json_loads(answer, 0, NULL);
    bool healthy = json_is_true(json_object_get(record, "healthy"));
    json_decref(record);
    return healthy;
}

/* "health" has CTL_FAILED for an answer other than ok, and CTL_NOT_CONNECTED for an error. */
static enum status answer_status(const char *answer, bool json, bool is_health)
{
    if (control_client_has_failed(answer, json))
        return is_health ? CTL_NOT_CONNECTED : CTL_FAILED;
    return !is_health || is_healthy(answer, json) ? CTL_DONE : CTL_FAILED;
}

static enum status run_command(struct control_client *t, bool json, char **words, int count)
{
    char *answer = NULL;
    char *line = ctl_join(words, count);
    int rc = line == NULL ? -ENOMEM : control_client_request(t, json, line, &answer);
    free(line);
    if (rc < 0)
        return ctl_status_of(t, rc);
    control_client_print(answer, json);
    enum status status = answer_status(answer, json, strcmp(words[0], "health") == 0);
    free(answer);
    return status;
}

static enum status run_top(struct control_client *t)
{
    int rc = top_run(t);
    if (rc != -ENOTTY)
        return rc < 0 ? ctl_status_of(t, rc) : CTL_DONE;
    fprintf(stderr, "zproxyctl: top needs a terminal; \"show servers\" does not\n");
    return CTL_FAILED;
}

static enum status ctl_run(struct control_client *t, bool json, char **words, int count)
{
    if (count == 0)
        return ctl_status_of(t, prompt_run(t, json));
    if (count == 1 && strcmp(words[0], "top") == 0)
        return run_top(t);
    return run_command(t, json, words, count);
}

/* Returns the exit status: CTL_FAILED if the output could not be written. */
static enum status ctl_flush_stdout(enum status status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    fprintf(stderr, "zproxyctl: standard output: %s\n", strerror(errno));
    return status == CTL_DONE ? CTL_FAILED : status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "socket", required_argument, NULL, 's' },
                                             { "json", no_argument, NULL, 'j' },
                                             { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'v' },
                                             { NULL, 0, NULL, 0 } };
    const char *path = CONTROL_CLIENT_SOCKET;
    bool json = false;
    int option;
    int rc = safe_open_stdio();
    if (rc < 0) {
        fprintf(stderr, "zproxyctl: /dev/null: %s\n", strerror(-rc));
        return CTL_FAILED;
    }
    while ((option = getopt_long(argc, argv, "+s:jhvV", options, NULL)) != -1) {
        switch (option) {
        case 's':
            path = optarg;
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            ctl_usage(stdout);
            return ctl_flush_stdout(CTL_DONE);
        case 'v':
        case 'V':
            printf("zproxyctl %s\n", PACKAGE_VERSION);
            return ctl_flush_stdout(CTL_DONE);
        default: /* getopt_long(3) has printed the error */
            fprintf(stderr, "zproxyctl: try zproxyctl -h\n");
            return CTL_FAILED;
        }
    }
    struct control_client t;
    rc = control_client_open(&t, path);
    if (rc < 0)
        return ctl_status_of(&t, rc);
    enum status status = ctl_flush_stdout(ctl_run(&t, json, argv + optind, argc - optind));
    control_client_close(&t);
    return status;
}
