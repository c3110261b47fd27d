/* raw_file: a get of a file whose content is in chunks, put together for those who know nothing of
 * them: the file record, its pages of extents, each chunk in turn. One file record is read, so the
 * content is one version of the file; a chunk that is gone means that there is a newer one, and all
 * begins again.
 *
 * Enters from: raw.c. Leaves to: ask.c. */
#include "core/ask/raw.h"

#include <stdio.h>

enum { FILE_TRIES_MAX = 4 };

struct toystore_bytes raw_part_key(char *text, const char *room, const struct op_id *file,
                                   const struct op_id *part)
{
    char file_text[OP_TEXT_SIZE + 1], part_text[OP_TEXT_SIZE + 1];
    op_text(file_text, file);
    int size;
    if (part) {
        op_text(part_text, part);
        size = snprintf(text, PART_KEY_SIZE_MAX, "%s%s/%.*s-%s", room, file_text, 2 * SESSION_SIZE,
                        part_text, part_text + 2 * SESSION_SIZE);
    } else {
        size = snprintf(text, PART_KEY_SIZE_MAX, "%s%s", room, file_text);
    }
    return (struct toystore_bytes){text, (size_t)size};
}

static struct op_id file_of(const struct raw *raw)
{
    return op_from_public(raw->shown.attributes.file);
}

static void too_large(struct core *core, struct raw *raw, uint64_t size)
{
    snprintf(raw->message, sizeof raw->message, "the file has %llu bytes",
             (unsigned long long)size);
    raw_fail(core, raw, TOYSTORE_TOO_LARGE, raw->message);
}

/* Something is not there any more, or not what its record says. */
static void again(struct core *core, struct raw *raw)
{
    if (++raw->tries < FILE_TRIES_MAX)
        raw_move(core, raw, RAW_DO);
    else
        raw_fail(core, raw, TOYSTORE_UNAVAILABLE, "a part of the file could not be read");
}

/* ---- the record ---- */

static void record_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (result->status == TOYSTORE_NOT_FOUND) {
        again(core, raw);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        raw_fail(core, raw, result->status, "the file's record could not be read");
        return;
    }
    const struct toystore_version *record = &result->versions[0];
    uint64_t size = record->attributes.size;
    struct slice bytes = arena_copy(&raw->arena, slice_public(record->value));
    if (size > TOYSTORE_VALUE_SIZE_MAX) {
        too_large(core, raw, size);
        return;
    }
    if (file_pieces_open(bytes, &raw->pieces) != 0) {
        raw_fail(core, raw, TOYSTORE_IO, "the file's record is malformed or of a newer format");
        return;
    }
    raw->shown.attributes = record->attributes;
    raw->shown.kind = TOYSTORE_FILE;
    raw->content = arena_alloc(&raw->arena, size + 1); /* zeroed: holes */
    raw->rows = raw->pieces.extents;
    raw->page = 0;
    raw_move(core, raw, RAW_PIECES);
}

void raw_record(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    struct op_id file = file_of(raw);
    char text[PART_KEY_SIZE_MAX];
    if (raw->shown.attributes.size > TOYSTORE_VALUE_SIZE_MAX) {
        too_large(core, raw, raw->shown.attributes.size);
        return;
    }
    struct toystore_request get = {.type = TOYSTORE_GET,
                                   .key = raw_part_key(text, KEY_FILES, &file, NULL),
                                   .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &get, &raw->session, record_read, raw->op.handle);
}

/* ---- its pieces ---- */

/* The bytes of an extent, as far as the file reaches. */
static void place(struct raw *raw, struct slice segment)
{
    const struct file_extent *extent = &raw->extent;
    uint64_t size = raw->shown.attributes.size;
    if (extent->offset >= size)
        return;
    memcpy(raw->content + extent->offset, segment.data + extent->start,
           min_size(extent->size, (size_t)(size - extent->offset)));
}

static bool fits(const struct toystore_result *result, uint64_t checksum)
{
    return result->status == TOYSTORE_OK && result->version_count == 1 &&
           hash64(slice_public(result->versions[0].value)) == checksum;
}

static void chunk_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (!fits(result, raw->extent.checksum) ||
        result->versions[0].value.size != raw->extent.chunk_size) {
        again(core, raw);
        return;
    }
    place(raw, slice_public(result->versions[0].value));
    raw_move(core, raw, RAW_PIECES);
}

static void page_read(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct raw *raw = raw_find(core, handle);
    if (!fits(result, raw->at_page.checksum)) {
        again(core, raw);
        return;
    }
    raw->rows = arena_copy(&raw->arena, slice_public(result->versions[0].value));
    raw_move(core, raw, RAW_PIECES);
}

static void fetch(struct core *core, struct raw *raw, struct toystore_bytes key, ask_done_fn *read)
{
    struct toystore_request request = {
        .type = TOYSTORE_FETCH, .key = key, .deadline_ms = raw_left_ms(core, raw)};
    ask(core, &request, &raw->session, read, raw->op.handle);
}

static void finish(struct core *core, struct raw *raw)
{
    raw->shown.value = (struct toystore_bytes){raw->content, raw->shown.attributes.size};
    raw_answer(
        core, raw,
        &(struct toystore_result){.message = "", .versions = &raw->shown, .version_count = 1});
}

/* The next extent that is in a chunk, then the next page of them, then the end. */
void raw_pieces(struct core *core, struct operation *operation)
{
    struct raw *raw = raw_of(operation);
    struct op_id file = file_of(raw);
    char text[PART_KEY_SIZE_MAX];
    while (raw->rows.size > 0) {
        if (file_extent_take(&raw->rows, raw->pieces.patches.size, &raw->extent) != 0) {
            raw_fail(core, raw, TOYSTORE_IO, "the file's record is malformed");
            return;
        }
        if (raw->extent.chunk.sequence != 0) {
            fetch(core, raw, raw_part_key(text, KEY_CHUNKS, &file, &raw->extent.chunk), chunk_read);
            return;
        }
        place(raw, raw->pieces.patches);
    }
    if (raw->page == raw->pieces.page_count) {
        finish(core, raw);
        return;
    }
    file_page_at(&raw->pieces, raw->page++, &raw->at_page);
    fetch(core, raw, raw_part_key(text, KEY_PAGES, &file, &raw->at_page.page), page_read);
}
