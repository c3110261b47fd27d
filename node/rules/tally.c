/* tally: counts what owners showed. Pure but for the references to frames that it keeps. */
#include "rules/tally.h"

#include "rules/version.h"

void tally_clear(struct tally *tally)
{
    for (unsigned i = 0; i < tally->electorate.member_count; i++) {
        blob_unref(&tally->votes[i].frame);
        tally->votes[i].record = NULL;
        tally->votes[i].settled = false;
        tally->votes[i].bytes = slice_of(NULL, 0);
    }
    tally->asked = tally->shown = tally->failed = 0;
    tally->base = (struct record){0};
    arena_free(&tally->arena);
}

/* The usual case is that all owners show the same bytes: decoded once. */
static const struct record *same_bytes(const struct tally *tally, struct slice bytes)
{
    for (unsigned i = 0; i < tally->electorate.member_count; i++)
        if (tally->votes[i].record && slice_equal(tally->votes[i].bytes, bytes))
            return tally->votes[i].record;
    return NULL;
}

bool tally_show(struct tally *tally, unsigned index, struct slice bytes, bool settled,
                struct blob *frame)
{
    assert(index < tally->electorate.member_count);
    uint32_t bit = 1u << index;
    if (tally->shown & bit)
        return true;
    const struct record *record = same_bytes(tally, bytes);
    if (!record) {
        struct record *fresh = arena_alloc(&tally->arena, sizeof *fresh);
        if (bytes.size > 0 && record_take(&tally->arena, bytes, tally->collected, fresh) != 0) {
            tally->failed |= bit;
            return false;
        }
        record = fresh;
    }
    tally->votes[index].record = record;
    tally->votes[index].settled = settled;
    tally->votes[index].frame = blob_ref(frame);
    tally->votes[index].bytes = bytes;
    tally->shown |= bit;
    tally->failed &= ~bit;
    return true;
}

void tally_merge(struct tally *tally)
{
    const struct record *last = NULL;
    tally->base = (struct record){0};
    for (unsigned i = 0; i < tally->electorate.member_count; i++) {
        const struct record *record = tally->votes[i].record;
        if (!record || record == last)
            continue;
        if (!last)
            tally->base = *record;
        else
            record_merge(&tally->arena, &tally->base, record, &tally->base);
        last = record;
    }
}

bool tally_chosen(const struct tally *tally)
{
    if (!tally->base.has_register)
        return true;
    uint32_t mask = 0;
    for (unsigned i = 0; i < tally->electorate.member_count; i++) {
        const struct record *record = tally->votes[i].record;
        if (!record || !record->has_register ||
            ballot_compare(&record->reg.ballot, &tally->base.reg.ballot) != 0)
            continue;
        if (tally->votes[i].settled)
            return true;
        mask |= 1u << i;
    }
    return electorate_has(&tally->electorate, mask, QUORUM_ACCEPT);
}

uint32_t tally_same(const struct tally *tally)
{
    uint32_t mask = 0;
    for (unsigned i = 0; i < tally->electorate.member_count; i++) {
        const struct record *record = tally->votes[i].record;
        if (record && record_equal(record, &tally->base))
            mask |= 1u << i;
    }
    return mask;
}

static bool holds_op(const struct record *record, const struct op_id *op)
{
    for (size_t i = 0; i < record->sloppy_count; i++)
        if (op_id_equal(&record->sloppy[i].version.op, op))
            return true;
    return false;
}

uint32_t tally_sloppy_held(const struct tally *tally)
{
    uint32_t mask = electorate_all(&tally->electorate); /* of none there is nothing to miss */
    for (size_t s = 0; s < tally->base.sloppy_count; s++) {
        if (!sloppy_visible(&tally->base, s))
            continue;
        for (unsigned i = 0; i < tally->electorate.member_count; i++)
            if (!tally->votes[i].record ||
                !holds_op(tally->votes[i].record, &tally->base.sloppy[s].version.op))
                mask &= ~(1u << i);
    }
    return mask;
}
