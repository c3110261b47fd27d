/* ledger_stage: large values go to the disk before the write that names them.
 *
 * Usually the kernel takes them at the speed of memory, and the loop writes them itself: a thread
 * costs more to be woken than it saves. A disk that makes writers wait (too many dirty pages, or
 * worse) must not hold up everything else: from then on the thread pool writes them, the loop goes
 * on, the write that names them waits for them, and what was committed later waits behind it.
 *
 * Enters from io/ledger.c; leaves to the store. */
#include "io/ledger.h"

#include <stdlib.h>

enum { JOB_VALUES_MAX = 4, SLOW_US = 20000 /* for as many */ };

struct staging {
    size_t index; /* of its write in the group */
    struct toystore_bytes parts[2];
    struct toystore_staged staged;
    int status;
};

/* Some values. Freed when their group has been written and the loop has seen the end of the work,
 * in either order. */
struct job {
    struct list link; /* in group->jobs */
    uv_work_t work;
    struct ledger *ledger;
    struct ledger_group *group;
    struct staging values[JOB_VALUES_MAX];
    size_t count;
    uint64_t took_us;
    bool begun;
    unsigned refs;
};

static struct job *job_of(struct list *link)
{
    return container_of(link, struct job, link);
}

bool ledger_stages(const struct ledger *ledger, const struct batch_write *write)
{
    const struct toystore_store_ops *ops = ledger->store->ops;
    return !write->remove && ops->stage != NULL &&
           blob_slice(write->value).size + write->rest.size >= ops->stage_min;
}

static void on_work(uv_work_t *work)
{
    struct job *job = container_of(work, struct job, work);
    struct ledger *ledger = job->ledger;
    uint64_t begun_us = uv_hrtime() / 1000;
    for (size_t i = 0; i < job->count; i++) {
        struct staging *value = &job->values[i];
        value->status = ledger->store->ops->stage(ledger->store, value->parts, &value->staged);
    }
    job->took_us = uv_hrtime() / 1000 - begun_us;
    pthread_mutex_lock(&ledger->mutex);
    job->group->open--;
    pthread_cond_signal(&ledger->job_ended);
    pthread_mutex_unlock(&ledger->mutex);
}

static void job_unref(struct job *job)
{
    if (--job->refs == 0)
        free(job);
}

/* The turn that follows looks at the groups. */
static void after_work(uv_work_t *work, int status)
{
    struct job *job = container_of(work, struct job, work);
    (void)status; /* it is never cancelled */
    job->ledger->slow = job->took_us > SLOW_US;
    job_unref(job);
}

/* The group's last job, unless it is full or has begun. */
static struct job *job_to_add(struct ledger *ledger, struct ledger_group *group)
{
    struct job *job = list_empty(&group->jobs) ? NULL : job_of(group->jobs.prev);
    if (job != NULL && !job->begun && job->count < JOB_VALUES_MAX)
        return job;
    job = base_alloc(sizeof *job);
    job->ledger = ledger;
    job->group = group;
    job->refs = 2;
    list_push_back(&group->jobs, &job->link);
    return job;
}

static void begin(struct ledger *ledger, struct job *job)
{
    job->begun = true;
    pthread_mutex_lock(&ledger->mutex);
    job->group->open++;
    pthread_mutex_unlock(&ledger->mutex);
    if (ledger->slow) {
        uv_queue_work(&ledger->driver->loop, &job->work, on_work, after_work);
    } else {
        on_work(&job->work);
        after_work(&job->work, 0);
    }
}

void ledger_stage(struct ledger *ledger, struct ledger_group *group,
                  const struct toystore_bytes parts[2])
{
    struct job *job = job_to_add(ledger, group);
    job->values[job->count++] =
        (struct staging){.index = group->write_count - 1, .parts = {parts[0], parts[1]}};
    if (job->count == JOB_VALUES_MAX)
        begin(ledger, job);
}

void ledger_stage_begin(struct ledger *ledger)
{
    if (list_empty(&ledger->groups))
        return;
    struct ledger_group *group = container_of(ledger->groups.prev, struct ledger_group, link);
    if (!list_empty(&group->jobs) && !job_of(group->jobs.prev)->begun)
        begin(ledger, job_of(group->jobs.prev));
}

bool ledger_staged(struct ledger *ledger, struct ledger_group *group)
{
    if (list_empty(&group->jobs))
        return true;
    pthread_mutex_lock(&ledger->mutex);
    bool all = group->open == 0;
    pthread_mutex_unlock(&ledger->mutex);
    return all;
}

void ledger_stage_wait(struct ledger *ledger, struct ledger_group *group)
{
    pthread_mutex_lock(&ledger->mutex);
    while (group->open > 0)
        pthread_cond_wait(&ledger->job_ended, &ledger->mutex);
    pthread_mutex_unlock(&ledger->mutex);
}

int ledger_stage_take(struct ledger_group *group)
{
    int status = 0;
    LIST_EACH(link, &group->jobs)
    {
        struct job *job = job_of(link);
        for (size_t i = 0; i < job->count; i++) {
            group->writes[job->values[i].index].staged = &job->values[i].staged;
            if (status == 0)
                status = job->values[i].status;
        }
    }
    return status;
}

void ledger_stage_end(struct ledger *ledger, struct ledger_group *group, bool written)
{
    struct list *link;
    while ((link = list_pop_front(&group->jobs)) != NULL) {
        struct job *job = job_of(link);
        for (size_t i = 0; i < job->count && !written; i++)
            if (job->values[i].status == 0)
                ledger->store->ops->unstage(ledger->store, &job->values[i].staged);
        job_unref(job);
    }
}
