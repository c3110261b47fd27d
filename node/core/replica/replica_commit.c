/* The writes that belong to one operation on a key, in one batch: the record with its promise, the
 * digest for the hash tree, the entry of the listing index. The tree in memory follows when the
 * commit is asked for, as scans do that come after it: a newer era or a leadership that is noted
 * while an accept is on its way to the disk must see it, since its acknowledgement still counts.
 * What the disk then refuses is taken out again. */
#include "core/replica/replica_priv.h"
#include "core/replica/tree.h"
#include "core/retire/retire.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "rules/listing.h"
#include "rules/version.h"

/* The keys of layouts have owners of their own (all members), so they are in no partition's tree:
 * there they would travel to who must not have them, and differ for ever. */
static void collect_token(struct replica_op *op)
{
    if (key_has_prefix(op->work.key, KEY_LAYOUTS))
        return;
    op->digest_changed = true;
    struct batch *batch = &op->work.batch;
    struct slice token = slice_of(op->token_id.bytes, sizeof op->token_id.bytes);
    if (!op->has) {
        if (op->had)
            batch_remove(batch, TOYSTORE_TOKENS, token);
        return;
    }
    struct buf value = {0};
    token_encode(&value, &op->digest_after, op->work.key);
    batch_put_blob(batch, TOYSTORE_TOKENS, token, buf_take(&value));
}

static void collect_listing(struct replica_op *op)
{
    struct slice key = op->work.key;
    if (!listing_wanted(key))
        return;
    struct slice name = key_name(key);
    struct buf index = {0}, value = {0};
    key_listing(&index, key_parent(key), key_cookie(name), name);
    if (op->has) {
        struct listing listing;
        listing_of(&op->work.record, &listing);
        listing_encode(&value, &listing);
        batch_put_blob(&op->work.batch, TOYSTORE_LISTING, buf_slice(&index), buf_take(&value));
    } else {
        batch_remove(&op->work.batch, TOYSTORE_LISTING, buf_slice(&index));
    }
    buf_free(&index);
}

enum { PART_SIZE_MIN = 16 * 1024 }; /* a smaller record is copied behind its head */

static void collect_entry(const struct core *core, struct replica_op *op, const struct entry *entry)
{
    if (entry->record.size == 0 && ballot_none(&entry->promised)) {
        batch_remove(&op->work.batch, TOYSTORE_RECORDS, op->work.key);
        return;
    }
    struct buf value = {0};
    if (core->config.takes_parts && op->work.record_in != NULL &&
        entry->record.size >= PART_SIZE_MIN) {
        entry_encode_head(&value, entry);
        batch_put_parts(&op->work.batch, TOYSTORE_RECORDS, op->work.key, buf_take(&value),
                        entry->record, op->work.record_in);
        return;
    }
    entry_encode(&value, entry);
    batch_put_blob(&op->work.batch, TOYSTORE_RECORDS, op->work.key, buf_take(&value));
}

static void collect_digests(struct core *core, struct replica_op *op, struct slice record)
{
    struct slice key = op->work.key;
    /* A mark stands for a copy that has vanished since, too. */
    if (!op->was_damaged && tree_marked(core, &op->token_id)) {
        op->had = true;
        op->digest_before = token_damaged(core, &op->token_id);
    } else if (!op->was_damaged && op->before.size > 0) {
        op->had = true;
        op->digest_before = tree_digest(key, op->before);
    }
    op->has = record.size > 0;
    if (op->has)
        op->digest_after = tree_digest(key, record);
}

/* Before work changes it. What is not decoded is looked at only when it is written to. */
void replica_grave_before(struct replica_op *op)
{
    const struct replica_work *work = &op->work;
    op->promised_before = work->entry.promised;
    if (op->depth == REPLICA_DECODED)
        op->grave_before = grave_of(work->key, &op->promised_before, &work->record);
    op->grave_after = op->grave_before;
}

static void collect_grave(struct core *core, struct replica_op *op, const struct entry *entry)
{
    struct replica_work *work = &op->work;
    static const struct record none;
    if (op->depth == REPLICA_RAW)
        op->grave_before = grave_of_bytes(work->key, &op->promised_before, op->before);
    if (work->drop)
        op->grave_after = grave_of(work->key, &entry->promised, &none);
    else if (op->depth == REPLICA_RAW)
        op->grave_after = grave_of_bytes(work->key, &entry->promised, entry->record);
    else
        op->grave_after = grave_of(work->key, &entry->promised, &work->record);
    grave_write(core, work->key, &op->grave_before, &op->grave_after, &work->batch);
}

static void collect_write(struct core *core, struct replica_op *op)
{
    struct replica_work *work = &op->work;
    struct buf encoded = {0};
    struct entry entry = work->entry;
    if (work->drop) {
        entry = (struct entry){0};
    } else if (op->depth == REPLICA_DECODED) {
        if (entry.settled && record_prune(&work->arena, &work->record))
            op->encoded = slice_of(NULL, 0);
        entry.record = op->encoded;
        if (entry.record.size == 0) {
            record_encode(&encoded, &work->record);
            entry.record = buf_slice(&encoded);
        }
    }
    collect_entry(core, op, &entry);
    collect_grave(core, op, &entry);
    /* a promise alone leaves the digest and the index as they are */
    op->token_id = key_token(work->key);
    if (op->was_damaged || tree_marked(core, &op->token_id) ||
        !slice_equal(entry.record, op->before)) {
        collect_digests(core, op, entry.record);
        collect_token(op);
        collect_listing(op);
    }
    buf_free(&encoded);
}

/* The damaged copy stays until others' takes its place; the mark makes the tree differ. */
static void collect_damage(struct core *core, struct replica_op *op)
{
    op->has = true;
    op->digest_after = token_damaged(core, &op->token_id);
    collect_token(op);
}

/* It is whole again: so its token says what it is. */
static void collect_whole(struct core *core, struct replica_op *op)
{
    if (!tree_any_marked(core))
        return;
    op->token_id = key_token(op->work.key);
    if (!tree_marked(core, &op->token_id))
        return;
    collect_digests(core, op, op->before);
    collect_token(op);
}

void replica_collect(struct core *core, struct replica_op *op)
{
    struct replica_work *work = &op->work;
    if (BROKEN(core, deleted_returns) && work->write && work->entry.settled &&
        work->record.has_register && work->record.reg.version.kind == TOYSTORE_TOMBSTONE)
        work->drop = true;
    if (work->write)
        retire_with_record(&work->batch, work->key, &work->record);
    if (work->write || work->drop)
        collect_write(core, op);
    else if (work->damaged && !op->marked)
        collect_damage(core, op);
    else if (!work->damaged)
        collect_whole(core, op);
}

static void tree_change(struct core *core, const struct replica_op *op,
                        const struct hash128 *before, const struct hash128 *after)
{
    if (BROKEN(core, tree_stale) && op->token_id.bytes[1] % 8 == 0)
        return;
    if (op->digest_changed)
        tree_update(core, view_partition_of(core, op->work.key), &op->token_id, before, after);
}

void replica_tree_follow(struct core *core, const struct replica_op *op)
{
    tree_change(core, op, op->had ? &op->digest_before : NULL, op->has ? &op->digest_after : NULL);
    grave_follow(core, op->work.key, &op->grave_before, &op->grave_after);
}

void replica_tree_undo(struct core *core, const struct replica_op *op)
{
    tree_change(core, op, op->has ? &op->digest_after : NULL, op->had ? &op->digest_before : NULL);
    grave_follow(core, op->work.key, &op->grave_after, &op->grave_before);
}
