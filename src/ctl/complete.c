#include "ctl/complete.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define WORDS_MAX 16

/* The words of a command, or of its usage as "help" prints it. */
struct words {
    char *copy;
    char *word[WORDS_MAX];
    size_t count;
};

static void complete_split(struct words *w, const char *text)
{
    char *rest = NULL;
    w->count = 0;
    w->copy = strdup(text);
    for (char *word = w->copy == NULL ? NULL : strtok_r(w->copy, " \t[]", &rest);
         word != NULL && w->count < WORDS_MAX; word = strtok_r(NULL, " \t[]", &rest))
        w->word[w->count++] = word;
}

/* ---- candidates ---- */

static void complete_add(struct complete *c, const char *word, size_t len, const char *text)
{
    if (strlen(text) > len || strncmp(word, text, strlen(text)) != 0)
        return;
    for (size_t i = 0; i < c->count; i++)
        if (strlen(c->word[i]) == len && strncmp(c->word[i], word, len) == 0)
            return;
    char *copy = strndup(word, len);
    char **place = copy == NULL ? NULL : array_add(&c->word, &c->count, sizeof *place);
    if (place == NULL)
        free(copy);
    else
        *place = copy;
}

static json_t *complete_request(struct control_client *t, const char *command)
{
    char *answer = NULL;
    if (control_client_request(t, true, command, &answer) < 0)
        return NULL;
    json_t *rows = json_loads(answer, 0, NULL);
    free(answer);
    return rows;
}

/* Adds the values of a column, text or numbers, of the table that the command prints. */
static void add_column(struct complete *c, struct control_client *t, const char *command,
                       const char *column, const char *text)
{
    size_t i = 0;
    const json_t *row = NULL;
    json_t *rows = complete_request(t, command);
    json_array_foreach(rows, i, row)
    {
        const json_t *value = json_object_get(row, column);
        char number[32];
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        const char *word = json_is_string(value) ? json_string_value(value) : number;
        complete_add(c, word, strlen(word), text);
    }
    json_decref(rows);
}

/* ---- placeholders ---- */

/* The words for a placeholder, which "help" prints in capitals. */
static const struct placeholder {
    const char *name;
    const char
        *command; /* prints a table whose column has the words; NULL: `column` is the words */
    const char *column;
} placeholders[] = {
    { "POOL", "show pools", "pool" },
    { "POOL/SERVER", "show servers", "server" },
    { "LISTENER", "show listeners", "listener" },
    { "ID", "show sessions busiest 50", "id" },
    { "LEVEL", NULL, "error|warning|notice|info|debug" },
    { "HEALTH", NULL, "fail|ok|auto" },
    { "TIME", NULL, "30s|5m|1h" },
};

static bool is_placeholder(const char *token)
{
    return *token >= 'A' && *token <= 'Z';
}

/* "a|b|c" */
static void add_alternatives(struct complete *c, const char *token, const char *text)
{
    while (*token != '\0') {
        size_t n = strcspn(token, "|");
        complete_add(c, token, n, text);
        token += n + (token[n] == '|');
    }
}

static bool is_alternative(const char *token, const char *word)
{
    for (size_t n = 0; *token != '\0'; token += n + (token[n] == '|')) {
        n = strcspn(token, "|");
        if (strlen(word) == n && strncmp(word, token, n) == 0)
            return true;
    }
    return false;
}

static void add_token(struct complete *c, struct control_client *t, const struct words *before,
                      const char *token, const char *text)
{
    bool is_state = before->count > 0 && strcmp(before->word[before->count - 1], "state") == 0;
    if (!is_placeholder(token))
        add_alternatives(c, token, text);
    if (strcmp(token, "FILE") == 0)
        c->wants_file = true;
    if (strcmp(token, "VALUE") == 0 && is_state)
        add_alternatives(c, "ready|drain|maint", text);
    for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
        const struct placeholder *p = &placeholders[i];
        if (strcmp(token, p->name) != 0)
            continue;
        if (p->command == NULL)
            add_alternatives(c, p->column, text);
        else
            add_column(c, t, p->command, p->column, text);
    }
}

static bool begins_with(const struct words *command, const struct words *before)
{
    if (before->count >= command->count)
        return false;
    for (size_t i = 0; i < before->count; i++)
        if (!is_placeholder(command->word[i]) && !is_alternative(command->word[i], before->word[i]))
            return false;
    return true;
}

static void add_commands(struct complete *c, struct control_client *t, const struct words *before,
                         const char *text)
{
    static const char own[] = "quit|exit|json|help";
    size_t i = 0;
    const json_t *row = NULL;
    json_t *rows = complete_request(t, "help");
    json_array_foreach(rows, i, row)
    {
        const char *usage = json_string_value(json_object_get(row, "command"));
        struct words command;
        complete_split(&command, usage == NULL ? "" : usage);
        if (begins_with(&command, before))
            add_token(c, t, before, command.word[before->count], text);
        else if (before->count == 1 && strcmp(before->word[0], "help") == 0 && command.count > 0)
            complete_add(c, command.word[0], strlen(command.word[0]), text);
        free(command.copy);
    }
    json_decref(rows);
    if (before->count == 0)
        add_alternatives(c, own, text);
}

void complete_find(struct complete *c, struct control_client *t, const char *before,
                   const char *text)
{
    struct words words;
    *c = (struct complete){ .word = NULL };
    complete_split(&words, before);
    bool json = words.count > 0 && strcmp(words.word[0], "json") == 0;
    if (json)
        memmove(words.word, words.word + 1, --words.count * sizeof *words.word);
    if (words.count < WORDS_MAX)
        add_commands(c, t, &words, text);
    free(words.copy);
}

void complete_free(struct complete *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->word[i]);
    free(c->word);
    *c = (struct complete){ .word = NULL };
}
