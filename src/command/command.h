/* A command as a row of a table. Each command_*.c has such a table; commands.c lists the tables. */
#ifndef ZPROXY_COMMAND_COMMAND_H
#define ZPROXY_COMMAND_COMMAND_H

#include <stddef.h>

#include "command/request.h"

/* Whether "did you mean ...?" may name the command. The user might run the suggestion unread, so
 * commands that end sessions or take a server out must not be suggested. */
enum command_suggest {
    COMMAND_SUGGEST_NEVER,
    COMMAND_SUGGEST_GROUP, /* if the first word was typed correctly */
    COMMAND_SUGGEST_NEAR,  /* if at most two letters are wrong */
    COMMAND_SUGGEST_ALWAYS,
};

/* Whether the command can change anything. The answer of one that can says whether it did:
 * request_changed(). */
enum command_effect {
    COMMAND_READS,
    COMMAND_CHANGES,
};

struct command {
    const char *words; /* what the line begins with, such as "set server" */
    const char *usage; /* the arguments; "": none. Words in capitals are completed by ctl/ */
    const char *help;  /* one line */
    size_t min_args;   /* words after `words` */
    size_t max_args;
    enum request_result (*execute)(struct request *r);
    enum command_suggest suggest;
    enum command_effect effect;
};

struct command_list {
    const struct command *command;
    size_t count;
};

#define COMMAND_LIST(table)                    \
    {                                          \
        table, sizeof(table) / sizeof *(table) \
    }

/* In the order of help. */
extern const struct command_list command_show;
extern const struct command_list command_session;
extern const struct command_list command_explain;
extern const struct command_list command_server;
extern const struct command_list command_pool;
extern const struct command_list command_wait;
extern const struct command_list command_rebalance;
extern const struct command_list command_config;
extern const struct command_list command_health;
extern const struct command_list command_process;

#endif
