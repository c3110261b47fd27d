/* fs_rename: a file is linked under its new name, then its old name is buried, each put conditional
 * on what was seen there: a crash leaves both names, never neither. The old name's
 * tombstone says where the file went, for publications that are under way.
 *
 * What takes the place of something is made durable first, and the new name before the old one
 * goes: a power loss leaves one of both.
 *
 * A directory is answered EXDEV, which mv and the like take for "copy it".
 *
 * Enters from ops.c; leaves to look.c, firm.c and submit.c. */
#include "conflicts.h"
#include "firm.h"
#include "reclaim.h"

#include <stdlib.h>

struct renaming {
    struct fs *fs;
    struct slice from, to;      /* owned */
    struct seen source, target; /* target.kind TOMBSTONE: nothing there */
    struct toystore_op linked;  /* what stands at the new name, once it was put */
    bool no_replace, names_added;
    bool firm;   /* what the file is made of is durable, or cannot be now: */
    bool torn;   /* then what stood at the new name is kept */
    bool shared; /* the file stood at the new name already: not ours to take away again */
    unsigned tries;
    fs_done_fn *done;
    void *arg;
};

static void end(struct renaming *renaming, int error)
{
    struct fs_answer answer = {.error = error};
    renaming->done(renaming->arg, &answer);
    seen_free(&renaming->source);
    seen_free(&renaming->target);
    slice_free(renaming->from);
    slice_free(renaming->to);
    free(renaming);
}

static void take(struct seen *to, const struct seen *from)
{
    struct seen old = *to;
    *to = *from;
    seen_hold(to);
    seen_free(&old);
}

static void look_source(struct renaming *renaming);
static void look_target(struct renaming *renaming);
static void put_link(struct renaming *renaming);

static bool again(struct renaming *renaming)
{
    if (++renaming->tries < CONFLICTS_MAX)
        return true;
    end(renaming, -ETIMEDOUT);
    return false;
}

/* ---- here: the node goes along with its file ---- */

/* A version that only the old name had is known of none at the new one. */
static void move_contents(struct renaming *renaming, const struct node *node)
{
    LIST_EACH(link, &renaming->fs->contents)
    {
        struct content *content = container_of(link, struct content, link);
        if (content->node != node)
            continue;
        bool source = op_equal(&content->name_op, &renaming->source.op);
        content->name_op = source ? renaming->linked : (struct toystore_op){0};
    }
}

static void moved_here(struct renaming *renaming)
{
    struct fs *fs = renaming->fs;
    struct node *node = node_at(fs, renaming->from);
    if (renaming->target.kind != TOYSTORE_TOMBSTONE)
        fs_gone(fs, renaming->to, &renaming->target.file);
    if (node && op_equal(&node->seen.file, &renaming->source.file)) {
        node_rename(node, renaming->to);
        node_expire(node);
        move_contents(renaming, node);
    }
    if (renaming->target.kind == TOYSTORE_REFERENCE && !renaming->torn)
        reclaim_file(fs, &renaming->target.file);
    parent_touch(fs, renaming->from);
    parent_touch(fs, renaming->to);
    parent_check(fs, renaming->to);
    end(renaming, 0);
}

/* ---- the file record's names: one is added before its reference is put ---- */

static void names_put(void *arg, const struct toystore_result *result)
{
    struct renaming *renaming = arg;
    if (result->status == TOYSTORE_CONFLICT) {
        if (again(renaming))
            look_source(renaming);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        end(renaming, error_of(result));
        return;
    }
    renaming->names_added = true;
    renaming->source.record_op = result->op;
    put_link(renaming);
}

/* Both names, whatever happens next: a name without a reference counts for nothing. */
static void add_name(struct renaming *renaming)
{
    struct seen *source = &renaming->source;
    struct file_record record;
    int error = file_record_decode(blob_slice(source->value), &source->file, &record);
    if (error < 0) {
        end(renaming, -EIO);
        return;
    }
    struct slice names[2] = {renaming->from, renaming->to};
    struct slice *old_names = record.names;
    record.names = names;
    record.name_count = 2;
    struct buf value = {0};
    file_record_encode(&value, &record);
    record.names = old_names;
    file_record_free(&record);
    struct file_key key;
    file_record_key(&key, &source->file);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = &source->record_op,
                                       .match_count = 1,
                                       .exclusive = true,
                                       .change = TOYSTORE_SET,
                                       .kind = TOYSTORE_INTERNAL,
                                       .attributes = source->attributes,
                                       .value = bytes_of(buf_slice(&value))};
    request.attributes.file = source->file;
    fs_submit(renaming->fs, &request, names_put, renaming);
    buf_free(&value);
}

/* ---- bury the old name ---- */

static void buried(void *arg, const struct toystore_result *result)
{
    struct renaming *renaming = arg;
    if (result->status == TOYSTORE_CONFLICT) { /* published to meanwhile: copy that */
        if (again(renaming))
            look_source(renaming);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        end(renaming, error_of(result));
        return;
    }
    moved_here(renaming);
}

static void bury_source(struct renaming *renaming)
{
    struct seen *source = &renaming->source;
    struct blob *moves = moves_add(source->extra, &source->file, renaming->to);
    struct match match;
    match_of(&match, &source->op, source->equal);
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .key = bytes_of(renaming->from),
                                       .condition = TOYSTORE_IF_MATCH,
                                       .match = match.ops,
                                       .match_count = match.count,
                                       .exclusive = true,
                                       .change = TOYSTORE_DELETE,
                                       .extra = bytes_of(blob_slice(moves))};
    fs_submit(renaming->fs, &request, buried, renaming);
    blob_unref(&moves);
}

/* ---- link the new name ---- */

/* Were the old name gone after a power loss, and the new one not there yet, a durable file would
 * be lost. */
static void link_firm(void *arg, int error)
{
    (void)error;
    bury_source(arg);
}

static void linked(void *arg, const struct toystore_result *result)
{
    struct renaming *renaming = arg;
    if (result->status == TOYSTORE_CONFLICT) {
        if (again(renaming))
            look_target(renaming);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        end(renaming, error_of(result));
        return;
    }
    renaming->linked = result->op;
    struct firm *firm = firm_new(renaming->fs);
    firm_name(firm, renaming->to, result->op);
    firm_try(firm, link_firm, renaming);
}

static void made_firm(void *arg, int error)
{
    struct renaming *renaming = arg;
    renaming->firm = true;
    renaming->torn = renaming->torn || error < 0;
    put_link(renaming);
}

static void put_link(struct renaming *renaming)
{
    struct fs *fs = renaming->fs;
    struct seen *source = &renaming->source;
    if (source->kind == TOYSTORE_REFERENCE && !renaming->names_added) {
        add_name(renaming);
        return;
    }
    if (source->kind == TOYSTORE_REFERENCE && !renaming->firm &&
        renaming->target.kind != TOYSTORE_TOMBSTONE) { /* it is about to take its place */
        firm_file(fs, source, made_firm, renaming);
        return;
    }
    bool again_over_ours = !op_none(&renaming->linked);
    bool absent = !again_over_ours && renaming->target.kind == TOYSTORE_TOMBSTONE;
    struct match match;
    match_of(&match, &renaming->target.op, renaming->target.equal);
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = bytes_of(renaming->to),
        .condition = absent ? TOYSTORE_IF_ABSENT : TOYSTORE_IF_MATCH,
        .match = again_over_ours ? &renaming->linked : match.ops,
        .match_count = absent            ? 0
                       : again_over_ours ? 1
                                         : match.count,
        .exclusive = true,
        .change = TOYSTORE_SET,
        .kind = source->kind,
        .attributes = source->attributes,
        .extra = bytes_of(blob_slice(renaming->target.extra)),
    };
    if (source->kind != TOYSTORE_REFERENCE)
        request.value = bytes_of(blob_slice(source->value));
    request.attributes.file = source->file;
    request.attributes.ctime_ns = fs_wall_ns(fs);
    fs_submit(fs, &request, linked, renaming);
}

/* ---- what stands there ---- */

/* The new name is the file's already: by our own put, or by another rename, interrupted or still
 * under way. Then it is put once more, as ours, before the old name is buried: two renames there
 * and back would else bury both names, each trusting in the other's. A copy that has been written
 * to since is nobody's to overwrite: then both names stay. */
static void target_ours(struct renaming *renaming, const struct seen *seen)
{
    const struct seen *source = &renaming->source;
    if (op_equal(&seen->op, &renaming->linked)) {
        put_link(renaming);
        return;
    }
    bool same = seen->kind == source->kind &&
                (seen->kind == TOYSTORE_REFERENCE ||
                 slice_equal(blob_slice(seen->value), blob_slice(source->value)));
    if (!same) {
        end(renaming, -EBUSY);
        return;
    }
    if (op_none(&renaming->linked))
        renaming->target.kind = TOYSTORE_TOMBSTONE;
    renaming->shared = true;
    renaming->linked = seen->op;
    put_link(renaming);
}

static void target_seen(void *arg, int error, const struct seen *seen)
{
    struct renaming *renaming = arg;
    if (error == -ENOENT) {
        take(&renaming->target, seen);
        renaming->target.kind = TOYSTORE_TOMBSTONE;
        renaming->linked = (struct toystore_op){0};
        renaming->shared = false;
        put_link(renaming);
        return;
    }
    if (error == 0 && op_equal(&seen->file, &renaming->source.file)) {
        target_ours(renaming, seen);
        return;
    }
    if (error == 0 && seen->kind == TOYSTORE_DIRECTORY)
        error = -EISDIR;
    if (error == 0 && (renaming->no_replace || seen->sibling))
        error = -EEXIST;
    if (error < 0) {
        end(renaming, error);
        return;
    }
    renaming->linked = (struct toystore_op){0};
    renaming->shared = false;
    take(&renaming->target, seen);
    put_link(renaming);
}

static void look_target(struct renaming *renaming)
{
    look(renaming->fs, renaming->to, target_seen, renaming);
}

/* Somebody else has unlinked the old name, or moved it elsewhere: only one of us can. What stood at
 * the new name stands there again. */
static void undone(void *arg, const struct toystore_result *result)
{
    (void)result; /* written to meanwhile: then it stays */
    end(arg, -ENOENT);
}

static void undo(struct renaming *renaming)
{
    const struct seen *target = &renaming->target;
    bool absent = target->kind == TOYSTORE_TOMBSTONE;
    struct toystore_request request = {
        .type = TOYSTORE_PUT,
        .key = bytes_of(renaming->to),
        .condition = TOYSTORE_IF_MATCH,
        .match = &renaming->linked,
        .match_count = 1,
        .exclusive = true,
        .change = absent ? TOYSTORE_DELETE : TOYSTORE_SET,
        .kind = target->kind,
        .attributes = target->attributes,
        .extra = bytes_of(blob_slice(target->extra)),
    };
    if (!absent && target->kind != TOYSTORE_REFERENCE)
        request.value = bytes_of(blob_slice(target->value));
    request.attributes.file = target->file;
    fs_submit(renaming->fs, &request, undone, renaming);
}

static void sibling_taken(void *arg, int error)
{
    struct renaming *renaming = arg;
    if (error == 0)
        fs_gone(renaming->fs, renaming->from, &renaming->source.file);
    end(renaming, error);
}

static void sibling_firm(void *arg, int error)
{
    struct renaming *renaming = arg;
    (void)error;
    sibling_take(renaming->fs, renaming->from, &renaming->source.op, sibling_taken, renaming);
}

/* Onto its own name it is one put; elsewhere it is copied, then removed, by who asks. */
static void move_sibling(struct renaming *renaming, const struct seen *seen)
{
    struct slice base, tag;
    take(&renaming->source, seen);
    if (!sibling_key(renaming->from, &base, &tag) || !slice_equal(base, renaming->to))
        end(renaming, -EXDEV);
    else if (renaming->no_replace)
        end(renaming, -EEXIST);
    else if (renaming->source.kind == TOYSTORE_REFERENCE)
        firm_file(renaming->fs, &renaming->source, sibling_firm, renaming);
    else
        sibling_firm(renaming, 0);
}

static void source_seen(void *arg, int error, const struct seen *seen)
{
    struct renaming *renaming = arg;
    bool linked_before = !op_none(&renaming->linked);
    bool taken = error == -ENOENT || (error == 0 && !op_equal(&seen->file, &renaming->source.file));
    if (linked_before && taken && renaming->shared) {
        end(renaming, -ENOENT);
        return;
    }
    if (linked_before && taken) {
        undo(renaming);
        return;
    }
    if (error == 0 && seen->kind == TOYSTORE_DIRECTORY)
        error = -EXDEV;
    if (error < 0) {
        end(renaming, error);
        return;
    }
    if (seen->sibling) {
        move_sibling(renaming, seen);
        return;
    }
    take(&renaming->source, seen);
    renaming->firm = false;
    if (linked_before)
        put_link(renaming);
    else
        look_target(renaming);
}

static void look_source(struct renaming *renaming)
{
    look(renaming->fs, renaming->from, source_seen, renaming);
}

static void source_published(void *arg, int error)
{
    struct renaming *renaming = arg;
    if (error < 0)
        end(renaming, error);
    else
        look_source(renaming);
}

enum { NO_REPLACE = 1 }; /* RENAME_NOREPLACE of renameat2(2) */

void fs_rename(struct fs *fs, uint64_t parent_id, const char *name, uint64_t new_parent_id,
               const char *new_name, unsigned flags, fs_done_fn *done, void *arg)
{
    const struct node *parent = node_get(fs, parent_id);
    const struct node *new_parent = node_get(fs, new_parent_id);
    struct slice from = {0}, to = {0};
    int error = 0;
    if (parent == NULL || new_parent == NULL)
        error = -ESTALE;
    else if (flags & ~(unsigned)NO_REPLACE)
        error = -EINVAL;
    else if (control_name(new_parent, new_name) ||
             (control_name(parent, name) && parent->control != CONTROL_CONFLICTS))
        error = -EPERM;
    if (error == 0)
        error = name_join(parent->key, slice_str(name), &from);
    if (error == 0)
        error = name_join(new_parent->key, slice_str(new_name), &to);
    if (error < 0) {
        slice_free(from);
        answer_error(error, done, arg);
        return;
    }
    struct renaming *renaming = base_alloc(sizeof *renaming);
    *renaming = (struct renaming){.fs = fs, .from = from, .to = to, .done = done, .arg = arg};
    renaming->no_replace = (flags & NO_REPLACE) != 0;
    struct node *node = node_at(fs, from), *target = node_at(fs, to);
    if (node && node->content && (content_dirty(node->content) || node->content->publishing)) {
        content_publish(node->content, source_published, renaming);
        return;
    }
    if (node == NULL || !node_fresh(node) || node->seen.value == NULL) {
        look_source(renaming);
        return;
    }
    if (target && !node->seen.sibling && !target->seen.sibling && node_fresh(target) &&
        target->seen.kind != TOYSTORE_DIRECTORY && node->seen.kind != TOYSTORE_DIRECTORY &&
        !renaming->no_replace && !op_equal(&node->seen.file, &target->seen.file) &&
        target->content == NULL) {
        take(&renaming->source, &node->seen);
        take(&renaming->target, &target->seen);
        put_link(renaming);
        return;
    }
    source_seen(renaming, 0, &node->seen);
}
