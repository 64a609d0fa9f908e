#include "command/console.h"

#include <errno.h>

#include "command/commands.h"

static void on_command(void *arg, struct admin_call *call, char *line)
{
    commands_run(arg, call, line);
}

int console_open(struct runtime *rt)
{
    int rc = survey_desk_open(&rt->desk, rt->loop);
    if (rc < 0)
        return rc;
    censuses_init(&rt->censuses, &rt->desk, &rt->crew);
    drains_init(&rt->drains, rt->loop, &rt->desk, &rt->crew, &rt->pools);
    rt->admin = admin_new(rt->loop, on_command, rt);
    return rt->admin == NULL ? -ENOMEM : 0;
}

/* What was being asked for is answered first, into nothing. */
void console_fini(struct runtime *rt)
{
    if (rt->admin == NULL)
        return;
    survey_desk_fini(&rt->desk);
    drains_fini(&rt->drains);
    censuses_fini(&rt->censuses);
    admin_free(rt->admin);
    rt->admin = NULL;
}
