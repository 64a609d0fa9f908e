#include "command/console.h"

#include <errno.h>

#include "command/commands.h"

static void on_command(void *arg, struct admin_call *call, char *line)
{
    commands_run(arg, call, line);
}

int console_open(struct runtime *rt)
{
    int rc = scan_replies_open(&rt->scan_replies, rt->loop);
    if (rc < 0)
        return rc;
    session_lists_init(&rt->session_lists, &rt->scan_replies, &rt->workers);
    drains_init(&rt->drains, rt->loop, &rt->scan_replies, &rt->workers, &rt->pools);
    rt->admin = admin_new(rt->loop, on_command, rt);
    return rt->admin == NULL ? -ENOMEM : 0;
}

/* What was being asked for is answered first, into nothing. */
void console_fini(struct runtime *rt)
{
    if (rt->admin == NULL)
        return;
    scan_replies_fini(&rt->scan_replies);
    drains_fini(&rt->drains);
    session_lists_fini(&rt->session_lists);
    admin_free(rt->admin);
    rt->admin = NULL;
}
