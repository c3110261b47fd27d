/* mounts: clients that write files as a mount does: first chunks, named by operations of the
 * session that their node has, then the file's record, which names them, in that session or not at
 * all. Their nodes end, or sleep until the session is retired, and what it has left is swept. When
 * all is quiet:
 *   - of every file the version that was acknowledged last is there, and what it names can be read;
 *   - of the chunks of retired sessions those that no version names have gone; those that one has
 *     named, and that a mount was to delete which ended, after a repair.
 * Part of every other plan that is about retirement (retired.c). */
#include <stdio.h>
#include <stdlib.h>

#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "file_bytes.h"
#include "rules/key.h"
#include "sim/fault.h"
#include "sim/sim.h"

enum { MOUNTS = 4, FILES_MAX = 24, PIECES_MAX = 600, NAMED_MAX = 4, PIECE_SIZE = 10 };
#define CALL_OF_MOUNTS (1ull << 60)

struct piece {
    struct op_id op;
    unsigned file;
    bool published; /* a record that names it was put */
    bool late;      /* it was stored when its session was retired: nobody looks for it any more */
};

/* Written by one mount alone, one version after the other. */
struct written {
    struct op_id id;
    bool exists;  /* a version was acknowledged */
    bool removed; /* or that it is gone: its id is never used again */
    bool unknown; /* one is in doubt: nothing more is put, and either may be there */
    struct toystore_op version;
    unsigned named[NAMED_MAX], count;
};

enum step { STEP_NONE, STEP_STORE, STEP_PUT, STEP_READ, STEP_FETCH };

struct mount {
    enum step step;
    bool removes; /* STEP_PUT */
    unsigned node, file;
    uint64_t life; /* of the process that it lives in */
    unsigned fresh[NAMED_MAX], count, wanted;
    uint64_t asked_us, calls;
};

struct mounts {
    struct prng prng;
    struct mount mount[MOUNTS + 1]; /* the last one looks at everything at the end */
    struct written files[FILES_MAX];
    unsigned file_count;
    struct piece pieces[PIECES_MAX];
    unsigned piece_count;
    bool stopped, repaired;
    unsigned looked;
    unsigned shown[2 * NAMED_MAX], shown_count; /* pieces that what was looked at last names */
};

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + prng_below(&sim->mounts->prng, high - low + 1);
}

void mounts_new(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    sim->mounts = base_alloc(sizeof *sim->mounts);
    prng_seed(&sim->mounts->prng, ~sim->seed * 3);
    plan->total_loss = false; /* then promises are made of what was synced alone */
    plan->weights[FAULT_POWER_ALL] = 0;
    plan->strict = !sim->sloppy && (plan->strict || between(sim, 0, 3) != 0);
    if (!plan->strict) /* one member alone may have a copy */
        plan->weights[FAULT_POWER] = plan->weights[FAULT_DAMAGE] = plan->weights[FAULT_REMOVE] = 0;
    plan->safety_us += between(sim, 0, 20) * SECOND;
}

void mounts_free(struct mounts *mounts)
{
    free(mounts);
}

bool mounts_is_call(uint64_t call)
{
    return (call & CALL_OF_MOUNTS) != 0;
}

static unsigned number_of(const struct sim *sim, const struct mount *mount)
{
    return (unsigned)(mount - sim->mounts->mount);
}

static uint64_t call_of(const struct sim *sim, const struct mount *mount)
{
    return CALL_OF_MOUNTS | (uint64_t)number_of(sim, mount) << 48 | mount->calls;
}

/* ---- keys and bytes ---- */

static void piece_key(const struct sim *sim, unsigned number, char *key, size_t size)
{
    const struct piece *piece = &sim->mounts->pieces[number];
    char room[100], text[OP_TEXT_SIZE + 1];
    retire_file_key(room, sizeof room, KEY_CHUNKS, &sim->mounts->files[piece->file].id);
    op_text(text, &piece->op);
    snprintf(key, size, "%s/%.*s-%s", room, 2 * SESSION_SIZE, text, text + 2 * SESSION_SIZE);
}

static struct slice piece_bytes(unsigned number, char bytes[PIECE_SIZE + 1])
{
    snprintf(bytes, PIECE_SIZE + 1, "%0*u", PIECE_SIZE, number);
    return slice_of(bytes, PIECE_SIZE);
}

static void pack_record(const struct sim *sim, const struct mount *mount, struct buf *out)
{
    file_put_head(out, mount->count, 0);
    for (unsigned i = 0; i < mount->count; i++) {
        char bytes[PIECE_SIZE + 1];
        file_put_extent(out, (uint64_t)PIECE_SIZE * i, &sim->mounts->pieces[mount->fresh[i]].op,
                        piece_bytes(mount->fresh[i], bytes));
    }
}

static struct toystore_bytes public_bytes(struct slice slice)
{
    return (struct toystore_bytes){slice.data, slice.size};
}

/* ---- asking ---- */

static void ask_node(struct sim *sim, struct mount *mount, const struct toystore_request *request)
{
    mount->asked_us = sim->now_us;
    mount->calls++;
    node_call(sim, &sim->nodes[mount->node], call_of(sim, mount), request);
}

static void ask_store(struct sim *sim, struct mount *mount)
{
    struct mounts *mounts = sim->mounts;
    unsigned number = mounts->piece_count++;
    char key[200], bytes[PIECE_SIZE + 1];
    mounts->pieces[number] =
        (struct piece){.op = core_op_new(sim->nodes[mount->node].core), .file = mount->file};
    mount->fresh[mount->count++] = number;
    mount->step = STEP_STORE;
    piece_key(sim, number, key, sizeof key);
    trace_say(sim, &sim->nodes[mount->node], "mount %u stores piece %u of file %u",
              number_of(sim, mount), number, mount->file);
    ask_node(sim, mount,
             &(struct toystore_request){.type = TOYSTORE_STORE,
                                        .key = {key, strlen(key)},
                                        .kind = TOYSTORE_INTERNAL,
                                        .strict = sim->plan.strict,
                                        .value = public_bytes(piece_bytes(number, bytes))});
}

/* Over the version that it has put before; or the file goes. */
static void ask_put(struct sim *sim, struct mount *mount, bool removes)
{
    const struct written *file = &sim->mounts->files[mount->file];
    struct buf bytes = {0};
    char key[160];
    retire_file_key(key, sizeof key, KEY_FILES, &file->id);
    pack_record(sim, mount, &bytes);
    mount->step = STEP_PUT;
    mount->removes = removes;
    struct toystore_op in_this_session =
        op_to_public((struct op_id){.session = core_session(sim->nodes[mount->node].core)});
    struct toystore_request put = {.type = TOYSTORE_PUT,
                                   .key = {key, strlen(key)},
                                   .op = in_this_session,
                                   .change = removes ? TOYSTORE_DELETE : TOYSTORE_SET,
                                   .kind = TOYSTORE_INTERNAL,
                                   .strict = sim->plan.strict};
    if (!removes)
        put.value = public_bytes(buf_slice(&bytes));
    if (file->exists) {
        put.condition = TOYSTORE_IF_MATCH;
        put.match = &file->version;
        put.match_count = 1;
    }
    for (unsigned i = 0; i < mount->count; i++)
        sim->mounts->pieces[mount->fresh[i]].published = true;
    trace_say(sim, &sim->nodes[mount->node], "mount %u %s file %u", number_of(sim, mount),
              removes ? "removes" : "publishes", mount->file);
    ask_node(sim, mount, &put);
    buf_free(&bytes);
}

/* ---- what next ---- */

static void think(struct sim *sim, struct sim_event *event);

static void think_later(struct sim *sim, const struct mount *mount)
{
    sim_at(sim, sim->now_us + between(sim, 1, 400 * MS), think)->a = number_of(sim, mount);
}

/* Gives up what it was at: what it has stored is left for the sweep. */
static void leave(struct sim *sim, struct mount *mount)
{
    mount->step = STEP_NONE;
    mount->count = 0;
    think_later(sim, mount);
}

static bool pick_node(struct sim *sim, struct mount *mount)
{
    if (between(sim, 0, 9) == 0 || !node_answers(&sim->nodes[mount->node]))
        mount->node = (unsigned)between(sim, 0, sim->node_count - 1);
    mount->life = sim->nodes[mount->node].life;
    return node_answers(&sim->nodes[mount->node]);
}

/* Each mount has every fourth file. */
static bool pick_file(struct sim *sim, struct mount *mount)
{
    struct mounts *mounts = sim->mounts;
    bool anew = between(sim, 0, 2) == 0;
    if (anew && mounts->file_count < FILES_MAX &&
        mounts->file_count % MOUNTS == number_of(sim, mount)) {
        mount->file = mounts->file_count++;
        mounts->files[mount->file].id = core_op_new(sim->nodes[mount->node].core);
        return true;
    }
    unsigned own = (mounts->file_count + MOUNTS - 1 - number_of(sim, mount)) / MOUNTS;
    if (own == 0)
        return false;
    mount->file = (unsigned)between(sim, 0, own - 1) * MOUNTS + number_of(sim, mount);
    return !mounts->files[mount->file].unknown && !mounts->files[mount->file].removed;
}

static void begin(struct sim *sim, struct mount *mount)
{
    if (!pick_node(sim, mount) || !pick_file(sim, mount) ||
        sim->mounts->piece_count + NAMED_MAX > PIECES_MAX) {
        think_later(sim, mount);
        return;
    }
    const struct written *file = &sim->mounts->files[mount->file];
    mount->count = 0;
    if (file->exists && between(sim, 0, 11) == 0) {
        ask_put(sim, mount, true);
        return;
    }
    if (file->count > 0 && between(sim, 0, 1) == 0) /* most of it stays as it was */
        mount->fresh[mount->count++] = file->named[0];
    mount->wanted = (unsigned)between(sim, mount->count + 1, NAMED_MAX);
    ask_store(sim, mount);
}

/* A mount publishes what it has stored, often at once; not what an earlier session has stored. */
static void publish(struct sim *sim, struct mount *mount)
{
    struct sim_node *node = &sim->nodes[mount->node];
    struct session session = {{0}};
    unsigned last = mount->fresh[mount->count - 1];
    if (node_answers(node) && node->life == mount->life)
        session = core_session(node->core);
    if (between(sim, 0, 4) == 0 ||
        session_compare(&sim->mounts->pieces[last].op.session, &session) != 0)
        leave(sim, mount);
    else if (mount->count < mount->wanted)
        ask_store(sim, mount);
    else
        ask_put(sim, mount, false);
}

/* Somebody asks for one. */
static void repair(struct sim *sim)
{
    trace_say(sim, NULL, "somebody asks for a repair");
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state == NODE_UP)
            retire_sweep_again(sim->nodes[i].core);
}

static void think(struct sim *sim, struct sim_event *event)
{
    struct mount *mount = &sim->mounts->mount[event->a];
    if (!sim->mounts->stopped && between(sim, 0, 99) == 0)
        repair(sim);
    if (sim->mounts->stopped)
        mount->step = STEP_NONE;
    else if (mount->step == STEP_STORE)
        publish(sim, mount);
    else
        begin(sim, mount);
}

void mounts_start(struct sim *sim)
{
    for (unsigned i = 0; i < MOUNTS; i++) {
        sim->mounts->mount[i].node = (unsigned)between(sim, 0, sim->node_count - 1);
        think_later(sim, &sim->mounts->mount[i]);
    }
}

void mounts_stop(struct sim *sim)
{
    sim->mounts->stopped = true;
}

size_t mounts_open(const struct sim *sim)
{
    size_t open = 0;
    for (unsigned i = 0; i < MOUNTS; i++)
        open += sim->mounts->mount[i].asked_us != 0;
    return open + (sim->mounts->mount[MOUNTS].step != STEP_NONE);
}

/* ---- answers ---- */

static void put_done(struct sim *sim, struct mount *mount, const struct toystore_result *result)
{
    struct written *file = &sim->mounts->files[mount->file];
    if (result->status == TOYSTORE_OK) {
        file->exists = true;
        file->removed = mount->removes;
        file->version = result->op;
        file->count = mount->count;
        memcpy(file->named, mount->fresh, sizeof file->named);
    } else if (result->status == TOYSTORE_CONFLICT && sim->plan.strict) {
        sim_fail(sim, "file %u is not what its only writer has put", mount->file);
    } else if (result->status != TOYSTORE_NOT_APPLIED && result->status != TOYSTORE_RETIRED) {
        file->unknown = true;
    }
    leave(sim, mount);
}

static void look_next(struct sim *sim, struct sim_event *event);

/* Is it a piece that this mount has stored? */
static unsigned piece_of(struct sim *sim, const struct op_id *op)
{
    for (unsigned i = 0; i < sim->mounts->piece_count; i++)
        if (op_id_equal(&sim->mounts->pieces[i].op, op))
            return i;
    sim_fail(sim, "a file names a chunk that nobody has stored");
}

static void note_named(struct sim *sim, const struct toystore_version *version)
{
    struct mounts *mounts = sim->mounts;
    struct file_pieces pieces;
    struct file_extent extent;
    if (version->kind == TOYSTORE_TOMBSTONE)
        return;
    if (file_pieces_open(slice_of(version->value.data, version->value.size), &pieces) != 0)
        sim_fail(sim, "a file's record is not what was put");
    while (pieces.extents.size > 0 && mounts->shown_count < ARRAY_COUNT(mounts->shown) &&
           file_extent_take(&pieces.extents, 0, &extent) == 0)
        mounts->shown[mounts->shown_count++] = piece_of(sim, &extent.chunk);
}

static void check_read(struct sim *sim, const struct mount *mount,
                       const struct toystore_result *result)
{
    struct written *file = &sim->mounts->files[mount->file];
    bool same = !file->exists;
    if (result->status != TOYSTORE_OK && result->status != TOYSTORE_NOT_FOUND)
        sim_fail(sim, "when all is quiet node %u answers a get of file %u with %s", mount->node,
                 mount->file, toystore_status_word(result->status));
    for (size_t i = 0; i < result->version_count; i++) {
        same = same || memcmp(&result->versions[i].op, &file->version, sizeof file->version) == 0;
        note_named(sim, &result->versions[i]);
    }
    if (result->status == TOYSTORE_NOT_FOUND) /* it was removed, or should not be gone */
        same = same || file->removed;
    if (!same && !file->unknown)
        sim_fail(sim, "file %u is not what was put last", mount->file);
}

static void check_fetch(struct sim *sim, const struct mount *mount,
                        const struct toystore_result *result)
{
    unsigned number = sim->mounts->shown[sim->mounts->shown_count];
    char bytes[PIECE_SIZE + 1];
    struct slice wanted = piece_bytes(number, bytes);
    if (result->status != TOYSTORE_OK)
        sim_fail(sim, "piece %u of file %u, which a version names, is answered with %s", number,
                 mount->file, toystore_status_word(result->status));
    if (result->version_count != 1 ||
        !slice_equal(wanted,
                     slice_of(result->versions[0].value.data, result->versions[0].value.size)))
        sim_fail(sim, "piece %u has other bytes", number);
}

static void note_late(struct sim *sim, unsigned number)
{
    struct piece *piece = &sim->mounts->pieces[number];
    for (unsigned i = 0; i < sim->node_count; i++)
        if (sim->nodes[i].state == NODE_UP && retire_noted(sim->nodes[i].core, &piece->op.session))
            piece->late = true;
}

void mounts_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                     const struct toystore_result *result)
{
    struct mount *mount = &sim->mounts->mount[call >> 48 & 0xff];
    if (mount->asked_us == 0 || call_of(sim, mount) != call || mount->node != node->index)
        sim_fail(sim, "node %u answers call %llx of mounts, which is not open", node->index,
                 (unsigned long long)call);
    trace_say(sim, node, "mount %u: %s", number_of(sim, mount),
              toystore_status_word(result->status));
    mount->asked_us = 0;
    switch (mount->step) {
    case STEP_NONE:
        break;
    case STEP_STORE:
        note_late(sim, mount->fresh[mount->count - 1]);
        if (result->status == TOYSTORE_OK)
            think_later(sim, mount);
        else
            leave(sim, mount);
        return;
    case STEP_PUT:
        put_done(sim, mount, result);
        return;
    case STEP_READ:
        check_read(sim, mount, result);
        break;
    case STEP_FETCH:
        check_fetch(sim, mount, result);
        break;
    }
    sim_at(sim, sim->now_us + 1, look_next);
}

void mounts_on_death(struct sim *sim, const struct sim_node *node)
{
    static const struct toystore_result unknown = {.status = TOYSTORE_INDETERMINATE};
    for (unsigned i = 0; i < MOUNTS; i++) {
        struct mount *mount = &sim->mounts->mount[i];
        if (mount->asked_us == 0 || mount->node != node->index)
            continue;
        mount->asked_us = 0;
        if (mount->step == STEP_PUT)
            put_done(sim, mount, &unknown);
        else
            leave(sim, mount);
    }
}

void mounts_check_deadlines(struct sim *sim)
{
    for (unsigned i = 0; i <= MOUNTS; i++) {
        const struct mount *mount = &sim->mounts->mount[i];
        const struct sim_node *node = &sim->nodes[mount->node];
        if (mount->asked_us != 0 && !node->paused &&
            sim->now_us > max_u64(mount->asked_us, node->resumed_us) + 8 * SECOND)
            sim_fail(sim, "node %u has not answered mount %u for 8 s", node->index, i);
    }
}

/* ---- when all is quiet ---- */

static bool decode_on(const struct sim_node *node, const char *key, struct arena *arena,
                      struct record *ret)
{
    struct entry entry;
    const struct blob *stored = disk_get(&node->disk, TOYSTORE_RECORDS, slice_str(key));
    return stored != NULL && entry_decode(blob_slice(stored), &entry) == 0 &&
           entry.record.size != 0 && record_decode(arena, entry.record, ret) == 0;
}

static bool is_named(const struct version *version, const struct op_id *op)
{
    struct file_pieces pieces;
    struct file_extent extent;
    if (version->kind == TOYSTORE_TOMBSTONE || file_pieces_open(version->value, &pieces) != 0)
        return false;
    while (pieces.extents.size > 0 && file_extent_take(&pieces.extents, 0, &extent) == 0)
        if (op_id_equal(&extent.chunk, op))
            return true;
    return false;
}

/* Of a file with siblings nothing is swept, nor where who has put the version lives. */
static bool may_stay(const struct sim_node *node, const struct written *file,
                     const struct op_id *op)
{
    struct arena arena = {0};
    struct record record = {0};
    char key[160];
    retire_file_key(key, sizeof key, KEY_FILES, &file->id);
    bool stays =
        decode_on(node, key, &arena, &record) &&
        (record.sloppy_count > 0 ||
         (record.has_register && (!retire_noted(node->core, &record.reg.version.op.session) ||
                                  is_named(&record.reg.version, op))));
    arena_free(&arena);
    return stays;
}

/* Has the file a record, or a tombstone of one? What was swept before and has none is left. */
static bool recorded(const struct sim_node *node, const struct written *file)
{
    struct arena arena = {0};
    struct record record = {0};
    char key[160];
    retire_file_key(key, sizeof key, KEY_FILES, &file->id);
    bool there = decode_on(node, key, &arena, &record) && record.has_register;
    arena_free(&arena);
    return there;
}

static bool stands(const struct sim_node *node, const char *key)
{
    struct arena arena = {0};
    struct record record = {0};
    bool there =
        decode_on(node, key, &arena, &record) && record.reg.version.kind != TOYSTORE_TOMBSTONE;
    arena_free(&arena);
    return there;
}

static const char *unswept(struct sim *sim, bool published)
{
    static _Thread_local char words[120];
    for (unsigned number = 0; number < sim->mounts->piece_count; number++) {
        const struct piece *piece = &sim->mounts->pieces[number];
        const struct written *file = &sim->mounts->files[piece->file];
        bool retired = false, named = false, there = false, known = !published;
        char key[200];
        piece_key(sim, number, key, sizeof key);
        for (unsigned i = 0; i < sim->node_count; i++) {
            const struct sim_node *node = &sim->nodes[i];
            if (!node->storing || node->state != NODE_UP)
                continue;
            retired = retired || retire_noted(node->core, &piece->op.session);
            named = named || may_stay(node, file, &piece->op);
            there = there || stands(node, key);
            known = known || recorded(node, file);
        }
        if (!retired || named || !there || !known || piece->late || piece->published != published)
            continue;
        snprintf(words, sizeof words, "piece %u of file %u, which no version names, is still there",
                 number, piece->file);
        return words;
    }
    return NULL;
}

const char *mounts_unswept(struct sim *sim)
{
    return unswept(sim, false);
}

/* Of what was published and replaced, mounts that end leave it to a repair. */
const char *mounts_unrepaired(struct sim *sim)
{
    if (!sim->mounts->repaired)
        repair(sim);
    sim->mounts->repaired = true;
    return unswept(sim, true);
}

/* Reads the record of each file, then what it names. */
static void look_next(struct sim *sim, struct sim_event *event)
{
    struct mounts *mounts = sim->mounts;
    struct mount *mount = &mounts->mount[MOUNTS];
    struct toystore_request request = {.type = TOYSTORE_FETCH, .strict = 1};
    char key[200];
    (void)event;
    mount->node = (unsigned)between(sim, 0, sim->node_count - 1);
    if (mounts->shown_count > 0) {
        piece_key(sim, mounts->shown[--mounts->shown_count], key, sizeof key);
        mount->step = STEP_FETCH;
    } else if (mounts->looked < mounts->file_count) {
        mount->file = mounts->looked++;
        retire_file_key(key, sizeof key, KEY_FILES, &mounts->files[mount->file].id);
        request.type = TOYSTORE_GET;
        mount->step = STEP_READ;
    } else {
        mount->step = STEP_NONE;
        return;
    }
    request.key = (struct toystore_bytes){key, strlen(key)};
    ask_node(sim, mount, &request);
}

void mounts_look(struct sim *sim)
{
    look_next(sim, NULL);
}
