/* PROTOCOL 3: what prepare, accept, store and settled do to a key's entry. Pure: an entry and a
 * record in, the same changed out; who asks and who hears of it is replica_request.c's. */
#include "core/replica/replica_priv.h"
#include "core/view/view.h"
#include "rules/version.h"

struct ballot replica_promised(const struct replica_work *work, const struct ballot *partition)
{
    return ballot_compare(&work->entry.promised, partition) > 0 ? work->entry.promised : *partition;
}

enum toystore_status replica_prepare(struct replica_work *work, const struct ballot *partition,
                                     const struct ballot *ballot)
{
    struct ballot promised = replica_promised(work, partition);
    if (ballot_compare(ballot, &promised) <= 0)
        return TOYSTORE_NACK;
    work->entry.promised = *ballot;
    work->write = true;
    return TOYSTORE_OK;
}

/* The union of sloppy puts, under the register that wins. True: something changed. */
static bool merge(struct replica_work *work, const struct record *incoming)
{
    if (incoming->sloppy_count == 0 && work->record.sloppy_count == 0) {
        if (!incoming->has_register ||
            (work->record.has_register &&
             ballot_compare(&incoming->reg.ballot, &work->record.reg.ballot) <= 0))
            return false;
        work->record = *incoming;
        return true;
    }
    struct record merged;
    record_merge(&work->arena, &work->record, incoming, &merged);
    if (work->entry.settled)
        record_prune(&work->arena, &merged);
    bool changed = !record_equal(&work->record, &merged);
    work->record = merged;
    return changed;
}

static void raise_promise(struct replica_work *work, const struct ballot *ballot)
{
    if (ballot_compare(ballot, &work->entry.promised) > 0)
        work->entry.promised = *ballot;
}

enum toystore_status replica_accept(struct replica_work *work, const struct ballot *partition,
                                    const struct record *incoming, enum replica_accept decides)
{
    const struct ballot *ballot = &incoming->reg.ballot;
    if (work->record.has_register &&
        ballot_compare(&work->record.reg.ballot, ballot) == 0) /* once more */
        return TOYSTORE_OK;
    struct ballot promised = replica_promised(work, partition);
    if (ballot_compare(&promised, ballot) > 0)
        return TOYSTORE_NACK;
    work->entry.settled = false; /* before the merge, which drops what a settled register covers */
    merge(work, incoming);
    work->entry.settled = decides == ACCEPT_DECIDES;
    raise_promise(work, ballot);
    work->write = true;
    return TOYSTORE_OK;
}

enum toystore_status replica_store(struct replica_work *work, const struct ballot *promised,
                                   const struct record *incoming, bool settled, bool from_owner)
{
    struct record taken = *incoming;
    enum toystore_status status = TOYSTORE_OK;
    if (!from_owner)
        taken.has_register = false;
    if (taken.has_register) {
        const struct ballot *ballot = &taken.reg.ballot;
        int order =
            work->record.has_register ? ballot_compare(ballot, &work->record.reg.ballot) : 1;
        struct ballot highest = replica_promised(work, promised);
        if (order > 0 && !settled && ballot_compare(&highest, ballot) > 0) {
            taken.has_register = false;
            status = TOYSTORE_REFUSED;
        } else if (order > 0) {
            work->entry.settled = settled;
            raise_promise(work, ballot);
            work->write = true;
        } else if (order == 0 && settled && !work->entry.settled) {
            work->entry.settled = true;
            work->write = true;
        }
    }
    if (merge(work, &taken))
        work->write = true;
    return status;
}

void replica_settled(struct replica_work *work, const struct ballot *ballot)
{
    if (!work->record.has_register || work->entry.settled ||
        ballot_compare(&work->record.reg.ballot, ballot) != 0)
        return;
    work->entry.settled = true;
    work->write = true;
}

/* A tombstone takes the place of the value, for ever; of two the later one stays. */
enum { IMMUTABLE_TOMBSTONE_MAX = 1024 };

enum toystore_status replica_immutable(struct replica_work *work, struct slice bytes,
                                       struct blob *in)
{
    struct record record;
    if (record_decode(&work->arena, bytes, &record) != 0 || !record.has_register ||
        record.sloppy_count != 0 || !ballot_none(&record.reg.ballot))
        return TOYSTORE_INVALID;
    struct record stored;
    bool there = !work->damaged && work->entry.record.size > 0;
    bool tombstone = record.reg.version.kind == TOYSTORE_TOMBSTONE;
    if (there && !tombstone)
        return TOYSTORE_OK; /* never rewritten */
    if (there && work->entry.record.size <= IMMUTABLE_TOMBSTONE_MAX &&
        record_decode(&work->arena, work->entry.record, &stored) == 0 &&
        stored.reg.version.kind == TOYSTORE_TOMBSTONE &&
        era_compare(stored.reg.born, record.reg.born) >= 0)
        return TOYSTORE_OK;
    work->damaged = false;
    work->entry.record = bytes;
    work->record = record;
    work->record_in = in;
    work->write = true;
    return TOYSTORE_OK;
}
