/* record_load: all that a file record shows, its pages among it, without opening the file.
 *
 * Enters from burial.c and firm.c; leaves to submit.c. */
#include "fs_priv.h"

#include "base/hash.h"

#include <stdlib.h>

struct record_load {
    struct fs *fs;
    struct toystore_op file;
    const struct file_record *record;
    struct extents *extents;
    size_t at; /* pages that were read */
    void (*done)(void *arg, int error);
    void *arg;
};

static void end(struct record_load *load, int error)
{
    void (*done)(void *arg, int error) = load->done;
    void *arg = load->arg;
    free(load);
    done(arg, error);
}

static void next_page(struct record_load *load);

static void got_page(void *arg, const struct toystore_result *result)
{
    struct record_load *load = arg;
    const struct page_name *page = &load->record->pages[load->at];
    struct slice bytes = {0};
    if (result->status == TOYSTORE_OK && result->version_count == 1)
        bytes = slice_from(result->versions[0].value);
    if (bytes.size != (size_t)page->extents * EXTENT_SIZE || hash64(bytes) != page->checksum ||
        page_decode(bytes, &load->file, load->extents) < 0) {
        end(load, -EIO);
        return;
    }
    load->at++;
    next_page(load);
}

static void next_page(struct record_load *load)
{
    const struct extents *own = &load->record->extents;
    if (load->at < load->record->page_count) {
        struct file_key key;
        page_key(&key, &load->file, &load->record->pages[load->at].page);
        struct toystore_request request = {.type = TOYSTORE_FETCH,
                                           .key = bytes_of(file_key_slice(&key))};
        fs_submit(load->fs, &request, got_page, load);
        return;
    }
    for (size_t i = 0; i < own->count; i++)
        extents_write(load->extents, own->items[i].offset, own->items[i].size,
                      own->items[i].segment, own->items[i].start);
    end(load, 0);
}

void record_load(struct fs *fs, const struct toystore_op *file, const struct file_record *record,
                 struct extents *extents, void (*done)(void *arg, int error), void *arg)
{
    struct record_load *load = base_alloc(sizeof *load);
    *load = (struct record_load){
        .fs = fs, .file = *file, .record = record, .extents = extents, .done = done, .arg = arg};
    next_page(load);
}
