#include "control/survey.h"

#include <errno.h>
#include <stdlib.h>

#include "session/tour.h"

#define SLICE 256 /* sessions visited in one wake-up of a worker */

struct survey_part {
    struct letter letter; /* there and back again */
    struct survey *survey;
    struct tour tour;
    bool begun;
};

/* ---- on a worker's thread ---- */

/* Returns whether there are more. */
static bool visit_some(struct survey_part *p, struct worker *w)
{
    struct survey *sv = p->survey;
    size_t number = (size_t)(p - sv->part);
    if (!p->begun)
        tour_begin(&p->tour, worker_sessions(w));
    p->begun = true;
    for (int n = 0; n < SLICE; n++) {
        struct session *s = tour_next(&p->tour);
        if (s == NULL || !sv->visit(sv, number, s)) {
            tour_end(&p->tour);
            return false;
        }
    }
    return true;
}

static void on_back(struct letter *l, void *owner);

static void on_worker(struct letter *l, void *owner)
{
    struct survey_part *p = (struct survey_part *)l; /* its first member */
    struct survey_desk *desk = p->survey->desk;
    while (visit_some(p, owner))
        if (worker_post(owner, l)) /* else it is about to end: there are none any more */
            return;
    l->run = on_back;
    mailbox_post(&desk->mailbox, l);
    uv_async_send(&desk->arrived);
}

/* ---- on the control thread ---- */

static void part_is_over(struct survey *sv)
{
    if (--sv->left > 0)
        return;
    free(sv->part);
    sv->done(sv);
}

static void on_back(struct letter *l, void *owner)
{
    (void)owner;
    part_is_over(((struct survey_part *)l)->survey);
}

static void on_arrived(uv_async_t *async)
{
    struct survey_desk *desk = async->data;
    mailbox_run(&desk->mailbox, NULL);
}

int survey_desk_open(struct survey_desk *desk, uv_loop_t *loop)
{
    mailbox_init(&desk->mailbox);
    desk->arrived.data = desk;
    return uv_async_init(loop, &desk->arrived, on_arrived);
}

void survey_desk_fini(struct survey_desk *desk)
{
    mailbox_close(&desk->mailbox, NULL);
    mailbox_fini(&desk->mailbox);
}

size_t survey_parts(const struct crew *crew)
{
    return crew_running(crew);
}

/* A worker that has ended takes no letter: its part is over, which the desk is told as well, so
 * that done is not called from here. */
int survey_begin(struct survey *sv, struct survey_desk *desk, struct crew *crew)
{
    if (desk->mailbox.closed)
        return -ECANCELED;
    sv->desk = desk;
    sv->parts = sv->left = survey_parts(crew);
    sv->part = calloc(sv->parts, sizeof *sv->part);
    if (sv->part == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < sv->parts; i++) {
        struct survey_part *p = &sv->part[i];
        p->survey = sv;
        p->letter.run = on_worker;
        if (worker_post(crew_worker(crew, i), &p->letter))
            continue;
        p->letter.run = on_back;
        mailbox_post(&desk->mailbox, &p->letter);
        uv_async_send(&desk->arrived);
    }
    return 0;
}
