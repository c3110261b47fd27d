/* raw_bury: a file in chunks that a raw put replaced, or a raw delete took the name of: where none
 * of its record's names refers to it any more, the record is deleted, then its chunks and pages.
 *
 * What a power loss may bring back decides the order, as in fs/reclaim.c: names are synced, then
 * looked at; the record is deleted, that is synced, then looked at; then the chunks go, some
 * seconds later, for those who are reading them. Whatever fails ends it, and leaves chunks that
 * nothing names.
 *
 * Enters from: raw.c, behind an answer. Leaves to: ask.c. */
#include "core/ask/raw.h"

#include "base/hash.h"

enum {
    BURIALS_MAX = 1024, /* at once; what is beyond is left */
    BURY_DELAY_MS = 5000,
    BURY_OPEN_MAX = 8, /* deletions under way, of one file */
    BURY_TRIES_MAX = 10
};

struct bury {
    struct operation op;
    struct arena arena; /* of the record */
    struct op_id file;
    struct toystore_op record_op;
    struct file_pieces pieces;
    struct slice names, rows; /* still to be looked at; extents: the record's, then each page's */
    struct arena page_arena;  /* of the rows of a page */
    uint32_t page;            /* the next one */
    struct file_page at_page;
    struct op_id last; /* chunk: its extents stand beside each other */
    unsigned open, tries;
    bool failed;
    struct timer timer;
};

enum {
    BURY_NEW,
    BURY_RECORD,     /* reads it */
    BURY_SYNC_NAMES, /* what stands at them becomes durable */
    BURY_NAMES,      /* does the next one refer to the file? */
    BURY_DELETE,     /* the record */
    BURY_WAIT,       /* for readers */
    BURY_SYNC,       /* that it is deleted becomes durable */
    BURY_CHECK,      /* and is still so */
    BURY_CHUNKS,     /* the rows' */
    BURY_PAGE,       /* the next page's rows, then the page */
    BURY_DONE
};

#define STATE(name)  BURY_##name
#define TO(name)     (1u << BURY_##name)
#define OR_END(next) (TO(next) | TO(DONE))

static void bury_record(struct core *core, struct operation *operation);
static void bury_sync_names(struct core *core, struct operation *operation);
static void bury_names(struct core *core, struct operation *operation);
static void bury_delete(struct core *core, struct operation *operation);
static void bury_wait(struct core *core, struct operation *operation);
static void bury_sync(struct core *core, struct operation *operation);
static void bury_check(struct core *core, struct operation *operation);
static void bury_chunks(struct core *core, struct operation *operation);
static void bury_page(struct core *core, struct operation *operation);
static void bury_end(struct core *core, struct operation *operation);

#define BURY_STATES(S)                                                                             \
    S(NEW, NULL, TO(RECORD))                                                                       \
    S(RECORD, bury_record, OR_END(SYNC_NAMES))                                                     \
    S(SYNC_NAMES, bury_sync_names, OR_END(NAMES))                                                  \
    S(NAMES, bury_names, TO(NAMES) | OR_END(DELETE))                                               \
    S(DELETE, bury_delete, TO(RECORD) | OR_END(WAIT))                                              \
    S(WAIT, bury_wait, OR_END(SYNC))                                                               \
    S(SYNC, bury_sync, TO(WAIT) | OR_END(CHECK))                                                   \
    S(CHECK, bury_check, OR_END(CHUNKS))                                                           \
    S(CHUNKS, bury_chunks, OR_END(PAGE))                                                           \
    S(PAGE, bury_page, OR_END(CHUNKS))                                                             \
    S(DONE, bury_end, 0)

OPERATION_TABLE(bury_table, "bury", BURY_STATES)

static struct bury *bury_of(struct operation *operation)
{
    return container_of(operation, struct bury, op);
}

static struct bury *bury_find(struct core *core, uint64_t handle)
{
    return pool_get(&core->asks->buries, handle);
}

static void bury_move(struct core *core, struct bury *bury, unsigned state)
{
    operation_move(core, &bury->op, state);
}

static void bury_end(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    arena_free(&bury->arena);
    arena_free(&bury->page_arena);
    pool_delete(&core->asks->buries, bury->op.handle);
}

static void ask_for(struct core *core, const struct bury *bury,
                    const struct toystore_request *request, ask_done_fn *done)
{
    ask(core, request, &core->session, done, bury->op.handle);
}

/* ---- the record ---- */

static void record_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    bool good = result->status == TOYSTORE_OK && result->version_count == 1 && !result->sloppy;
    if (good) {
        struct slice bytes = arena_copy(&bury->arena, slice_public(result->versions[0].value));
        bury->record_op = result->versions[0].op;
        good = file_pieces_open(bytes, &bury->pieces) == 0;
    }
    if (good) {
        bury->names = bury->pieces.names;
        bury->rows = bury->pieces.extents;
    }
    bury_move(core, bury, good ? BURY_SYNC_NAMES : BURY_DONE);
}

static void get_record(struct core *core, struct bury *bury, ask_done_fn *done)
{
    char text[PART_KEY_SIZE_MAX];
    struct toystore_request get = {
        .type = TOYSTORE_GET, .key = raw_part_key(text, KEY_FILES, &bury->file, NULL), .strict = 1};
    ask_for(core, bury, &get, done);
}

static void bury_record(struct core *core, struct operation *operation)
{
    get_record(core, bury_of(operation), record_read);
}

/* ---- its names ---- */

static void names_synced(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    bury_move(core, bury_find(core, handle),
              result->status == TOYSTORE_OK ? BURY_NAMES : BURY_DONE);
}

static void bury_sync_names(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    struct toystore_bytes *keys =
        arena_alloc(&bury->arena, (bury->pieces.name_count + 1) * sizeof *keys);
    struct slice names = bury->names, name;
    size_t count = 0;
    while (count < bury->pieces.name_count && file_name_take(&names, &name) == 0)
        keys[count++] = slice_to_public(name);
    struct toystore_request sync = {
        .type = TOYSTORE_SYNC, .key = keys[0], .keys = keys, .key_count = count};
    if (count == bury->pieces.name_count)
        ask_for(core, bury, &sync, names_synced);
    else
        bury_move(core, bury, BURY_DONE);
}

static bool refers(const struct bury *bury, const struct toystore_result *result)
{
    for (size_t i = 0; i < result->version_count; i++) {
        struct op_id file = op_from_public(result->versions[i].attributes.file);
        if (result->versions[i].kind == TOYSTORE_REFERENCE && op_id_equal(&file, &bury->file))
            return true;
    }
    return false;
}

static void name_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    bool known = result->status == TOYSTORE_OK || result->status == TOYSTORE_NOT_FOUND;
    bool free = known && !result->sloppy && !refers(bury, result);
    bury_move(core, bury, free ? BURY_NAMES : BURY_DONE);
}

static void bury_names(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    struct slice name;
    if (bury->names.size == 0) {
        bury_move(core, bury, BURY_DELETE);
    } else if (file_name_take(&bury->names, &name) != 0) {
        bury_move(core, bury, BURY_DONE);
    } else {
        struct toystore_request get = {
            .type = TOYSTORE_GET, .key = slice_to_public(name), .strict = 1};
        ask_for(core, bury, &get, name_read);
    }
}

/* ---- deleting the record ---- */

static void record_deleted(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    if (result->status == TOYSTORE_CONFLICT && ++bury->tries < BURY_TRIES_MAX)
        bury_move(core, bury, BURY_RECORD); /* published to meanwhile, or renamed */
    else
        bury_move(core, bury,
                  result->status == TOYSTORE_OK && !result->sloppy ? BURY_WAIT : BURY_DONE);
}

static void bury_delete(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    char text[PART_KEY_SIZE_MAX];
    struct toystore_request put = {.type = TOYSTORE_PUT,
                                   .key = raw_part_key(text, KEY_FILES, &bury->file, NULL),
                                   .condition = TOYSTORE_IF_MATCH,
                                   .match = &bury->record_op,
                                   .match_count = 1,
                                   .exclusive = true,
                                   .change = TOYSTORE_DELETE};
    ask_for(core, bury, &put, record_deleted);
}

static void waited(struct core *core, struct timer *timer)
{
    bury_move(core, bury_find(core, timer->handle), BURY_SYNC);
}

static void bury_wait(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    bury->timer.handle = bury->op.handle;
    timer_set_after_ms(core, &bury->timer, BURY_DELAY_MS, waited);
}

static void synced(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    if (result->status == TOYSTORE_OK)
        bury_move(core, bury, BURY_CHECK);
    else
        bury_move(core, bury, ++bury->tries < BURY_TRIES_MAX ? BURY_WAIT : BURY_DONE);
}

static void bury_sync(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    char text[PART_KEY_SIZE_MAX];
    struct toystore_bytes key = raw_part_key(text, KEY_FILES, &bury->file, NULL);
    struct toystore_request sync = {
        .type = TOYSTORE_SYNC, .key = key, .keys = &key, .key_count = 1};
    ask_for(core, bury, &sync, synced);
}

static void checked(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    bool gone = result->status == TOYSTORE_NOT_FOUND && !result->sloppy;
    bury_move(core, bury_find(core, handle), gone ? BURY_CHUNKS : BURY_DONE);
}

static void bury_check(struct core *core, struct operation *operation)
{
    get_record(core, bury_of(operation), checked);
}

/* ---- what it named ---- */

static void delete_part(struct core *core, struct bury *bury, const char *room,
                        const struct op_id *part, ask_done_fn *done)
{
    char text[PART_KEY_SIZE_MAX];
    struct toystore_request store = {.type = TOYSTORE_STORE,
                                     .key = raw_part_key(text, room, &bury->file, part),
                                     .change = TOYSTORE_DELETE,
                                     .exclusive = true,
                                     .kind = TOYSTORE_INTERNAL};
    bury->open++;
    ask_for(core, bury, &store, done);
}

static void delete_more(struct core *core, struct bury *bury);

static void chunk_deleted(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    bury->open--;
    bury->failed = bury->failed || result->status != TOYSTORE_OK;
    delete_more(core, bury);
}

/* Where the owners cannot be reached it is given up, rather than tried for each chunk. */
static void delete_more(struct core *core, struct bury *bury)
{
    struct file_extent extent;
    while (bury->open < BURY_OPEN_MAX && bury->rows.size > 0 && !bury->failed) {
        bury->failed = file_extent_take(&bury->rows, bury->pieces.patches.size, &extent) != 0;
        if (bury->failed || extent.chunk.sequence == 0 || op_id_equal(&extent.chunk, &bury->last))
            continue;
        bury->last = extent.chunk;
        delete_part(core, bury, KEY_CHUNKS, &extent.chunk, chunk_deleted);
    }
    if (bury->open == 0)
        bury_move(core, bury, bury->failed ? BURY_DONE : BURY_PAGE);
}

static void bury_chunks(struct core *core, struct operation *operation)
{
    delete_more(core, bury_of(operation));
}

static void page_deleted(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    bury->open--;
    bury_move(core, bury, result->status == TOYSTORE_OK ? BURY_CHUNKS : BURY_DONE);
}

static void page_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct bury *bury = bury_find(core, handle);
    bool good = result->status == TOYSTORE_OK && result->version_count == 1;
    struct slice value = good ? slice_public(result->versions[0].value) : slice_of(NULL, 0);
    if (!good || hash64(value) != bury->at_page.checksum) {
        bury_move(core, bury, BURY_DONE);
        return;
    }
    arena_free(&bury->page_arena);
    bury->rows = arena_copy(&bury->page_arena, value);
    delete_part(core, bury, KEY_PAGES, &bury->at_page.page, page_deleted);
}

static void bury_page(struct core *core, struct operation *operation)
{
    struct bury *bury = bury_of(operation);
    char text[PART_KEY_SIZE_MAX];
    if (bury->page == bury->pieces.page_count) {
        bury_move(core, bury, BURY_DONE);
        return;
    }
    file_page_at(&bury->pieces, bury->page++, &bury->at_page);
    struct toystore_request fetch = {
        .type = TOYSTORE_FETCH,
        .key = raw_part_key(text, KEY_PAGES, &bury->file, &bury->at_page.page)};
    ask_for(core, bury, &fetch, page_read);
}

/* ---- the door ---- */

void raw_bury(struct core *core, const struct toystore_result *result)
{
    for (size_t i = 0; i < result->version_count; i++) {
        pool_handle own;
        struct bury *bury = result->versions[i].kind == TOYSTORE_REFERENCE
                                ? pool_new(&core->asks->buries, &own)
                                : NULL;
        if (bury == NULL)
            continue;
        *bury = (struct bury){.op = {.table = &bury_table, .handle = own}};
        bury->file = op_from_public(result->versions[i].attributes.file);
        bury_move(core, bury, BURY_RECORD);
    }
}

void bury_init(struct asks *asks)
{
    pool_init(&asks->buries, sizeof(struct bury), BURIALS_MAX);
}

void bury_free(struct asks *asks)
{
    for (size_t i = 0; i < asks->buries.capacity; i++) {
        struct bury *bury = asks->buries.objects[i];
        if (bury == NULL)
            continue;
        arena_free(&bury->arena);
        arena_free(&bury->page_arena);
    }
    pool_free(&asks->buries);
}
