/* client_put: a raw put makes the directories above its key that are missing, each by an exclusive
 * put; nothing can be put below a file. One that made a new name looks at its parent again behind
 * its answer: gone meanwhile, it is made again, since a write beats a delete (DESIGN 8).
 *
 * Enters from: client.c. Leaves to: ask.c. */
#include "core/client_priv.h"

#include <sys/stat.h>

enum { DIRECTORIES_MAX = 4096, MAKE_TRIES_MAX = 16, DIRECTORY_MODE = S_IFDIR | 0755 };

/* ---- directories that were seen; one that has gone since is noticed behind the answer ---- */

static bool known(const struct coord *coord, struct slice directory)
{
    return map_get(&coord->directories, directory) != NULL;
}

static void remember(struct coord *coord, struct slice directory)
{
    if (coord->directories.count >= DIRECTORIES_MAX)
        map_free(&coord->directories);
    map_put(&coord->directories, directory, coord);
}

static struct slice ancestor(const struct client *client)
{
    return slice_of(client->own.request.key.data, client->depth);
}

static unsigned left_ms(const struct core *core, const struct client *client)
{
    return until_ms(core, client->deadline_us, PUT_DEADLINE_MS);
}

static void ask_make(struct core *core, const struct client *client, ask_done_fn *done)
{
    int64_t now_ns = (int64_t)core_hybrid_us(core) * 1000;
    struct toystore_request make = {.type = TOYSTORE_PUT,
                                    .key = slice_to_public(ancestor(client)),
                                    .condition = TOYSTORE_IF_ABSENT,
                                    .kind = TOYSTORE_DIRECTORY,
                                    .attributes = {.mode = DIRECTORY_MODE,
                                                   .atime_ns = now_ns,
                                                   .mtime_ns = now_ns,
                                                   .ctime_ns = now_ns},
                                    .exclusive = true,
                                    .durable = client->own.request.durable,
                                    .deadline_ms = left_ms(core, client)};
    ask(core, &make, &client->session, done, client->op.handle);
}

static void ask_look(struct core *core, const struct client *client, ask_done_fn *done)
{
    struct toystore_request look = {.type = TOYSTORE_GET,
                                    .key = slice_to_public(ancestor(client)),
                                    .deadline_ms = left_ms(core, client)};
    ask(core, &look, &client->session, done, client->op.handle);
}

/* ---- from the parent upwards until something is there, then downwards ---- */

void client_put_begin(struct core *core, struct client *client)
{
    struct slice key = slice_public(client->own.request.key);
    client->depth = key_parent(key).size;
    if (client->depth == 0 || known(core->coord, ancestor(client)))
        client_move(core, client, CLIENT_DO);
    else
        client_move(core, client, CLIENT_PARENT);
}

/* The next ancestor below the one at client->depth, or the key itself: then the put. */
static void descend(struct core *core, struct client *client)
{
    struct slice key = slice_public(client->own.request.key);
    size_t parent = key_parent(key).size;
    if (client->depth >= parent) {
        client_move(core, client, CLIENT_DO);
        return;
    }
    size_t at = client->depth ? client->depth + 1 : 0;
    while (at < parent && key.data[at] != '/')
        at++;
    client->depth = at;
    client_move(core, client, CLIENT_MAKE);
}

static void looked(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = client_find(core, handle);
    if (result->status == TOYSTORE_NOT_FOUND) {
        client->depth = key_parent(ancestor(client)).size;
        if (client->depth == 0 || known(core->coord, ancestor(client)))
            descend(core, client);
        else
            client_move(core, client, CLIENT_PARENT);
        return;
    }
    if (result->status != TOYSTORE_OK) {
        client_fail(core, client, result->status, "its directory could not be read");
        return;
    }
    if (result->versions[0].kind != TOYSTORE_DIRECTORY) {
        client_fail(core, client, TOYSTORE_NOT_DIRECTORY, "something above it is no directory");
        return;
    }
    remember(core->coord, ancestor(client));
    descend(core, client);
}

void client_parent(struct core *core, struct operation *operation)
{
    ask_look(core, client_of(operation), looked);
}

static void made(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = client_find(core, handle);
    if (result->status == TOYSTORE_OK) {
        remember(core->coord, ancestor(client));
        descend(core, client);
    } else if (result->status == TOYSTORE_CONFLICT && ++client->tries < MAKE_TRIES_MAX) {
        client_move(core, client, CLIENT_PARENT); /* somebody else made something there */
    } else {
        client_fail(core, client, result->status, "its directory could not be made");
    }
}

void client_make(struct core *core, struct operation *operation)
{
    ask_make(core, client_of(operation), made);
}

/* ---- behind the answer ---- */

static void revived(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    (void)result;
    client_move(core, client_find(core, handle), CLIENT_DONE);
}

static void looked_again(struct core *core, uint64_t handle, const struct toystore_result *result)
{
    struct client *client = client_find(core, handle);
    bool gone = result->status == TOYSTORE_NOT_FOUND;
    if (gone)
        map_remove(&core->coord->directories, ancestor(client));
    client_move(core, client, gone ? CLIENT_REVIVE : CLIENT_DONE);
}

void client_behind(struct core *core, struct operation *operation)
{
    struct client *client = client_of(operation);
    client->depth = key_parent(slice_public(client->own.request.key)).size;
    client->deadline_us = core->now_us + 1000ull * PUT_DEADLINE_MS;
    if (client->created && client->depth > 0)
        ask_look(core, client, looked_again);
    else
        client_move(core, client, CLIENT_DONE);
}

void client_revive(struct core *core, struct operation *operation)
{
    ask_make(core, client_of(operation), revived);
}
