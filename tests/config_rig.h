/* Helpers of the configuration tests: write, load, print and compare files. */
#ifndef ZPROXY_TESTS_CONFIG_RIG_H
#define ZPROXY_TESTS_CONFIG_RIG_H

#include <stddef.h>

#include "config/config.h"
#include "suite.h"

/* The smallest valid file, in two parts. */
#define POOL    "[pool p]\nserver = 10.0.0.1:80\n"
#define LISTEN  "[listen l]\nbind = *:80\npool = p\n"
#define MINIMAL LISTEN POOL

/* A file with every key, none at its default. */
extern const char full_config[];

/* The errors of the last file that was loaded. */
extern char *errors;
extern size_t errors_size;

/* The temporary directory of the test, and a descriptor of the one that the tests started in. */
extern char dir[64];
extern int old_dir;

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Runs the tests that add() adds, each in an empty directory. Returns the exit status of main(). */
int config_rig_main(const char *name, void (*add)(TCase *));

void write_bytes(const char *path, const char *bytes, size_t n);
void write_file(const char *path, const char *text);

/* Loads a file, or text written to "a.ini". Returns NULL if there are errors, which are in `errors`
 * until the next call; the caller frees the configuration. load_good() fails the test then. */
struct config *load_file(const char *path);
struct config *load(const char *text);
struct config *load_good(const char *text);
void expect_good(const char *text);
/* Loads text and fails the test unless its errors are exactly these. */
void expect_errors(const char *text, const char *expected);

/* Returns a valid file whose line "pid_file = /xxx..." has n bytes, followed by tail. */
const char *long_line(size_t n, const char *tail);

/* What config_print() writes, and the differences of config_compare(). The caller frees the text.
 */
char *print(const struct config *c);
char *compare(const struct config *from, const struct config *to, size_t *count);
/* Loads text, prints and loads it again, and fails the test if there is a difference. */
void expect_round_trip(const char *text);

#endif
