/* retire_propose: a client that has left, or has been dead for long, is retired by a put of
 * .toystore/sessions/ID (PROTOCOL 8). One storing member does it: the first in rank of that key
 * that it knows to be alive; the next ones take over when nothing has happened for a while. Enters
 * from swim (a client is gone) and the timer of retire_tell.c; leaves to ask.c. */
#include <stdio.h>
#include <stdlib.h>

#include "core/ask/ask.h"
#include "core/members/members.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/view.h"
#include "rules/key.h"

enum { SESSION_KEY_SIZE = sizeof KEY_SESSIONS + 2 * SESSION_SIZE };

static void key_of(char name[SESSION_KEY_SIZE], const struct session *session)
{
    static const char digits[] = "0123456789abcdef";
    char *at = name + sizeof KEY_SESSIONS - 1;
    memcpy(name, KEY_SESSIONS, sizeof KEY_SESSIONS - 1);
    for (size_t i = 0; i < SESSION_SIZE; i++) {
        *at++ = digits[session->bytes[i] >> 4];
        *at++ = digits[session->bytes[i] & 15];
    }
    *at = '\0';
}

static struct retiring *find(const struct core *core, uint64_t handle)
{
    LIST_EACH(link, &core->retire->due)
    {
        struct retiring *retiring = container_of(link, struct retiring, link);
        if (retiring->handle == handle)
            return retiring;
    }
    return NULL;
}

static bool waits(const struct core *core, const struct session *session)
{
    LIST_EACH(link, &core->retire->due)
    if (session_compare(&container_of(link, struct retiring, link)->session, session) == 0)
        return true;
    return false;
}

static void forget(struct core *core, struct retiring *retiring)
{
    list_remove(&retiring->link);
    core->retire->due_count--;
    free(retiring);
}

void retire_propose_free(struct retire *retire)
{
    struct list *link;
    while ((link = list_pop_front(&retire->due)) != NULL)
        free(container_of(link, struct retiring, link));
}

static uint64_t probes_us(const struct core *core, unsigned probes)
{
    return max_u64(core->config.probe_interval_ms, 10) * 1000 * probes;
}

/* How many that are alive stand before this node in the rank of the session's key. */
static unsigned turn(const struct core *core, const struct session *session)
{
    char name[SESSION_KEY_SIZE];
    node_id ranked[MEMBERS_MAX];
    key_of(name, session);
    const struct layout *layout = view_newest(core);
    size_t count =
        layout_rank(layout, view_partition_of(core, slice_str(name)), ranked, ARRAY_COUNT(ranked));
    unsigned before = 0;
    for (size_t i = 0; i < count && ranked[i] != core->id; i++)
        before += members_alive(core, ranked[i]);
    return before;
}

void retire_due(struct core *core, const struct session *session, const char *name)
{
    struct retire *retire = core->retire;
    if (!core->config.storing || !view_newest(core) || retire->due_count >= RETIRE_DUE_MAX ||
        retire_noted(core, session) || waits(core, session))
        return;
    struct retiring *retiring = base_alloc(sizeof *retiring);
    retiring->session = *session;
    snprintf(retiring->name, sizeof retiring->name, "%s", name);
    retiring->handle = ++retire->handles;
    retiring->at_us = core->now_us + probes_us(core, RETIRE_TAKEOVER_PROBES) * turn(core, session);
    list_push_back(&retire->due, &retiring->link);
    retire->due_count++;
    retire_wake(core);
}

/* ---- the put ---- */

/* CONFLICT: somebody else was faster. That it is noted comes with the record, or is told. */
static void put_done(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct retiring *retiring = find(core, handle);
    if (!retiring)
        return;
    retiring->asked = false;
    retiring->at_us = core->now_us + probes_us(core, RETIRE_RETRY_PROBES);
    if (result->status != TOYSTORE_OK && result->status != TOYSTORE_CONFLICT)
        return;
    core_log(core, LOG_INFO, "the session of %s is retired", retiring->name);
    retire_record(core, &retiring->session);
    forget(core, retiring);
}

static void put(struct core *core, struct retiring *retiring)
{
    char name[SESSION_KEY_SIZE];
    key_of(name, &retiring->session);
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = {name, strlen(name)},
        .condition = TOYSTORE_IF_ABSENT,
        .change = TOYSTORE_SET,
        .kind = TOYSTORE_INTERNAL,
        .value = {retiring->name, strlen(retiring->name)},
        .durable = true,
        .exclusive = true,
        .strict = 1,
    };
    retiring->asked = true;
    ask(core, &request, NULL, put_done, retiring->handle);
}

/* It has come back meanwhile, and was not dead. */
static bool lives(const struct core *core, const struct session *session)
{
    for (size_t i = 0; i < members_count(core); i++) {
        const struct member *member = members_at(core, i);
        if (session_compare(&member->session, session) == 0 && members_alive(core, member->id))
            return true;
    }
    return false;
}

void retire_propose(struct core *core)
{
    if (!core->ready)
        return;
    LIST_EACH(link, &core->retire->due)
    {
        struct retiring *retiring = container_of(link, struct retiring, link);
        if (retiring->asked)
            continue;
        if (retire_noted(core, &retiring->session) || lives(core, &retiring->session))
            forget(core, retiring);
        else if (retiring->at_us <= core->now_us)
            put(core, retiring);
    }
}

/* ---- status ---- */

void retire_report(struct core *core, struct json *json)
{
    const struct retire *retire = core->retire;
    json_u64(json, "sessions_retired", retire->in_force);
    json_u64(json, "sessions_retiring", retire->count - retire->in_force + retire->due_count);
    json_u64(json, "chunks_swept", retire->sweep.deleted);
}
