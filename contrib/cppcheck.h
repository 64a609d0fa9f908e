/* The loop macros of <sys/queue.h> for cppcheck, which does not read system headers. */
#define SLIST_FOREACH(v, h, f)  for (v = (h)->slh_first; v; v = v->f.sle_next)
#define LIST_FOREACH(v, h, f)   for (v = (h)->lh_first; v; v = v->f.le_next)
#define STAILQ_FOREACH(v, h, f) for (v = (h)->stqh_first; v; v = v->f.stqe_next)
#define TAILQ_FOREACH(v, h, f)  for (v = (h)->tqh_first; v; v = v->f.tqe_next)
