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
    mailbox_post(&desk->mailbox, l); /* the last look at it: control may free it now */
}

/* ---- on the control thread ---- */

static void part_is_over(struct survey *sv)
{
    if (--sv->left > 0)
        return;
    sv->desk->under_way--;
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

/* From a worker's thread. */
static void on_posted(void *arg)
{
    struct survey_desk *desk = arg;
    uv_async_send(&desk->arrived);
}

int survey_desk_open(struct survey_desk *desk, uv_loop_t *loop)
{
    int rc = uv_async_init(loop, &desk->arrived, on_arrived);
    if (rc < 0)
        return rc;
    mailbox_init(&desk->mailbox, on_posted, desk);
    desk->arrived.data = desk;
    desk->open = true;
    return 0;
}

void survey_desk_settle(struct survey_desk *desk)
{
    while (desk->open && desk->under_way > 0)
        mailbox_run(&desk->mailbox, NULL);
}

void survey_desk_fini(struct survey_desk *desk)
{
    if (!desk->open)
        return;
    desk->open = false;
    mailbox_close(&desk->mailbox, NULL);
    mailbox_fini(&desk->mailbox);
}

size_t survey_parts(const struct crew *crew)
{
    return crew_running(crew);
}

/* A part that no worker has: it is over, which the desk is told as well, so that done is not called
 * from here. */
static void skip(struct survey_part *p)
{
    p->letter.run = on_back;
    mailbox_post(&p->survey->desk->mailbox, &p->letter);
}

/* One part more than there are workers is never any worker's: so a survey is over also where there
 * are none, or all have ended. */
int survey_begin(struct survey *sv, struct survey_desk *desk, struct crew *crew)
{
    if (!desk->open)
        return -ECANCELED;
    size_t workers = survey_parts(crew);
    sv->desk = desk;
    sv->left = workers + 1;
    sv->part = calloc(sv->left, sizeof *sv->part);
    if (sv->part == NULL)
        return -ENOMEM;
    desk->under_way++;
    for (size_t i = 0; i <= workers; i++) {
        struct survey_part *p = &sv->part[i];
        p->survey = sv;
        p->letter.run = on_worker;
        if (i == workers || !worker_post(crew_worker(crew, i), &p->letter))
            skip(p);
    }
    return 0;
}
