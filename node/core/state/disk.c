/* disk: loads, commits and scans as actions.
 *
 * A node that stores nothing has no disk: there nothing is found and every commit is made at
 * once, so that the modules above need not ask. The same queue refuses commits that come after the
 * directory was marked clean: what they would acknowledge might be lost unnoticed. */
#include "core/state/state.h"

#include <stdlib.h>

enum { DISK_AGAIN_MS = 1000 };

struct disk_answer {
    struct list link;
    enum event_type type;
    int status;
    struct resume resume;
};

static void answer_soon(struct core *core, enum event_type type, int status, struct resume resume)
{
    if (resume.fn == NULL)
        return;
    struct disk_answer *answer = base_alloc(sizeof *answer);
    *answer = (struct disk_answer){.type = type, .status = status, .resume = resume};
    list_push_back(&core->disk_answers, &answer->link);
}

bool disk_run_one(struct core *core)
{
    struct list *link = list_pop_front(&core->disk_answers);
    if (link == NULL)
        return false;
    struct disk_answer answer = *container_of(link, struct disk_answer, link);
    free(container_of(link, struct disk_answer, link));
    struct core_event event = {.type = answer.type,
                               .now_us = core->now_us,
                               .wall_us = core->wall_us,
                               .resume = answer.resume,
                               .status = answer.status};
    answer.resume.fn(core, &event, answer.resume);
    return true;
}

void disk_free(struct core *core)
{
    struct list *link;
    while ((link = list_pop_front(&core->disk_answers)) != NULL)
        free(container_of(link, struct disk_answer, link));
}

void disk_load(struct core *core, enum toystore_space space, struct slice key, struct resume resume)
{
    if (!core->config.storing) {
        answer_soon(core, EVENT_LOADED, -ENOENT, resume);
        return;
    }
    struct action *action = core_act(core, ACTION_LOAD);
    action->resume = resume;
    action->space = space;
    action->key = blob_copy(key);
}

void disk_commit(struct core *core, struct batch *batch, bool durable, struct resume resume)
{
    if (!core->config.storing || core->clean_marked) {
        batch_free(batch);
        answer_soon(core, EVENT_COMMITTED, core->config.storing ? -ESHUTDOWN : 0, resume);
        return;
    }
    struct action *action = core_act(core, ACTION_COMMIT);
    action->resume = resume;
    action->batch = *batch;
    action->durable = durable;
    *batch = (struct batch){0};
}

bool disk_again(struct core *core, int status, struct timer *again,
                void (*fire)(struct core *core, struct timer *timer))
{
    if ((status != -ENOSPC && status != -EIO) || core->stopping)
        return false;
    if (again->fire == NULL) /* the first time */
        core_log(core, LOG_WARNING,
                 "the disk %s: what this node must note is tried again until it is written",
                 status == -ENOSPC ? "is full" : "fails");
    timer_set_after_ms(core, again, DISK_AGAIN_MS, fire);
    return true;
}

void disk_scan(struct core *core, enum toystore_space space, struct slice from, struct slice to,
               size_t limit, struct resume resume)
{
    if (!core->config.storing) {
        answer_soon(core, EVENT_SCANNED, 0, resume);
        return;
    }
    struct action *action = core_act(core, ACTION_SCAN);
    action->resume = resume;
    action->space = space;
    action->key = blob_copy(from);
    action->end = blob_copy(to);
    action->limit = limit;
}

void disk_room(struct core *core, struct resume resume)
{
    if (!core->config.storing) {
        answer_soon(core, EVENT_ROOM, -ENOENT, resume);
        return;
    }
    struct action *action = core_act(core, ACTION_ROOM);
    action->resume = resume;
}
