/* list: ls, page by page, as words or as JSON. */
#include "base/json.h"
#include "cli/cli.h"
#include "names.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIST_LIMIT = 512 }; /* entries of a page */

/* A page, kept until its call is over: what its references stand for is asked then. */
struct listing {
    struct cli *cli;
    struct toystore_entry *entries; /* their names are malloc()ed */
    size_t count;
    uint64_t after;
    bool more, first;
};

static const char *entry_type(const struct toystore_entry *entry)
{
    static const char *const words[] = {"tombstone", "file",    "file",    "directory",
                                        "symlink",   "special", "internal"};
    return (size_t)entry->kind < ARRAY_COUNT(words) ? words[entry->kind] : "unknown";
}

static void print_json(const struct listing *listing, const struct toystore_entry *entry)
{
    const struct toystore_attributes *attributes = &entry->attributes;
    struct buf out = {0};
    struct json json = {.out = &out};
    json_open(&json, NULL, '{');
    json_bytes(&json, "name", slice_of(entry->name.data, entry->name.size));
    json_text(&json, "kind", entry_type(entry));
    json_u64(&json, "size", attributes->size);
    json_format(&json, "mode", "%o", attributes->mode);
    json_seconds(&json, "mtime", attributes->mtime_ns);
    json_close(&json, '}');
    printf("%s\n  %.*s", listing->first ? "" : ",", (int)out.size,
           (const char *)buf_slice(&out).data);
    buf_free(&out);
}

static void print_entry(const struct listing *listing, const struct toystore_entry *entry)
{
    if (listing->cli->json) {
        print_json(listing, entry);
        return;
    }
    fwrite(entry->name.data, 1, entry->name.size, stdout);
    puts(entry->kind == TOYSTORE_DIRECTORY ? "/" : "");
}

/* ---- a page ---- */

static void list_seen(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    listing->cli->exit_status = cli_exit_of(result->status);
    listing->more = result->status == TOYSTORE_OK && result->more && result->entry_count > 0;
    cli_explain(listing->cli, result->status, result->message);
    listing->count = result->entry_count;
    listing->entries = base_alloc((listing->count + 1) * sizeof *listing->entries);
    for (size_t i = 0; i < listing->count; i++) {
        struct toystore_entry *entry = &listing->entries[i];
        *entry = result->entries[i];
        entry->name.data = base_string(slice_from(entry->name));
        listing->after = entry->cookie;
    }
}

static void record_seen(void *arg, const struct toystore_result *result)
{
    struct toystore_entry *entry = arg;
    uint32_t mode = entry->attributes.mode;
    if (result->status != TOYSTORE_OK || result->version_count == 0)
        return; /* the name tells what it knows */
    entry->attributes = result->versions[0].attributes;
    entry->attributes.mode = (mode & 0170000) | (entry->attributes.mode & 07777);
}

/* The name of a file in chunks says how large the file was when the name was put; its record says
 * how large it is. False: the connection is lost. */
static bool ask_record(const struct listing *listing, struct toystore_entry *entry)
{
    const struct toystore_op *file = &entry->attributes.file;
    struct file_key key;
    if (!listing->cli->json || entry->kind != TOYSTORE_REFERENCE)
        return true;
    file_record_key(&key, op_none(file) ? &entry->op : file);
    struct toystore_request request = {.type = TOYSTORE_GET,
                                       .key = bytes_of(file_key_slice(&key)),
                                       .strict = listing->cli->strict};
    return remote_call(listing->cli->remote, &request, record_seen, entry);
}

static bool show_page(struct listing *listing)
{
    bool alive = true;
    for (size_t i = 0; i < listing->count; i++) {
        alive = alive && ask_record(listing, &listing->entries[i]);
        if (alive)
            print_entry(listing, &listing->entries[i]);
        listing->first = false;
        free((void *)(uintptr_t)listing->entries[i].name.data);
    }
    free(listing->entries);
    listing->entries = NULL;
    return alive;
}

/* ---- the directory itself ---- */

static void directory_seen(void *arg, const struct toystore_result *result)
{
    struct cli *cli = arg;
    enum toystore_status status = result->status;
    if (status == TOYSTORE_OK && result->version_count > 0 &&
        result->versions[0].kind != TOYSTORE_DIRECTORY)
        status = TOYSTORE_NOT_DIRECTORY;
    cli->exit_status = cli_exit_of(status);
    cli_explain(cli, status, result->status == status ? result->message : "it is no directory");
}

/* Where nothing is listed: an empty directory, something else, or nothing at all? */
static bool ask_directory(struct cli *cli, const char *directory)
{
    struct toystore_request request = {
        .type = TOYSTORE_GET, .key = cli_key(directory), .strict = cli->strict};
    return remote_call(cli->remote, &request, directory_seen, cli);
}

int run_ls(struct cli *cli)
{
    struct listing listing = {.cli = cli, .more = true, .first = true};
    const char *directory = cli->argc > 1 ? cli->argv[1] : "";
    if (cli->json)
        printf("[");
    while (listing.more) {
        struct toystore_request request = {.type = TOYSTORE_LIST,
                                           .key = cli_key(directory),
                                           .after = listing.after,
                                           .limit = LIST_LIMIT,
                                           .strict = cli->strict};
        if (!remote_call(cli->remote, &request, list_seen, &listing) || !show_page(&listing))
            return cli_finish(cli, false);
    }
    if (cli->json)
        printf("%s]\n", listing.first ? "" : "\n");
    if (listing.first && directory[0] && cli->exit_status == EXIT_DONE)
        return cli_finish(cli, ask_directory(cli, directory));
    return cli->exit_status;
}
