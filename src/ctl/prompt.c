#include "ctl/prompt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "ctl/apply.h"
#include "ctl/complete.h"
#include "ctl/top.h"

#ifdef WITH_LIBEDIT
#include <editline/readline.h>
#endif

#define PROMPT "zproxy> "

#ifdef WITH_LIBEDIT
/* ---- completion: libedit has one global line, and its callbacks take no argument ---- */

static struct control_client *completion_client;

/* Returns the next candidate, which libedit frees, or NULL. state is 0 in the first call for a
 * word. */
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
    rl_attempted_completion_over = 1; /* no completion of file names unless wants_file */
    return rl_completion_matches(text, next_candidate);
}

static void init_completion(struct control_client *t)
{
    static char blanks[] = " \t"; /* colons and slashes are parts of addresses and names */
    completion_client = t;
    rl_completer_word_break_characters = blanks;
    rl_attempted_completion_function = on_tab;
}
#endif

/* Returns a line without its line break, which the caller frees; NULL at the end of the input. */
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

/* Returns 1 if the command succeeded, 0 if not; -errno if the connection to zproxy failed. */
static int run_line(struct ctl *c, const char *line)
{
    struct control_client *t = &c->client;
    char *answer = NULL;
    if (strncmp(line, "apply ", 6) == 0)
        return apply_run(c, line + 6 + strspn(line + 6, " ")) == CTL_DONE;
    if (strcmp(line, "top") == 0) {
        int rc = top_run(t);
        return rc < 0 ? rc : 1;
    }
    int rc = control_client_request(t, c->json, line, &answer);
    if (rc < 0)
        return rc;
    bool json_asked = c->json || strncmp(line, "json ", 5) == 0;
    bool good = !control_client_has_failed(answer, json_asked);
    control_client_print(answer, json_asked);
    free(answer);
    return good;
}

static bool prompt_is_quit(const char *line)
{
    return strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0;
}

int prompt_run(struct ctl *c)
{
    bool terminal = isatty(STDIN_FILENO) != 0;
    bool good = true;
    char *line = NULL;
#ifdef WITH_LIBEDIT
    init_completion(&c->client);
#endif
    while ((line = prompt_read_line(terminal)) != NULL && !prompt_is_quit(line)) {
        size_t blank = strspn(line, " \t");
        int rc = line[blank] == '\0' ? 1 : run_line(c, line + blank);
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
