/* members: the table. Entries are kept in the order in which they came, this node first.
 *
 * Enters from swim (news), rpc and all that ask who is there. */
#include "core/members/members_priv.h"

#include <stdlib.h>

struct members *members_new(void)
{
    struct members *members = base_alloc(sizeof *members);
    gone_init(members);
    return members;
}

void members_free(struct members *members)
{
    for (size_t i = 0; i < members->count; i++)
        free(members->list[i]);
    free(members->list);
    map_free(&members->by_id);
    gone_free(members);
    free(members);
}

struct member_entry *members_append(struct core *core, struct member *self)
{
    struct members *members = core->members;
    if (members->count == members->capacity) {
        members->capacity = members->capacity ? members->capacity * 2 : 16;
        members->list = base_realloc(members->list, members->capacity * sizeof(void *));
    }
    struct member_entry *m = base_alloc(sizeof *m);
    m->member = self ? self : &m->own;
    m->position = members->count;
    members->list[members->count++] = m;
    return m;
}

struct member_entry *members_get(const struct core *core, node_id id)
{
    return map_get(&core->members->by_id, slice_of(&id, sizeof id));
}

struct member_entry *members_add(struct core *core, const struct member *member)
{
    struct members *members = core->members;
    if (members->count >= MEMBERS_MAX)
        return NULL;
    struct member_entry *m = members_append(core, NULL);
    m->own = *member;
    m->own.state_since_us = core->now_us;
    map_put(&members->by_id, slice_of(&member->id, sizeof member->id), m);
    return m;
}

void members_forget(struct core *core, struct member_entry *m)
{
    struct members *members = core->members;
    assert(m->position > 0);
    map_remove(&members->by_id, slice_of(&m->own.id, sizeof m->own.id));
    list_remove(&m->queued);
    timer_cancel(core, &m->suspicion);
    timer_cancel(core, &m->forget);
    members->count--;
    memmove(&members->list[m->position], &members->list[m->position + 1],
            (members->count - m->position) * sizeof(void *));
    for (size_t i = m->position; i < members->count; i++)
        members->list[i]->position = i;
    free(m);
}

const struct member *members_find(const struct core *core, node_id id)
{
    const struct member_entry *m = members_get(core, id);
    return m ? m->member : NULL;
}

bool members_alive(const struct core *core, node_id id)
{
    const struct member_entry *m = members_get(core, id);
    return id == core->id || (m != NULL && state_is_alive(m->member->state));
}

size_t members_count(const struct core *core)
{
    return core->members->count;
}

const struct member *members_at(const struct core *core, size_t index)
{
    assert(index < core->members->count);
    return core->members->list[index]->member;
}

size_t members_alive_count(const struct core *core)
{
    size_t count = 0;
    for (size_t i = 0; i < core->members->count; i++)
        count += state_is_alive(core->members->list[i]->member->state);
    return count;
}

/* Never by drawing until something fits: in a cluster of two the only candidate must be found. */
size_t members_pick(struct core *core, node_id except, struct member_entry **ret, size_t max)
{
    size_t seen = 0, count = 0;
    for (size_t i = 1; i < core->members->count; i++) {
        struct member_entry *m = core->members->list[i];
        if (!state_is_alive(m->own.state) || m->own.id == except)
            continue;
        seen++;
        if (count < max) {
            ret[count++] = m;
        } else {
            uint64_t at = prng_below(&core->prng, seen);
            if (at < max)
                ret[at] = m;
        }
    }
    return count;
}

void members_doubt(struct core *core, node_id id)
{
    core->members->doubted = id;
}
