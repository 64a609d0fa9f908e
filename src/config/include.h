/* Which files an include means. */
#ifndef ZPROXY_CONFIG_INCLUDE_H
#define ZPROXY_CONFIG_INCLUDE_H

typedef void include_file_fn(void *arg, const char *path);

/* Calls found for each file that pattern matches, in alphabetical order; a relative pattern starts
 * at the directory of the file `from`. Without wildcards that is one file, there or not. Returns 0,
 * or -errno where matches could not be looked for. */
int include_each(const char *from, const char *pattern, include_file_fn *found, void *arg);

#endif
