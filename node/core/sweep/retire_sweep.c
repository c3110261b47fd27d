/* retire_sweep: chunks and pages of a retired session that no version of their file names leave the
 * disks: those of a client that was killed before it published them, or overwrote them
 * first. Some time after every member has noted the retirement, so that a client that was only
 * asleep can still store anew what it had not published, each node goes through its keys once,
 * slowly, and deletes what of its partitions (those for which it is the first owner)
 * retire_judge.c says that nobody can name any more. Where that is not to be had, a pass is made
 * again later; and in a new layout once more, since others are the first owners then, who may have
 * made theirs before: of sessions that were swept long ago everybody has. Enters from the timer of
 * retire_tell.c; leaves to the disk, retire_judge.c and ask.c. */
#include <stdio.h>
#include <stdlib.h>

#include "core/ask/ask.h"
#include "core/replica/tree.h"
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "core/view/view.h"
#include "rules/key.h"

void retire_sweep_free(struct retire *retire)
{
    struct sweep *sweep = &retire->sweep;
    retire_judge_free(sweep);
    map_free(&sweep->sessions);
    free(sweep->sweeping);
    blob_unref(&sweep->after);
    free(sweep->pieces);
}

/* ---- keys ---- */

void retire_file_key(char *text, size_t size, const char *room, const struct op_id *file)
{
    char name[OP_TEXT_SIZE + 1];
    op_text(name, file);
    snprintf(text, size, "%s%s", room, name);
}

static bool hex_bytes(const uint8_t *text, uint8_t *ret, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        uint8_t c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        uint8_t digit = (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : ret[i / 2] | digit);
    }
    return true;
}

/* SESSION, `gap` other bytes, SEQUENCE. */
static bool read_op(const uint8_t *text, size_t gap, struct op_id *ret)
{
    uint8_t sequence[8];
    if (!hex_bytes(text, ret->session.bytes, SESSION_SIZE) ||
        !hex_bytes(text + 2 * SESSION_SIZE + gap, sequence, sizeof sequence))
        return false;
    ret->sequence = 0;
    for (size_t i = 0; i < sizeof sequence; i++)
        ret->sequence = ret->sequence << 8 | sequence[i];
    return true;
}

/* .toystore/chunks/FILEID/SESSION-SEQUENCE, and pages likewise. */
static bool read_piece(struct slice key, struct sweep_piece *ret)
{
    *ret = (struct sweep_piece){.page = key_has_prefix(key, KEY_PAGES)};
    if (!ret->page && !key_has_prefix(key, KEY_CHUNKS))
        return false;
    size_t at = strlen(ret->page ? KEY_PAGES : KEY_CHUNKS);
    if (key.size != at + OP_TEXT_SIZE + 1 + OP_TEXT_SIZE + 1 || key.data[at + OP_TEXT_SIZE] != '/')
        return false;
    return read_op(key.data + at, 0, &ret->file) &&
           read_op(key.data + at + OP_TEXT_SIZE + 1, 1, &ret->op);
}

/* ---- the pass ---- */

static uint64_t probes_us(const struct core *core, unsigned probes)
{
    return max_u64(core->config.probe_interval_ms, 10) * 1000 * probes;
}

bool retire_sweep_restore(struct core *core, struct slice value)
{
    struct cursor cursor = cursor_of(value);
    return wire_get_U32(&cursor, &core->retire->sweep.layout);
}

static void note_layout(struct core *core, struct batch *batch)
{
    struct buf value = {0};
    wire_put_U32(&value, core->retire->sweep.layout);
    batch_put_blob(batch, TOYSTORE_META, slice_str(META_SWEPT), buf_take(&value));
}

/* What cannot be judged may stay so for long: a file has siblings until somebody resolves that. */
static void wait_for_next(struct core *core)
{
    struct sweep *sweep = &core->retire->sweep;
    unsigned doublings = (unsigned)min_u64(sweep->retries, SWEEP_RETRY_DOUBLINGS);
    sweep->retries = sweep->left ? sweep->retries + 1 : 0;
    sweep->retry_us =
        sweep->left ? core->now_us + (probes_us(core, SWEEP_RETRY_PROBES) << doublings) : 0;
}

static struct sweeping *sweeping(const struct sweep *sweep, const struct session *session)
{
    return map_get(&sweep->sessions, slice_of(session->bytes, SESSION_SIZE));
}

static void pass_end(struct core *core)
{
    struct retire *retire = core->retire;
    struct sweep *sweep = &retire->sweep;
    struct batch batch = {0};
    sweep->running = false;
    blob_unref(&sweep->after);
    sweep->failed = sweep->failed || core->stopping || view_newest(core)->number != sweep->layout;
    sweep->left = sweep->left || sweep->failed;
    for (size_t i = 0; !sweep->failed && i < sweep->upto; i++) {
        const struct sweeping *session = sweeping(sweep, &retire->list[i]);
        if (retire->swept[i] || !session || session->left)
            continue;
        retire->swept[i] = true;
        retire->swept_us[i] = core->now_us;
        retire_add(&batch, &retire->list[i], MARK_SWEPT);
    }
    if (!sweep->left)
        note_layout(core, &batch);
    wait_for_next(core);
    core_log(core, LOG_DEBUG, "has swept %zu sessions in layout %u%s", sweep->sessions.count,
             sweep->layout, sweep->left ? ", not all of it" : "");
    if (batch.count > 0)
        disk_commit(core, &batch, false, (struct resume){0});
    batch_free(&batch);
    map_free(&sweep->sessions);
    sweep->sessions = (struct map){0};
    free(sweep->sweeping);
    sweep->sweeping = NULL;
}

static void next_file(struct core *core);

static bool in_list(const struct op_id *named, size_t count, const struct op_id *op)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = op_id_compare(op, &named[middle]);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Of this piece's session not all is swept. */
static void leave(struct sweep *sweep, const struct sweep_piece *piece)
{
    sweeping(sweep, &piece->op.session)->left = true;
    sweep->left = true;
}

/* ---- deleting ---- */

static void delete_next(struct core *core);

static void deleted(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct sweep *sweep = &core->retire->sweep;
    (void)handle;
    if (result->status == TOYSTORE_OK)
        sweep->deleted++;
    else
        leave(sweep, &sweep->pieces[sweep->first]);
    sweep->first++;
    delete_next(core);
}

static void delete_next(struct core *core)
{
    struct sweep *sweep = &core->retire->sweep;
    char key[160], text[OP_TEXT_SIZE + 1];
    if (sweep->first == sweep->last || core->stopping) {
        next_file(core);
        return;
    }
    const struct sweep_piece *piece = &sweep->pieces[sweep->first];
    retire_file_key(key, sizeof key, piece->page ? KEY_PAGES : KEY_CHUNKS, &piece->file);
    op_text(text, &piece->op);
    size_t size = strlen(key);
    snprintf(key + size, sizeof key - size, "/%.*s-%s", 2 * SESSION_SIZE, text,
             text + 2 * SESSION_SIZE);
    struct toystore_request request = {.type = TOYSTORE_STORE,
                                       .key = {key, strlen(key)},
                                       .change = TOYSTORE_DELETE,
                                       .exclusive = true,
                                       .kind = TOYSTORE_INTERNAL};
    ask(core, &request, NULL, deleted, 0);
}

/* ---- a file ---- */

/* May a piece go that no version names? One that lives frees itself what it has replaced or
 * removed, once it has let go of it. Of what was swept before and has no record now nothing is
 * known: its deletion may have been collected while the mount that made it still reads the file. */
static bool is_garbage(struct sweep *sweep, const struct sweep_verdict *verdict,
                       const struct sweep_piece *piece)
{
    if (!verdict->known || verdict->living)
        leave(sweep, piece);
    bool again = verdict->absent && sweeping(sweep, &piece->op.session)->again;
    return verdict->known && !verdict->living && !again;
}

/* What is named stays; the rest of [first, last) moves together, to be deleted. */
static void judged(struct core *core, const struct sweep_verdict *verdict)
{
    struct sweep *sweep = &core->retire->sweep;
    size_t keep = sweep->last;
    for (size_t i = sweep->last; i-- > sweep->first;) {
        const struct sweep_piece piece = sweep->pieces[i];
        bool named = verdict->known && in_list(verdict->named, verdict->count, &piece.op);
        if ((!named || BROKEN(core, sweep_named)) && is_garbage(sweep, verdict, &piece))
            sweep->pieces[--keep] = piece;
    }
    sweep->first = keep;
    delete_next(core);
}

static void next_file(struct core *core)
{
    struct sweep *sweep = &core->retire->sweep;
    sweep->first = sweep->last;
    if (sweep->first == sweep->count || core->stopping) {
        sweep->busy = false;
        sweep->count = sweep->first = sweep->last = 0;
        if (!sweep->more)
            pass_end(core);
        return;
    }
    while (sweep->last < sweep->count &&
           op_id_equal(&sweep->pieces[sweep->last].file, &sweep->pieces[sweep->first].file))
        sweep->last++;
    struct op_id file = sweep->pieces[sweep->first].file;
    retire_judge(core, &file, judged);
}

static int by_file(const void *a, const void *b)
{
    const struct sweep_piece *x = a, *y = b;
    return op_id_compare(&x->file, &y->file);
}

/* ---- keys of this node ---- */

static bool is_first(struct core *core, struct slice key)
{
    node_id owners[REPLICAS_MAX];
    size_t n = layout_owners(view_newest(core), view_partition_of(core, key), owners);
    return n > 0 && owners[0] == core->id;
}

static void take_key(struct core *core, struct slice key)
{
    struct sweep *sweep = &core->retire->sweep;
    struct sweep_piece piece;
    if (!read_piece(key, &piece) ||
        !map_get(&sweep->sessions, slice_of(piece.op.session.bytes, SESSION_SIZE)) ||
        !is_first(core, key))
        return;
    if (sweep->count == sweep->capacity) {
        sweep->capacity = sweep->capacity ? sweep->capacity * 2 : 256;
        sweep->pieces = base_realloc(sweep->pieces, sweep->capacity * sizeof *sweep->pieces);
    }
    sweep->pieces[sweep->count++] = piece;
}

static void scanned(struct core *core, const struct core_event *event, struct resume resume)
{
    struct sweep *sweep = &core->retire->sweep;
    (void)resume;
    sweep->busy = false;
    sweep->failed = sweep->failed || event->status != 0;
    sweep->more = event->status == 0 && event->more;
    for (size_t i = 0; event->status == 0 && i < event->pair_count; i++) {
        struct hash128 digest;
        struct slice key;
        if (token_decode(event->pairs[i].value, &digest, &key))
            take_key(core, key);
        if (i + 1 == event->pair_count) {
            struct buf after = {0};
            buf_append(&after, event->pairs[i].key.data, event->pairs[i].key.size);
            buf_append(&after, "", 1); /* the least key behind it */
            blob_unref(&sweep->after);
            sweep->after = buf_take(&after);
        }
    }
    if (sweep->more && sweep->count + SWEEP_SCAN < SWEEP_PIECES_MAX)
        return; /* goes on with the next step */
    if (sweep->count > 0)
        qsort(sweep->pieces, sweep->count, sizeof *sweep->pieces, by_file);
    sweep->busy = true;
    next_file(core);
}

static void scan(struct core *core)
{
    struct sweep *sweep = &core->retire->sweep;
    sweep->busy = true;
    disk_scan(core, TOYSTORE_TOKENS, blob_slice(sweep->after), slice_of(NULL, 0), SWEEP_SCAN,
              resume_to(scanned, 0, 0));
}

/* ---- when ---- */

static bool any_unswept(const struct retire *retire, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!retire->swept[i])
            return true;
    return false;
}

void retire_sweep_again(struct core *core)
{
    struct retire *retire = core->retire;
    for (size_t i = 0; i < retire->count; i++) {
        retire->again[i] = retire->again[i] || retire->swept[i];
        retire->swept[i] = false;
    }
    retire->sweep.retries = 0;
    retire->sweep.retry_us = 0;
}

/* What was swept long ago, nobody has left to whoever is the first owner now. */
static void enter_layout(struct core *core)
{
    struct retire *retire = core->retire;
    struct sweep *sweep = &retire->sweep;
    struct batch batch = {0};
    bool again = false, any = false;
    sweep->layout = view_newest(core)->number;
    for (size_t i = 0; i < retire->count; i++) {
        bool recent = retire->swept_us[i] + probes_us(core, SWEEP_AGAIN_PROBES) > core->now_us;
        again = again || (retire->swept[i] && recent);
        any = any || retire->swept[i];
        retire->swept[i] = retire->swept[i] && !recent;
    }
    if (again || !any)
        return; /* noted with what will be swept */
    note_layout(core, &batch);
    disk_commit(core, &batch, false, (struct resume){0});
}

static void begin(struct core *core)
{
    struct retire *retire = core->retire;
    struct sweep *sweep = &retire->sweep;
    sweep->running = true;
    sweep->failed = sweep->left = false;
    sweep->sweeping = base_alloc(sweep->upto * sizeof *sweep->sweeping);
    for (size_t i = 0; i < sweep->upto; i++) {
        sweep->sweeping[i] = (struct sweeping){.again = retire->again[i]};
        if (!retire->swept[i])
            map_put(&sweep->sessions, slice_of(retire->list[i].bytes, SESSION_SIZE),
                    &sweep->sweeping[i]);
    }
    scan(core);
}

/* What it has still to take, or to be told by others, it does not see. */
static bool sees_all(const struct core *core)
{
    size_t count;
    node_id *members = view_everybody(core, &count);
    bool reached = true;
    for (size_t i = 0; i < count; i++)
        reached = reached && (members[i] == core->id || rpc_reachable(core, members[i]));
    free(members);
    if (!reached && !BROKEN(core, sweep_unasked))
        return false;
    for (uint32_t i = 0; i < view_partition_count(core); i++)
        if (view_owner(core, i, core->id) && (view_mute(core, i) || !view_holds(core, i)))
            return false;
    return true;
}

/* Those that were noted by all for so long that whoever was only asleep has stored anew. */
static void age(struct core *core, size_t complete)
{
    struct sweep *sweep = &core->retire->sweep;
    if (sweep->aged_us != 0 && sweep->aged_us <= core->now_us) {
        sweep->upto = sweep->aging;
        sweep->aged_us = 0;
        sweep->retries = 0; /* something new to do */
        sweep->retry_us = 0;
    }
    if (sweep->aged_us == 0 && complete > sweep->upto) {
        sweep->aging = complete;
        sweep->aged_us =
            core->now_us + probes_us(core, BROKEN(core, sweep_early) ? 1 : SWEEP_PROBES);
    }
}

void retire_sweep(struct core *core)
{
    struct retire *retire = core->retire;
    struct sweep *sweep = &retire->sweep;
    if (sweep->busy || !core->ready)
        return;
    if (sweep->running) {
        scan(core);
        return;
    }
    if (view_oldest(core) != view_newest(core))
        return;
    if (view_newest(core)->number != sweep->layout)
        enter_layout(core);
    size_t complete = BROKEN(core, sweep_early) ? retire->count : retire_complete(core);
    age(core, complete);
    if (sweep->retry_us <= core->now_us && complete >= sweep->upto &&
        any_unswept(retire, sweep->upto) && sees_all(core))
        begin(core);
}
