/* A whole zproxy in this process, with a worker that runs, for one input: a directory of its own
 * has its configuration and its sockets. */
#ifndef ZPROXY_TESTS_FUZZ_RIG_H
#define ZPROXY_TESTS_FUZZ_RIG_H

#include <uv.h>

#include "control/runtime.h"

struct rig {
    uv_loop_t loop;
    struct runtime rt;
};

/* Began with "first.ini"; a reload reads "second.ini"; "broken.ini" is there as well. Until
 * rig_end() the current directory is the one that has them, and nothing else but sockets. */
void rig_begin(struct rig *g);
/* The same without a configuration in force, and without workers. Returns "first.ini" as it was
 * read, which is the caller's. */
struct config *rig_begin_empty(struct rig *g);
/* Ends the worker, and frees everything. */
void rig_end(struct rig *g);

/* A client of the control socket, which does not block. Returns its descriptor. */
int rig_connect(const struct rig *g);

#endif
