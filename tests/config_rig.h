/* Configuration files written, loaded, printed and compared, in a directory of their own. */
#ifndef ZPROXY_TESTS_CONFIG_RIG_H
#define ZPROXY_TESTS_CONFIG_RIG_H

#include <stddef.h>

#include "config/config.h"
#include "suite.h"

/* The least that is valid. */
#define POOL    "[pool p]\nserver = 10.0.0.1:80\n"
#define LISTEN  "[listen l]\nbind = *:80\npool = p\n"
#define MINIMAL LISTEN POOL

/* Every key, none at its default. */
extern const char full_config[];

/* What the last file that was loaded has been said to be. */
extern char *errors;
extern size_t errors_size;

/* The directory that each test works in, and the one that the tests were started in. */
extern char dir[64];
extern int old_dir;

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* Runs the tests that add() adds, each in an empty directory. Returns the exit status. */
int config_rig_main(const char *name, void (*add)(TCase *));

void write_bytes(const char *path, const char *bytes, size_t n);
void write_file(const char *path, const char *text);

/* Loads a file, or text written to "a.ini"; what it says stays in `errors` until the next call. */
struct config *load_file(const char *path);
struct config *load(const char *text);
struct config *load_good(const char *text);
void expect_good(const char *text);
/* All that is said of a file, and no more. */
void expect_errors(const char *text, const char *expected);

/* "[global]\npid_file = /xxx..." with a line of n bytes, then `tail`, behind what is needed. */
const char *long_line(size_t n, const char *tail);

/* What config_print() writes, and all that config_compare() finds; free() is the caller's. */
char *print(const struct config *c);
char *compare(const struct config *from, const struct config *to, size_t *count);
/* Loads text, and what is printed of it, and finds no difference. */
void expect_round_trip(const char *text);

#endif
