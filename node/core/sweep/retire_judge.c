/* retire_judge: what does a file name, for ever? For the sweep of a retired session's
 * chunks: one that is deleted must not be named by any version that may yet appear.
 *
 * Every storing member has noted the retirement, so nothing new is begun in its name; what was
 * begun before stands on some disk. So all storing members are asked, twice, with one layout live:
 * all owners show the same record, without siblings, and nobody else shows anything; twice, since a
 * copy may be on its way from one to the other. Then that version is the only one there is, and
 * whoever replaces it names of such chunks what it names. It is made durable, lest a power loss
 * bring back the one before, and looked at once more, should that have come in between. Enters from
 * retire_sweep.c; leaves to GET at the members, FETCH of pages, SYNC. */
#include <stdio.h>
#include <stdlib.h>

#include "core/ask/ask.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/view.h"
#include "rules/key.h"
#include "wire/file_pieces.h"

enum { JUDGE_ROUNDS = 2, JUDGE_KEY_SIZE = 160 };

struct sweep_file {
    uint64_t handle;
    struct op_id id;
    sweep_judged_fn *done;
    char key[JUDGE_KEY_SIZE];
    uint32_t partition;
    struct view view;
    node_id *members;
    size_t member_count;
    unsigned round, open;
    bool failed, shown;
    struct blob *record; /* that the owners show */
    struct arena arena;
    struct file_pieces pieces;
    uint32_t page;
    struct op_id *named;
    size_t capacity;
    struct sweep_verdict verdict; /* so far */
    struct timer timer;
};

static struct sweep_file *file_of(struct core *core, uint64_t handle)
{
    struct sweep_file *file = core->retire->sweep.file;
    return file && file->handle == handle ? file : NULL;
}

void retire_judge_free(struct sweep *sweep)
{
    struct sweep_file *file = sweep->file;
    if (!file)
        return;
    sweep->file = NULL;
    blob_unref(&file->record);
    arena_free(&file->arena);
    free(file->members);
    free(file->named);
    free(file);
}

static int by_op(const void *a, const void *b)
{
    return op_id_compare(a, b);
}

static void judged(struct core *core, struct timer *timer)
{
    struct sweep_file *file = file_of(core, timer->handle);
    assert(file);
    sweep_judged_fn *done = file->done;
    struct op_id *named = file->named;
    struct sweep_verdict verdict = file->verdict;
    file->named = NULL;
    retire_judge_free(&core->retire->sweep);
    if (verdict.count > 0)
        qsort(named, verdict.count, sizeof *named, by_op);
    verdict.named = named;
    done(core, &verdict);
    free(named);
}

static void end(struct core *core, struct sweep_file *file, bool known)
{
    file->verdict.known = known;
    file->timer.handle = file->handle;
    timer_set(core, &file->timer, core->now_us, judged);
}

static void ask_round(struct core *core, struct sweep_file *file);

/* ---- what it names ---- */

static void name(struct sweep_file *file, const struct op_id *op)
{
    if (file->verdict.count == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 64;
        file->named = base_realloc(file->named, file->capacity * sizeof *file->named);
    }
    file->named[file->verdict.count++] = *op;
}

static bool name_all(struct sweep_file *file, struct slice extents, size_t patch_size)
{
    struct file_extent extent;
    while (extents.size > 0) {
        if (file_extent_take(&extents, patch_size, &extent) != 0)
            return false;
        if (extent.chunk.sequence != 0)
            name(file, &extent.chunk);
    }
    return true;
}

static void synced(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct sweep_file *file = file_of(core, handle);
    if (file && result->status == TOYSTORE_OK)
        ask_round(core, file); /* the last one: is it still what everybody shows? */
    else if (file)
        end(core, file, false);
}

static void make_durable(struct core *core, struct sweep_file *file)
{
    struct toystore_bytes key = {file->key, strlen(file->key)};
    struct toystore_request request = {
        .type = TOYSTORE_SYNC, .key = key, .keys = &key, .key_count = 1};
    ask(core, &request, NULL, synced, file->handle);
}

static void next_page(struct core *core, struct sweep_file *file);

static void page_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct sweep_file *file = file_of(core, handle);
    if (!file)
        return;
    if (result->status == TOYSTORE_OK && result->version_count == 1 &&
        name_all(file, slice_of(result->versions[0].value.data, result->versions[0].value.size), 0))
        next_page(core, file);
    else
        end(core, file, false);
}

static void next_page(struct core *core, struct sweep_file *file)
{
    struct file_page page;
    char room[JUDGE_KEY_SIZE], text[OP_TEXT_SIZE + 1];
    if (file->page == file->pieces.page_count) {
        make_durable(core, file);
        return;
    }
    file_page_at(&file->pieces, file->page++, &page);
    name(file, &page.page);
    retire_file_key(room, sizeof room, KEY_PAGES, &file->id);
    op_text(text, &page.page);
    size_t size = strlen(room);
    snprintf(room + size, sizeof room - size, "/%.*s-%s", 2 * SESSION_SIZE, text,
             text + 2 * SESSION_SIZE);
    struct toystore_request request = {.type = TOYSTORE_FETCH, .key = {room, strlen(room)}};
    ask(core, &request, NULL, page_read, file->handle);
}

static void read_record(struct core *core, struct sweep_file *file)
{
    struct record record = {0};
    struct slice bytes = blob_slice(file->record);
    if (bytes.size > 0 && record_decode(&file->arena, bytes, &record) != 0) {
        end(core, file, false);
        return;
    }
    const struct version *version = &record.reg.version;
    file->verdict.absent = !record.has_register;
    file->verdict.living = record.has_register && !retire_noted(core, &version->op.session);
    if (!record.has_register || version->kind == TOYSTORE_TOMBSTONE) {
        make_durable(core, file); /* there is no file, or no more */
    } else if (record.sloppy_count == 0 && version->kind == TOYSTORE_INTERNAL &&
               file_pieces_open(version->value, &file->pieces) == 0 &&
               name_all(file, file->pieces.extents, file->pieces.patches.size)) {
        next_page(core, file);
    } else {
        end(core, file, false); /* of a newer format, perhaps */
    }
}

/* ---- what everybody shows ---- */

static bool fits(struct core *core, struct sweep_file *file, node_id from, struct slice bytes)
{
    struct record record = {0};
    struct arena arena = {0};
    bool owner = view_owner(core, file->partition, from);
    bool plain =
        bytes.size == 0 || (record_decode(&arena, bytes, &record) == 0 && record.sloppy_count == 0);
    arena_free(&arena);
    if (!owner)
        return bytes.size == 0; /* what a former owner has, it gives up first */
    if (!plain || (file->shown && !slice_equal(blob_slice(file->record), bytes)))
        return false;
    if (!file->shown)
        file->record = blob_copy(bytes);
    return file->shown = true;
}

static bool same_layout(struct core *core, const struct sweep_file *file)
{
    struct view now = view_of(core, file->partition);
    return now.oldest == now.newest && now.newest == file->view.newest && !view_learning(core);
}

static void answered(struct core *core, uint64_t handle, uint64_t index,
                     const struct rpc_answer *answer)
{
    struct sweep_file *file = file_of(core, handle);
    struct replica_reply reply = {.status = TOYSTORE_UNAVAILABLE};
    if (!file || index >> 32 != file->round)
        return;
    if (answer->status == TOYSTORE_OK && !replica_reply_decode(answer->result, &reply))
        reply.status = TOYSTORE_INVALID;
    if (reply.status == TOYSTORE_STALE && !file->failed) /* the next pass knows */
        view_adopt(core, file->partition, &reply.view, answer->from, REPLICA_TIMEOUT_MS, NULL, 0);
    bool unheard = reply.status != TOYSTORE_OK;
    if (unheard ? !BROKEN(core, sweep_unasked)
                : !fits(core, file, file->members[(uint32_t)index], reply.record))
        file->failed = true;
    if (--file->open > 0)
        return;
    if (file->failed || !file->shown || !same_layout(core, file))
        end(core, file, false);
    else if (file->round == JUDGE_ROUNDS)
        read_record(core, file);
    else if (file->round > JUDGE_ROUNDS)
        end(core, file, true);
    else
        ask_round(core, file);
}

static void ask_round(struct core *core, struct sweep_file *file)
{
    struct blob *params = RPC_PARAMS(
        get_request, {.view = view_of(core, file->partition), .key = slice_str(file->key)});
    file->round++;
    file->open = (unsigned)file->member_count;
    for (size_t i = 0; i < file->member_count; i++)
        rpc_call(core, file->members[i], METHOD_GET, blob_ref(params), REPLICA_TIMEOUT_MS, answered,
                 file->handle, (uint64_t)file->round << 32 | i);
    blob_unref(&params);
}

void retire_judge(struct core *core, const struct op_id *id, sweep_judged_fn *done)
{
    struct sweep *sweep = &core->retire->sweep;
    struct sweep_file *file = base_alloc(sizeof *file);
    assert(!sweep->file);
    sweep->file = file;
    file->handle = ++sweep->files;
    file->id = *id;
    file->done = done;
    retire_file_key(file->key, sizeof file->key, KEY_FILES, id);
    file->partition = view_partition_of(core, slice_str(file->key));
    file->view = view_of(core, file->partition);
    file->members = view_everybody(core, &file->member_count);
    if (same_layout(core, file) && file->member_count > 0)
        ask_round(core, file);
    else
        end(core, file, false);
}
