/* raw_put: a raw put makes the directories above its key that are missing, each by an exclusive
 * put; nothing can be put below a file. One that made a new name looks at its parent again behind
 * its answer: gone meanwhile, it is made again, since a write beats a delete.
 *
 * Enters from: raw.c. Leaves to: ask.c. */
#include "core/ask/raw.h"

#include <stdio.h>
#include <sys/stat.h>

enum { DIRECTORIES_MAX = 4096, MAKE_TRIES_MAX = 16, DIRECTORY_MODE = S_IFDIR | 0755 };

/* ---- directories that were seen; one that has gone since is noticed behind the answer ---- */

static bool known(const struct asks *asks, struct slice directory)
{
    return map_get(&asks->directories, directory) != NULL;
}

static void remember(struct asks *asks, struct slice directory)
{
    if (asks->directories.count >= DIRECTORIES_MAX)
        map_free(&asks->directories);
    map_put(&asks->directories, directory, asks);
}

static struct slice ancestor(const struct raw *raw)
{
    return slice_of(raw->request.key.data, raw->depth);
}

enum { TOLD_MAX = 80 }; /* bytes of the directory's name in a message */

static void fail_above(struct core *core, struct raw *raw, enum toystore_status status,
                       const char *what)
{
    struct slice above = ancestor(raw);
    snprintf(raw->message, sizeof raw->message, "its directory \"%.*s%s\" %s",
             (int)min_size(above.size, TOLD_MAX), (const char *)above.data,
             above.size > TOLD_MAX ? "..." : "", what);
    raw_fail(core, raw, status, raw->message);
}

static void ask_make(struct core *core, const struct raw *raw, ask_done_fn *done)
{
    int64_t now_ns = (int64_t)core_hybrid_us(core) * 1000;
    struct toystore_request make = {.type = TOYSTORE_PUT,
                                    .key = slice_to_public(ancestor(raw)),
                                    .condition = TOYSTORE_IF_ABSENT,
                                    .kind = TOYSTORE_DIRECTORY,
                                    .attributes = {.mode = DIRECTORY_MODE,
                                                   .atime_ns = now_ns,
                                                   .mtime_ns = now_ns,
                                                   .ctime_ns = now_ns},
                                    .exclusive = true,
                                    .durable = raw->request.durable,
                                    .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &make, &raw->session, done, raw->op.handle);
}

static void ask_look(struct core *core, const struct raw *raw, ask_done_fn *done)
{
    struct toystore_request look = {.type = TOYSTORE_GET,
                                    .key = slice_to_public(ancestor(raw)),
                                    .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &look, &raw->session, done, raw->op.handle);
}

/* ---- from the parent upwards until something is there, then downwards ---- */

void raw_put_begin(struct core *core, struct raw *raw)
{
    struct slice key = slice_public(raw->request.key);
    raw->depth = key_parent(key).size;
    if (raw->depth == 0 || known(core->asks, ancestor(raw)))
        raw_move(core, raw, RAW_DO);
    else
        raw_move(core, raw, RAW_PARENT);
}

/* The next ancestor below the one at raw->depth, or the key itself: then the put. */
static void descend(struct core *core, struct raw *raw)
{
    struct slice key = slice_public(raw->request.key);
    size_t parent = key_parent(key).size;
    if (raw->depth >= parent) {
        raw_move(core, raw, RAW_DO);
        return;
    }
    size_t at = raw->depth ? raw->depth + 1 : 0;
    while (at < parent && key.data[at] != '/')
        at++;
    raw->depth = at;
    raw_move(core, raw, RAW_MAKE);
}

static void looked(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (result->status == TOYSTORE_NOT_FOUND) {
        raw->depth = key_parent(ancestor(raw)).size;
        if (raw->depth == 0 || known(core->asks, ancestor(raw)))
            descend(core, raw);
        else
            raw_move(core, raw, RAW_PARENT);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        fail_above(core, raw, result->status, "could not be read");
        return;
    }
    if (result->versions[0].kind != TOYSTORE_DIRECTORY) {
        fail_above(core, raw, TOYSTORE_NOT_DIRECTORY, "is no directory");
        return;
    }
    remember(core->asks, ancestor(raw));
    descend(core, raw);
}

void raw_parent(struct core *core, struct operation *operation)
{
    ask_look(core, raw_of(operation), looked);
}

static void made(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (result->status == TOYSTORE_OK) {
        remember(core->asks, ancestor(raw));
        descend(core, raw);
    } else if (result->status == TOYSTORE_CONFLICT && ++raw->tries < MAKE_TRIES_MAX) {
        raw_move(core, raw, RAW_PARENT); /* somebody else made something there */
    } else {
        fail_above(core, raw, result->status,
                   "could not be made: that takes a majority of the directory's own owners");
    }
}

void raw_make(struct core *core, struct operation *operation)
{
    ask_make(core, raw_of(operation), made);
}

/* ---- behind the answer ---- */

static void revived(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (result->status == TOYSTORE_OK) /* what is above it may be gone, too */
        raw->depth = key_parent(ancestor(raw)).size;
    bool again = result->status == TOYSTORE_OK || result->status == TOYSTORE_CONFLICT;
    bool done = !again || raw->depth == 0 || ++raw->tries >= MAKE_TRIES_MAX;
    raw_move(core, raw, done ? RAW_DONE : RAW_BEHIND);
}

static void looked_again(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    const struct toystore_version *there =
        result->status == TOYSTORE_OK ? &result->versions[0] : NULL;
    bool gone = result->status == TOYSTORE_NOT_FOUND;
    bool closing = there && there->kind == TOYSTORE_DIRECTORY &&
                   (there->attributes.flags & TOYSTORE_FLAG_CLOSING);
    if (gone || (there && there->kind != TOYSTORE_DIRECTORY))
        map_remove(&core->asks->directories, ancestor(raw));
    if (!gone && !closing) {
        raw_move(core, raw, RAW_DONE);
        return;
    }
    raw->closing = closing;
    if (closing) {
        raw->shown = *there;
        raw->shown.extra = slice_to_public(arena_copy(&raw->arena, slice_public(there->extra)));
        raw->shown.attributes.flags &= ~(uint32_t)TOYSTORE_FLAG_CLOSING;
    }
    raw_move(core, raw, RAW_REVIVE);
}

void raw_behind(struct core *core, struct operation *operation)
{
    ask_look(core, raw_of(operation), looked_again);
}

void raw_revive(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    if (!raw->closing) {
        ask_make(core, raw, revived);
        return;
    }
    struct toystore_request unmark = {.type = TOYSTORE_PUT,
                                      .key = slice_to_public(ancestor(raw)),
                                      .condition = TOYSTORE_IF_MATCH,
                                      .match = &raw->shown.op,
                                      .match_count = 1,
                                      .kind = TOYSTORE_DIRECTORY,
                                      .attributes = raw->shown.attributes,
                                      .extra = raw->shown.extra,
                                      .exclusive = true,
                                      .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &unmark, &raw->session, revived, raw->op.handle);
}
