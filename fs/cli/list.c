/* list: ls, page by page, as words or as JSON. */
#include "cli/cli.h"

#include <stdio.h>

enum { LIST_LIMIT = 512 }; /* entries of a page */

struct listing {
    struct cli *cli;
    uint64_t after;
    bool more, first;
};

static void print_json_text(struct toystore_bytes text)
{
    const uint8_t *bytes = text.data;
    putchar('"');
    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            printf("\\%c", bytes[i]);
        else if (bytes[i] < 0x20)
            printf("\\u%04x", bytes[i]);
        else
            putchar(bytes[i]);
    }
    putchar('"');
}

static const char *entry_type(const struct toystore_entry *entry)
{
    static const char *const words[] = {"tombstone", "file",    "file",    "directory",
                                        "symlink",   "special", "internal"};
    return (size_t)entry->kind < ARRAY_COUNT(words) ? words[entry->kind] : "unknown";
}

static void print_entry(const struct listing *listing, const struct toystore_entry *entry)
{
    if (listing->cli->json) {
        printf("%s\n  {\"name\": ", listing->first ? "" : ",");
        print_json_text(entry->name);
        printf(", \"kind\": \"%s\", \"size\": %llu, \"mode\": \"%o\", \"mtime\": %lld.%09lld}",
               entry_type(entry), (unsigned long long)entry->attributes.size,
               entry->attributes.mode, (long long)(entry->attributes.mtime_ns / 1000000000),
               (long long)(entry->attributes.mtime_ns % 1000000000));
        return;
    }
    fwrite(entry->name.data, 1, entry->name.size, stdout);
    puts(entry->kind == TOYSTORE_DIRECTORY ? "/" : "");
}

static void list_seen(void *arg, const struct toystore_result *result)
{
    struct listing *listing = arg;
    listing->cli->exit_status = cli_exit_of(result->status);
    listing->more = result->status == TOYSTORE_OK && result->more && result->entry_count > 0;
    cli_explain(listing->cli, result->status, result->message);
    for (size_t i = 0; i < result->entry_count; i++) {
        print_entry(listing, &result->entries[i]);
        listing->after = result->entries[i].cookie;
        listing->first = false;
    }
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
        if (!remote_call(cli->remote, &request, list_seen, &listing))
            return cli_finish(cli, false);
    }
    if (cli->json)
        printf("%s]\n", listing.first ? "" : "\n");
    return cli->exit_status;
}
