/* check_cover: covers take over what they cover (PROTOCOL 2): whoever replaces a sloppy put
 * replaces what that one has replaced. Else a copy of the first of three that turns up late, when
 * the second is nowhere any more, would stand beside the third. Looked at when a record is written:
 * clients would see it only after three sloppy puts in a row, each without a majority. */
#include <stdlib.h>

#include "core/view/view.h"
#include "rules/key.h"
#include "rules/version.h"
#include "sim/sim.h"
#include "wire/record.h"

/* What all copies of a sloppy put cover that were written so far. */
struct covered {
    size_t count;
    struct cover covers[];
};

static void note_sloppy(struct sim *sim, const struct version *version)
{
    struct toystore_op op = op_to_public(version->op);
    struct slice name = slice_of(&op, sizeof op);
    struct covered *known = map_get(sim->covered, name);
    size_t kept = 0;
    for (size_t i = 0; known != NULL && i < known->count; i++) {
        struct op_id id = {known->covers[i].session, known->covers[i].sequence};
        if (version_covers(version, &id))
            known->covers[kept++] = known->covers[i];
    }
    if (known != NULL) {
        known->count = kept; /* a second try may have read something else */
        return;
    }
    known = base_alloc(sizeof *known + version->cover_count * sizeof *known->covers);
    known->count = version->cover_count;
    for (size_t i = 0; i < version->cover_count; i++)
        known->covers[i] = version->covers[i];
    map_put(sim->covered, name, known);
}

/* Covers of an older era may be left out once they were collected. */
static const struct cover *left_out(const struct covered *covered, const struct reg *reg,
                                    const struct version *version, const struct era *now)
{
    for (size_t i = 0; i < covered->count; i++) {
        const struct cover *cover = &covered->covers[i];
        struct op_id id = {cover->session, cover->sequence};
        if (era_compare(cover->era, *now) == 0 && !version_covers(version, &id) &&
            (reg == NULL || !register_has(reg, &id)))
            return cover;
    }
    return NULL;
}

static void check_version(struct sim *sim, const struct reg *reg, const struct version *version,
                          const struct era *now)
{
    for (size_t i = 0; i < version->cover_count; i++) {
        struct op_id id = {version->covers[i].session, version->covers[i].sequence};
        struct toystore_op op = op_to_public(id);
        const struct covered *covered = map_get(sim->covered, slice_of(&op, sizeof op));
        if (covered == NULL || check_was_register(sim, &op))
            continue;
        const struct cover *cover = left_out(covered, reg, version, now);
        if (cover != NULL)
            sim_fail(sim, "op %02x/%llu covers %02x/%llu, and not %02x/%llu which that one covers",
                     version->op.session.bytes[0], (unsigned long long)version->op.sequence,
                     op.session[0], (unsigned long long)op.sequence, cover->session.bytes[0],
                     (unsigned long long)cover->sequence);
    }
}

static void check_record(struct sim *sim, const struct sim_node *node, struct slice key,
                         const struct record *record)
{
    struct era now = view_era(view_of(node->core, view_partition_of(node->core, key)));
    for (size_t i = 0; i < record->sloppy_count; i++)
        note_sloppy(sim, &record->sloppy[i].version);
    if (record->has_register)
        check_version(sim, &record->reg, &record->reg.version, &now);
    for (size_t i = 0; i < record->sloppy_count; i++)
        check_version(sim, NULL, &record->sloppy[i].version, &now);
}

void check_covered(struct sim *sim, const struct sim_node *node, const struct batch *batch)
{
    if (sim->covered == NULL)
        sim->covered = base_alloc(sizeof *sim->covered);
    for (size_t i = 0; i < batch->count && !sim->plan.strict; i++) {
        const struct batch_write *write = &batch->writes[i];
        struct arena arena = {0};
        struct entry entry;
        struct record record;
        struct slice key = blob_slice(write->key);
        if (write->space == TOYSTORE_RECORDS && !write->remove && !key_is_immutable(key) &&
            view_newest(node->core) != NULL &&
            entry_decode(blob_slice(write->value), &entry) == 0 && entry.record.size != 0 &&
            record_decode(&arena, entry.record, &record) == 0)
            check_record(sim, node, key, &record);
        arena_free(&arena);
    }
}
