/* check_rule: what a replica may do to its copy of a key (PROTOCOL 3 and 8), looked at where it is
 * written, since what comes of it would show to clients only by a rare meeting of two ballots:
 *   - a register below what was promised is taken only when it is known to be chosen;
 *   - a key's own promise of the era in which its partition is collected stays;
 *   - a sloppy put leaves when a settled register covers it, or another sloppy put;
 *   - who holds a partition takes a register only from owners of it;
 *   - a layout is accepted only in a round of its own;
 *   - no owner takes a tombstone of an era before the one that its partition was collected in. */
#include <stdio.h>
#include <stdlib.h>

#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"
#include "sim/sim.h"
#include "wire/messages.h"

/* A register that some disk has had, and who had it. */
struct sighting {
    unsigned count;
    node_id by[NODES_MAX];
};

/* What the disk says of the partition, which the core knew when it made the record. */
struct noted {
    uint32_t epoch;
    struct ballot promised;
    bool mute;
    struct era held;
};

static bool read_noted(const struct blob *value, struct noted *ret)
{
    struct cursor cursor = cursor_of(blob_slice(value));
    return value != NULL && wire_get_U32(&cursor, &ret->epoch) &&
           wire_get_BALLOT(&cursor, &ret->promised) && wire_get_BOOL(&cursor, &ret->mute) &&
           wire_get_ERA(&cursor, &ret->held);
}

/* One write of a record: what stood there, and what comes. */
struct change {
    const struct sim_node *node;
    struct slice key;
    uint32_t partition;
    struct noted noted;
    struct entry before, after;
    struct record was, is;
};

static bool read_entry(struct arena *arena, const struct blob *stored, struct entry *ret_entry,
                       struct record *ret_record)
{
    *ret_entry = (struct entry){0};
    *ret_record = (struct record){0};
    if (stored == NULL)
        return true;
    return entry_decode(blob_slice(stored), ret_entry) == 0 &&
           (ret_entry->record.size == 0 ||
            record_decode(arena, ret_entry->record, ret_record) == 0);
}

static void say(struct sim *sim, const struct change *change, const char *what)
{
    sim_fail(sim, "node %u %s: %.*s", change->node->index, what, (int)change->key.size,
             (const char *)change->key.data);
}

/* One above the own. (A newcomer that gives its own up for what its sources show takes nothing
 * that could be missed: it held nothing.) */
static bool takes_register(const struct change *change)
{
    return change->is.has_register &&
           (!change->was.has_register ||
            ballot_compare(&change->is.reg.ballot, &change->was.reg.ballot) > 0);
}

static void check_promise(struct sim *sim, const struct change *change)
{
    const struct ballot *own = &change->before.promised, *all = &change->noted.promised;
    const struct ballot *promised = ballot_compare(own, all) > 0 ? own : all;
    struct era collected = view_partition(change->node->core, change->partition)->collected;
    if (takes_register(change) && !change->after.settled &&
        ballot_compare(&change->is.reg.ballot, promised) < 0)
        say(sim, change, "takes a register below its promise, which is not known to be chosen");
    if (ballot_compare(&change->after.promised, own) < 0 && era_compare(own->era, collected) >= 0 &&
        view_owner(change->node->core, change->partition, core_id(change->node->core)))
        say(sim, change, "drops a promise of the era in which its partition is collected");
}

static bool has_sloppy(const struct record *record, const struct op_id *op)
{
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (op_id_equal(&record->sloppy[i].version.op, op) ||
            version_covers(&record->sloppy[i].version, op))
            return true;
    return false;
}

/* What a register holds since before its partition was collected may go, too. */
static void check_sloppy(struct sim *sim, struct change *change, struct arena *arena)
{
    struct era collected = view_partition(change->node->core, change->partition)->collected;
    struct record kept = change->is;
    record_forget(arena, &change->was, collected);
    if (record_forget(arena, &kept, collected) &&
        view_owner(change->node->core, change->partition, core_id(change->node->core)))
        say(sim, change, "keeps a sloppy put whose cover the next put leaves out");
    bool drops = change->after.record.size == 0; /* all of it: by other rules */
    for (size_t i = 0; i < change->was.sloppy_count && !change->after.settled && !drops; i++)
        if (!has_sloppy(&change->is, &change->was.sloppy[i].version.op))
            say(sim, change, "drops a sloppy put that no settled register covers");
}

/* ---- whom registers come from ---- */

static struct slice register_name(struct buf *out, struct slice key, const struct ballot *ballot)
{
    buf_append(out, &ballot->era, sizeof ballot->era);
    buf_append(out, &ballot->counter, sizeof ballot->counter);
    buf_append(out, &ballot->node, sizeof ballot->node);
    buf_append(out, &ballot->turn, sizeof ballot->turn);
    buf_append(out, key.data, key.size);
    return buf_slice(out);
}

static void note_sighting(struct sighting *sighting, node_id id)
{
    for (unsigned i = 0; i < sighting->count; i++)
        if (sighting->by[i] == id)
            return;
    if (sighting->count < NODES_MAX)
        sighting->by[sighting->count++] = id;
}

/* Has an owner had the register that comes? Or is it an accept of its own. */
static bool note_register(struct sim *sim, const struct change *change)
{
    const struct core *core = change->node->core;
    struct buf name = {0};
    bool known = false;
    if (!takes_register(change))
        return true;
    if (sim->sightings == NULL)
        sim->sightings = base_alloc(sizeof *sim->sightings);
    struct slice words = register_name(&name, change->key, &change->is.reg.ballot);
    struct sighting *sighting = map_get(sim->sightings, words);
    if (sighting == NULL) {
        sighting = base_alloc(sizeof *sighting);
        map_put(sim->sightings, words, sighting);
        known = true;
    }
    buf_free(&name);
    for (unsigned i = 0; i < sighting->count; i++)
        known = known || view_owner(core, change->partition, sighting->by[i]);
    note_sighting(sighting, core_id(core));
    return known;
}

static void check_change(struct sim *sim, struct change *change, struct arena *arena, bool known)
{
    struct era now = view_era(view_of(change->node->core, change->partition));
    check_promise(sim, change);
    check_sloppy(sim, change, arena);
    if (!known && era_compare(change->noted.held, now) == 0)
        say(sim, change, "holds, and takes a register that no owner has had");
}

/* A layout is put by a round: its ballot was promised for this key before anybody accepts it. */
static void check_round(struct sim *sim, struct change *change)
{
    struct ballot ballots[] = {change->is.reg.ballot, change->after.promised};
    for (unsigned i = change->is.has_register ? 0 : 1; i < 2; i++) {
        struct buf name = {0};
        ballots[i].turn = 0;
        if (sim->sightings == NULL)
            sim->sightings = base_alloc(sizeof *sim->sightings);
        struct slice words = register_name(&name, change->key, &ballots[i]);
        bool known = map_get(sim->sightings, words) != NULL;
        if (!known)
            map_put(sim->sightings, words, base_alloc(sizeof(struct sighting)));
        buf_free(&name);
        if (!known && i == 0)
            say(sim, change, "accepts what no round was begun for");
    }
}

/* One in place of a value: it could be dropped here before the other owners have it. */
static void check_tombstone(struct sim *sim, const struct change *change)
{
    struct core *core = change->node->core;
    struct era collected = view_partition(core, change->partition)->collected;
    const struct reg *was = &change->was.reg, *is = &change->is.reg;
    if (change->is.has_register && is->version.kind == TOYSTORE_TOMBSTONE &&
        !(change->was.has_register && was->version.kind == TOYSTORE_TOMBSTONE) &&
        era_compare(is->born, collected) < 0 && view_owner(core, change->partition, core_id(core)))
        say(sim, change, "takes a tombstone of an era before its partition was collected");
}

static void check_record(struct sim *sim, const struct sim_node *node,
                         const struct batch_write *write)
{
    struct change change = {.node = node, .key = blob_slice(write->key)};
    struct arena arena = {0};
    char name[32];
    bool immutable = key_is_immutable(change.key);
    change.partition = view_partition_of(node->core, change.key);
    snprintf(name, sizeof name, "partition/%u", change.partition);
    read_noted(disk_get(&node->disk, TOYSTORE_META, slice_str(name)), &change.noted);
    const struct blob *before = disk_get(&node->disk, TOYSTORE_RECORDS, change.key);
    if (read_entry(&arena, before, &change.before, &change.was) &&
        read_entry(&arena, write->remove ? NULL : write->value, &change.after, &change.is)) {
        bool layout = key_has_prefix(change.key, KEY_LAYOUTS);
        bool known = layout || immutable || note_register(sim, &change);
        if (immutable)
            check_tombstone(sim, &change);
        else if (layout)
            check_round(sim, &change);
        else if (!change.noted.mute)
            check_change(sim, &change, &arena, known);
    }
    arena_free(&arena);
}

void check_rules(struct sim *sim, const struct sim_node *node, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count && view_newest(node->core) != NULL; i++) {
        const struct batch_write *write = &batch->writes[i];
        if (write->space == TOYSTORE_RECORDS)
            check_record(sim, node, write);
    }
}

void sightings_free(struct map *sightings)
{
    if (sightings == NULL)
        return;
    MAP_EACH(entry, sightings)
    free(entry->value);
    map_free(sightings);
    free(sightings);
}
