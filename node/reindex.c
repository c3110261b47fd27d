/* reindex: see reindex.h.
 *
 * Enters from directory.c; leaves to the store. */
#include "reindex.h"

#include <stdlib.h>
#include <sys/random.h>

#include "rules/key.h"
#include "rules/listing.h"
#include "core/replica/tree.h"
#include "io/stores.h"
#include "wire/record.h"

enum { PAGE_KEYS = 1024 };

static void keep(void *arg, struct toystore_bytes value)
{
    struct blob **ret = arg;
    *ret = blob_copy(slice_from(value));
}

static bool one(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    (void)key, (void)value;
    *(bool *)arg = true;
    return false;
}

static bool has(struct toystore_store *store, enum toystore_space space, struct slice key)
{
    bool found = false;
    struct buf next = {0};
    buf_append(&next, key.data, key.size);
    buf_append(&next, "", 1);
    store->ops->scan_keys(store, space, bytes_of(key), bytes_of(buf_slice(&next)), one, &found);
    buf_free(&next);
    return found;
}

static int put(struct toystore_store *store, enum toystore_space space, struct slice key,
               struct slice value)
{
    struct toystore_write write = {.space = space, .key = bytes_of(key), .value = bytes_of(value)};
    return store->ops->write(store, &write, 1);
}

/* Differs from every other node's, and from every other time. */
static struct hash128 digest_of_damaged(void)
{
    struct hash128 digest;
    if (getrandom(digest.bytes, sizeof digest.bytes, 0) != sizeof digest.bytes)
        memset(digest.bytes, 0xdd, sizeof digest.bytes);
    return digest;
}

static int put_token(struct toystore_store *store, struct slice key, const struct hash128 *digest)
{
    struct buf value = {0};
    struct hash128 token = key_token(key);
    token_encode(&value, digest, key);
    int status =
        put(store, TOYSTORE_TOKENS, slice_of(token.bytes, sizeof token.bytes), buf_slice(&value));
    buf_free(&value);
    return status;
}

/* ---- records without an index ---- */

static void listing_key(struct buf *out, struct slice key)
{
    struct slice name = key_name(key);
    key_listing(out, key_parent(key), key_cookie(name), name);
}

static bool lacks_token(struct toystore_store *store, struct slice key)
{
    struct hash128 token = key_token(key);
    return !key_has_prefix(key, KEY_LAYOUTS) &&
           !has(store, TOYSTORE_TOKENS, slice_of(token.bytes, sizeof token.bytes));
}

static bool lacks_listing(struct toystore_store *store, struct slice key)
{
    if (!listing_wanted(key))
        return false;
    struct buf index = {0};
    listing_key(&index, key);
    bool lacks = !has(store, TOYSTORE_LISTING, buf_slice(&index));
    buf_free(&index);
    return lacks;
}

static int put_listing(struct toystore_store *store, struct slice key, const struct record *record)
{
    struct buf index = {0}, value = {0};
    struct listing listing;
    listing_key(&index, key);
    listing_of(record, &listing);
    listing_encode(&value, &listing);
    int status = put(store, TOYSTORE_LISTING, buf_slice(&index), buf_slice(&value));
    buf_free(&index);
    buf_free(&value);
    return status;
}

static int index_record(struct toystore_store *store, struct slice key, struct slice stored,
                        struct arena *arena)
{
    struct entry entry;
    struct record record = {0};
    struct hash128 digest = digest_of_damaged();
    bool whole =
        entry_decode(stored, &entry) == 0 && record_decode(arena, entry.record, &record) == 0;
    if (whole && entry.record.size == 0)
        return 0; /* a promise alone is in no index */
    if (whole)
        digest = tree_digest(key, entry.record);
    int status = lacks_token(store, key) ? put_token(store, key, &digest) : 0;
    if (status == 0 && whole && lacks_listing(store, key))
        status = put_listing(store, key, &record);
    return status;
}

static int check_record(struct toystore_store *store, struct slice key)
{
    struct blob *stored = NULL;
    struct arena arena = {0};
    if (!lacks_token(store, key) && !lacks_listing(store, key))
        return 0;
    int status = store->ops->get(store, TOYSTORE_RECORDS, bytes_of(key), keep, &stored);
    if (status == 0 || status == -EUCLEAN)
        status = index_record(store, key, blob_slice(stored), &arena);
    blob_unref(&stored);
    arena_free(&arena);
    return status;
}

/* ---- tokens without a record ---- */

static int check_token(struct toystore_store *store, struct slice value)
{
    struct hash128 digest;
    struct slice key;
    if (!token_decode(value, &digest, &key) || has(store, TOYSTORE_RECORDS, key))
        return 0;
    digest = digest_of_damaged();
    int status = put(store, TOYSTORE_RECORDS, key, slice_str("lost")); /* decodes as damaged */
    return status == 0 ? put_token(store, key, &digest) : status;
}

/* ---- the two walks, a page at a time ---- */

/* Keys of records, or values of tokens. */
struct page {
    struct blob *items[PAGE_KEYS];
    size_t count;
    struct blob *last; /* key */
};

static bool page_full(struct page *page, struct toystore_bytes key, struct toystore_bytes item)
{
    page->items[page->count++] = blob_copy(slice_from(item));
    if (page->count < PAGE_KEYS)
        return true;
    blob_unref(&page->last);
    page->last = blob_copy(slice_from(key));
    return false;
}

static bool add_key(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    (void)value;
    return page_full(arg, key, key);
}

static bool add_value(void *arg, struct toystore_bytes key, struct toystore_bytes value)
{
    return page_full(arg, key, value);
}

typedef int check_fn(struct toystore_store *store, struct slice item);

static int check_page(struct toystore_store *store, struct page *page, check_fn *check)
{
    int status = 0;
    for (size_t i = 0; i < page->count; i++) {
        if (status == 0)
            status = check(store, blob_slice(page->items[i]));
        blob_unref(&page->items[i]);
    }
    return status;
}

static int walk(struct toystore_store *store, enum toystore_space space, check_fn *check)
{
    struct page *page = base_alloc(sizeof *page);
    struct buf from = {0};
    int status;
    bool more;
    do {
        page->count = 0;
        if (space == TOYSTORE_RECORDS)
            status = store->ops->scan_keys(store, space, bytes_of(buf_slice(&from)),
                                           (struct toystore_bytes){0}, add_key, page);
        else
            status = store->ops->scan(store, space, bytes_of(buf_slice(&from)),
                                      (struct toystore_bytes){0}, add_value, page);
        more = page->count == PAGE_KEYS;
        int checked = check_page(store, page, check);
        status = status == 0 ? checked : status;
        if (more) {
            from.size = 0;
            buf_append(&from, page->last->data, page->last->size);
            buf_append(&from, "", 1); /* the next key there could be */
        }
    } while (more && status == 0);
    blob_unref(&page->last);
    buf_free(&from);
    free(page);
    return status;
}

int reindex(struct toystore_store *store)
{
    int status = walk(store, TOYSTORE_RECORDS, check_record);
    return status == 0 ? walk(store, TOYSTORE_TOKENS, check_token) : status;
}
