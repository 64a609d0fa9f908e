/* zproxyctl(8): options and exit status. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/safe_open.h"
#include "base/value.h"
#include "build.h"
#include "ctl/apply.h"
#include "ctl/await.h"
#include "ctl/control_client.h"
#include "ctl/ctl.h"
#include "ctl/prompt.h"
#include "ctl/top.h"

static void ctl_usage(FILE *out)
{
    fprintf(out, "usage: zproxyctl [-s SOCKET] [-j] [COMMAND...]\n"
                 "  -s, --socket SOCKET    control socket (default: " CONTROL_CLIENT_SOCKET ")\n"
                 "  -j, --json             print answers as JSON\n"
                 "      --wait             drain, shutdown: return when no session is left\n"
                 "      --timeout TIME     give up waiting after this time, with status 3\n"
                 "      --check            apply: change nothing, print what would change\n"
                 "      --detailed-exitcode  status 10 if something has changed\n"
                 "  -v, -V, --version      print the version\n"
                 "  -h, --help             print this help\n"
                 "Without COMMAND, commands are read from a prompt. \"zproxyctl help\" lists the\n"
                 "commands of zproxy; \"zproxyctl top\" shows a live view.\n");
}

/* Joins the words to one line. The files of "preview" become absolute paths, since zproxy has
 * another working directory. Returns NULL when out of memory. */
static char *ctl_join(char **words, int count)
{
    char *line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&line, &size);
    if (out == NULL)
        return NULL;
    for (int i = 0; i < count; i++) {
        bool is_file = (i == 1 || i == 3) && strcmp(words[0], "preview") == 0;
        char *path = is_file ? realpath(words[i], NULL) : NULL;
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
static enum ctl_status answer_status(const char *answer, bool json, bool is_health)
{
    if (control_client_has_failed(answer, json))
        return is_health ? CTL_NOT_CONNECTED : CTL_FAILED;
    return !is_health || is_healthy(answer, json) ? CTL_DONE : CTL_FAILED;
}

static enum ctl_status run_line(struct ctl *c, const char *line, bool is_health)
{
    char *answer = NULL;
    int rc = control_client_request(&c->client, c->json, line, &answer);
    if (rc < 0)
        return ctl_fail_connection(c, rc);
    control_client_print(answer, c->json);
    enum ctl_status status = answer_status(answer, c->json, is_health);
    free(answer);
    return status;
}

/* Whether a command has changed anything is only in JSON. */
static enum ctl_status run_detailed(struct ctl *c, const char *line, bool is_health)
{
    int rc = 0;
    json_t *answer = ctl_request(c, line, &rc);
    if (answer == NULL)
        return ctl_fail_connection(c, rc);
    if (json_object_get(answer, "changed") != NULL)
        return ctl_finish(c, json_object_get(answer, "errors") != NULL ? CTL_FAILED : CTL_DONE,
                          answer);
    json_decref(answer);
    return run_line(c, line, is_health); /* a command that changes nothing */
}

static enum ctl_status run_top(struct ctl *c)
{
    int rc = top_run(&c->client);
    if (rc != -ENOTTY)
        return rc < 0 ? ctl_fail_connection(c, rc) : CTL_DONE;
    return ctl_fail(c, CTL_FAILED, "usage", "top needs a terminal; \"show servers\" does not");
}

static enum ctl_status run_prompt(struct ctl *c)
{
    int rc = prompt_run(c);
    if (rc < 0)
        return ctl_fail_connection(c, rc);
    return rc > 0 ? CTL_DONE : CTL_FAILED;
}

/* "wait TARGET" without a time waits until it is drained. */
static bool is_wait(char **words, int count)
{
    return strcmp(words[0], "wait") == 0 &&
           count == (count > 1 && strcmp(words[1], "listener") == 0 ? 3 : 2);
}

/* line: the words joined. */
static enum ctl_status run_words(struct ctl *c, char **words, int count, const char *line)
{
    bool is_health = strcmp(words[0], "health") == 0;
    if (strcmp(words[0], "apply") == 0)
        return count == 2 ? apply_run(c, words[1])
                          : ctl_fail(c, CTL_FAILED, "usage", "usage: apply [--check] FILE");
    if (is_wait(words, count))
        return await_target(c, line + strlen("wait "));
    if (c->wait && strcmp(words[0], "drain") == 0 && count > 1)
        return await_drain(c, line, words[1]);
    if (c->wait && strcmp(words[0], "shutdown") == 0)
        return await_shutdown(c, line);
    if (count == 1 && strcmp(words[0], "top") == 0)
        return run_top(c);
    return c->detailed_exitcode ? run_detailed(c, line, is_health) : run_line(c, line, is_health);
}

/* Options of some commands; with others the user would rely on something that is not done. */
static const char *wrong_option(const struct ctl *c, char **words, int count)
{
    const char *command = count > 0 ? words[0] : "";
    bool is_apply = strcmp(command, "apply") == 0;
    if (c->wait && strcmp(command, "drain") != 0 && strcmp(command, "shutdown") != 0)
        return "--wait: expected with drain or shutdown only";
    if (c->check && !is_apply)
        return "--check: expected with apply only";
    if (c->timeout != CTL_NO_TIMEOUT && !c->wait && !is_apply && strcmp(command, "wait") != 0)
        return "--timeout: expected with --wait, wait or apply only";
    return NULL;
}

static enum ctl_status ctl_run(struct ctl *c, char **words, int count)
{
    const char *wrong = wrong_option(c, words, count);
    if (wrong != NULL)
        return ctl_fail(c, CTL_FAILED, "usage", "%s", wrong);
    if (count == 0)
        return run_prompt(c);
    char *line = ctl_join(words, count);
    enum ctl_status status =
        line == NULL ? ctl_finish(c, CTL_FAILED, NULL) : run_words(c, words, count, line);
    free(line);
    return status;
}

/* Returns the exit status: CTL_FAILED if the output could not be written. */
static enum ctl_status ctl_flush_stdout(enum ctl_status status)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    fprintf(stderr, "zproxyctl: standard output: %s\n", strerror(errno));
    return status == CTL_DONE || status == CTL_CHANGED ? CTL_FAILED : status;
}

#define SHORT_OPTIONS ":s:jhvV" /* ':': a missing value is reported as such */

enum {
    OPTION_WAIT = 256,
    OPTION_TIMEOUT,
    OPTION_CHECK,
    OPTION_DETAILED,
};

static bool read_timeout(struct ctl *c, const char *text)
{
    static const struct value time = VALUE_DURATION(0, 365 * VALUE_DAY, NULL);
    struct value_error error;
    if (value_parse(&time, &c->timeout, text, &error) == 0)
        return true;
    (void)ctl_fail(c, CTL_FAILED, "usage", "--timeout: %s", error.text);
    return false;
}

/* Prints what is wrong with an option. getopt_long(3) has put its letter into optopt, 0 for an
 * unknown long option. */
static void bad_option(const struct ctl *c, int result, const char *word)
{
    const char letter[] = { '-', (char)optopt, '\0' };
    bool is_long = strncmp(word, "--", 2) == 0;
    const char *what = result == ':'            ? "no value, expected one"
                       : is_long && optopt != 0 ? "takes no value"
                                                : "no such option";
    (void)ctl_fail(c, CTL_FAILED, "usage", "%.*s: %s; try zproxyctl -h",
                   is_long ? (int)strcspn(word, "=") : 2, is_long ? word : letter, what);
}

/* Whether JSON is wanted is known before an error of another option is printed. */
static bool has_json_option(char **argv)
{
    while (*++argv != NULL && strcmp(*argv, "--") != 0)
        if (strcmp(*argv, "--json") == 0 || strcmp(*argv, "-j") == 0)
            return true;
    return false;
}

static const struct option long_options[] = {
    { "socket", required_argument, NULL, 's' },
    { "json", no_argument, NULL, 'j' },
    { "wait", no_argument, NULL, OPTION_WAIT },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "check", no_argument, NULL, OPTION_CHECK },
    { "detailed-exitcode", no_argument, NULL, OPTION_DETAILED },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'v' },
    { NULL, 0, NULL, 0 },
};

/* Returns false if the program ends with *status. */
static bool read_option(struct ctl *c, int option, const char *word, enum ctl_status *status)
{
    switch (option) {
    case 's':
        c->client.path = optarg;
        return true;
    case 'j':
        c->json = true;
        return true;
    case OPTION_WAIT:
        c->wait = true;
        return true;
    case OPTION_CHECK:
        c->check = true;
        return true;
    case OPTION_DETAILED:
        c->detailed_exitcode = true;
        return true;
    case OPTION_TIMEOUT:
        return read_timeout(c, optarg);
    case 'h':
        ctl_usage(stdout);
        *status = ctl_flush_stdout(CTL_DONE);
        return false;
    case 'v':
    case 'V':
        printf("zproxyctl %s\n", PACKAGE_VERSION);
        *status = ctl_flush_stdout(CTL_DONE);
        return false;
    }
    bad_option(c, option, word);
    return false;
}

/* Options may follow the command. Returns as read_option(). */
static bool read_options(struct ctl *c, int argc, char **argv, enum ctl_status *status)
{
    int option;
    bool goes_on = true;
    *status = CTL_FAILED;
    opterr = 0;
    while (goes_on && (option = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1)
        goes_on = read_option(c, option, argv[optind - 1], status);
    return goes_on;
}

int main(int argc, char **argv)
{
    struct ctl c = { .client = { .path = CONTROL_CLIENT_SOCKET }, .timeout = CTL_NO_TIMEOUT };
    enum ctl_status status = CTL_FAILED;
    int rc = safe_open_stdio();
    if (rc < 0) {
        fprintf(stderr, "zproxyctl: /dev/null: %s\n", strerror(-rc));
        return CTL_FAILED;
    }
    c.json = has_json_option(argv);
    if (!read_options(&c, argc, argv, &status))
        return (int)status;
    rc = control_client_open(&c.client, c.client.path);
    if (rc < 0)
        return (int)ctl_fail_connection(&c, rc);
    status = ctl_flush_stdout(ctl_run(&c, argv + optind, argc - optind));
    control_client_close(&c.client);
    return (int)status;
}
