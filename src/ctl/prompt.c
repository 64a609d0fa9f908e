#include "ctl/prompt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "ctl/complete.h"
#include "ctl/top.h"

#ifdef WITH_LIBEDIT
#include <editline/readline.h>
#endif

#define PROMPT "zproxy> "

#ifdef WITH_LIBEDIT
/* ---- Tab: libedit has one line, and asks without an argument of ours ---- */

static struct control_client *completion_client;

/* Gives the candidates one by one, each to be freed; the first call of a series begins anew. */
static char *next_candidate(const char *text, int state)
{
    static struct complete found;
    static size_t given;
    if (state == 0) {
        char *before = strndup(rl_line_buffer, (size_t)rl_point - strlen(text));
        complete_free(&found);
        given = 0;
        if (before != NULL)
            complete_find(&found, completion_client, before, text);
        free(before);
    }
    if (found.wants_file)
        return rl_filename_completion_function(text, state);
    return given < found.count ? strdup(found.word[given++]) : NULL;
}

static char **on_tab(const char *text, int begin, int end)
{
    (void)begin;
    (void)end;
    rl_attempted_completion_over = 1; /* files only where one may stand */
    return rl_completion_matches(text, next_candidate);
}

static void init_completion(struct control_client *t)
{
    static char blanks[] = " \t"; /* an address has colons, a server's name a slash */
    completion_client = t;
    rl_completer_word_break_characters = blanks;
    rl_attempted_completion_function = on_tab;
}
#endif

/* A line without its break, to be freed; NULL at the end. */
static char *read_plain(bool terminal)
{
    char *line = NULL;
    size_t room = 0;
    if (terminal) {
        fputs(PROMPT, stdout);
        fflush(stdout);
    }
    ssize_t n = getline(&line, &room, stdin);
    if (n <= 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static char *prompt_read_line(bool terminal)
{
#ifdef WITH_LIBEDIT
    if (terminal) {
        char *line = readline(PROMPT);
        if (line != NULL && *line != '\0')
            add_history(line);
        return line;
    }
#endif
    return read_plain(terminal);
}

/* Returns 1 when it succeeded, 0 when not, -errno when zproxy has gone. */
static int run_line(struct control_client *t, bool json, const char *line)
{
    char *answer = NULL;
    if (strcmp(line, "top") == 0) {
        int rc = top_run(t);
        return rc < 0 ? rc : 1;
    }
    int rc = control_client_request(t, json, line, &answer);
    if (rc < 0)
        return rc;
    bool json_asked = json || strncmp(line, "json ", 5) == 0;
    bool good = !control_client_has_failed(answer, json_asked);
    control_client_print(answer, json_asked);
    free(answer);
    return good;
}

static bool prompt_is_quit(const char *line)
{
    return strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0;
}

int prompt_run(struct control_client *t, bool json)
{
    bool terminal = isatty(STDIN_FILENO) != 0;
    bool good = true;
    char *line = NULL;
#ifdef WITH_LIBEDIT
    init_completion(t);
#endif
    while ((line = prompt_read_line(terminal)) != NULL && !prompt_is_quit(line)) {
        size_t blank = strspn(line, " \t");
        int rc = line[blank] == '\0' ? 1 : run_line(t, json, line + blank);
        free(line);
        if (rc < 0)
            return rc;
        good = good && rc == 1;
    }
    if (line == NULL && terminal)
        putchar('\n');
    free(line);
    return good;
}
