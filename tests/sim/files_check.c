/* files_check: what the answers to clients of directories and chunks say about the promises:
 * a listing shows every name that was there all along and none that was not; an
 * acknowledged chunk is found; what was synced survives a power cut everywhere. */
#include "sim/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/fault.h"

static bool last_look(const struct sim *sim, const struct file_client *client)
{
    return client == &sim->files->client[FILE_CLIENTS];
}

/* What was acknowledged sloppily may have a single copy until all is quiet. */
static bool one_copy_may_go(const struct sim *sim)
{
    return sim->plan.weights[FAULT_POWER] != 0 || sim->plan.weights[FAULT_DAMAGE] != 0 ||
           sim->plan.weights[FAULT_REMOVE] != 0;
}

/* ---- what is known after an answer ---- */

static enum known known_after(enum toystore_status status, enum known before, enum known done)
{
    switch (status) {
    case TOYSTORE_OK:
        return done;
    case TOYSTORE_NOT_APPLIED:
    case TOYSTORE_UNAVAILABLE:
    case TOYSTORE_BUSY:
    case TOYSTORE_TOO_LATE:
    case TOYSTORE_STOPPING:
    case TOYSTORE_NO_SPACE:
    case TOYSTORE_IO:
        return before;
    default:
        return KNOWN_NOTHING;
    }
}

static void take_name(struct sim *sim, struct file_client *client,
                      const struct toystore_result *result)
{
    struct file_name *name = &sim->files->names[client->index];
    enum known done = client->kind == FILE_PUT ? KNOWN_PRESENT : KNOWN_ABSENT;
    name->busy--;
    name->known = known_after(result->status, name->known, done);
    name->sloppy = name->sloppy || result->sloppy;
    if (result->status == TOYSTORE_OK)
        name->since = sim->files->clock;
    name->durable = client->durable && result->status == TOYSTORE_OK;
}

/* A store that failed may have left copies, which a fetch may find: nothing is known. */
static void take_chunk(struct sim *sim, struct file_client *client,
                       const struct toystore_result *result)
{
    struct file_chunk *chunk = &sim->files->chunks[client->index];
    enum known done = client->kind == FILE_STORE ? KNOWN_PRESENT : KNOWN_ABSENT;
    chunk->busy--;
    chunk->known = result->status == TOYSTORE_OK ? done : KNOWN_NOTHING;
    chunk->sloppy = chunk->sloppy || result->sloppy;
    chunk->durable = client->durable && result->status == TOYSTORE_OK;
    chunk->since = sim->files->clock;
}

/* ---- what a power cut everywhere may take ---- */

/* Of ordinary puts and stores the last moments may go; what was synced, or durable, may not. */
void files_on_loss(struct sim *sim)
{
    for (unsigned i = 0; i < FILE_NAMES_MAX; i++)
        if (!sim->files->names[i].durable)
            sim->files->names[i].known = KNOWN_NOTHING;
    for (unsigned i = 0; i < sim->files->chunk_count; i++)
        if (!sim->files->chunks[i].durable)
            sim->files->chunks[i].known = KNOWN_NOTHING;
}

static void take_sync(struct sim *sim, struct file_client *client,
                      const struct toystore_result *result)
{
    if (result->status != TOYSTORE_OK)
        return;
    for (unsigned i = 0; i < FILE_NAMES_MAX; i++) {
        struct file_name *name = &sim->files->names[i];
        if (client->syncs_name[i] && name->known == KNOWN_PRESENT && name->busy == 0 &&
            name->began < client->began)
            name->durable = true;
    }
    for (unsigned i = 0; i < sim->files->chunk_count; i++) {
        struct file_chunk *chunk = &sim->files->chunks[i];
        if (client->syncs_chunk[i] && chunk->known == KNOWN_PRESENT)
            chunk->durable = true;
    }
}

/* ---- listings ---- */

/* Was it known before the listing began, and untouched until now? */
static bool stood(const struct file_name *name, const struct file_client *client, enum known known)
{
    return name->known == known && name->busy == 0 && name->since < client->began &&
           name->began < client->began;
}

static void check_listing(struct sim *sim, const struct file_client *client)
{
    for (unsigned i = 0; i < FILE_NAMES_MAX; i++) {
        const struct file_name *name = &sim->files->names[i];
        char key[32];
        bool sloppy = name->sloppy || check_went_sloppy(sim, slice_str(files_name(i, key)));
        if (sloppy && (!last_look(sim, client) || one_copy_may_go(sim)))
            continue;
        if (stood(name, client, KNOWN_PRESENT) && !client->listed[i])
            sim_fail(sim, "node %u lists l without name-%u, which was put before", client->node, i);
        /* A delete leaves alone what it did not see: a sloppy put that is on its way. */
        if (stood(name, client, KNOWN_ABSENT) && client->listed[i] && !sloppy)
            sim_fail(sim, "node %u lists name-%u, which was deleted before, or never put",
                     client->node, i);
    }
}

static void take_page(struct sim *sim, struct file_client *client,
                      const struct toystore_result *result)
{
    if (result->status != TOYSTORE_OK && last_look(sim, client))
        sim_fail(sim, "when all is quiet node %u answers a listing with %s", client->node,
                 toystore_status_word(result->status));
    client->doubtful = client->doubtful || result->status != TOYSTORE_OK || result->sloppy;
    for (size_t i = 0; i < result->entry_count; i++) {
        unsigned index;
        char name[32] = {0};
        const struct toystore_bytes *bytes = &result->entries[i].name;
        memcpy(name, bytes->data, min_size(bytes->size, sizeof name - 1));
        if (sscanf(name, "name-%u", &index) != 1 || index >= FILE_NAMES_MAX)
            sim_fail(sim, "a listing of l shows %s", name);
        if (client->listed[index])
            sim_fail(sim, "a listing of l shows %s twice", name);
        client->listed[index] = true;
    }
    if (!client->doubtful && !result->more)
        check_listing(sim, client);
}

/* ---- chunks ---- */

static void take_fetch(struct sim *sim, struct file_client *client,
                       const struct toystore_result *result)
{
    const struct file_chunk *chunk = &sim->files->chunks[client->index];
    bool last = last_look(sim, client);
    if (result->status == TOYSTORE_OK) {
        if (result->version_count != 1 || !files_chunk_is(chunk, result->versions[0].value))
            sim_fail(sim, "node %u gives other bytes of chunk %u", client->node, client->index);
        bool one_copy = chunk->sloppy && one_copy_may_go(sim); /* of the tombstone */
        if (chunk->known == KNOWN_ABSENT && chunk->since < client->began && last && !one_copy)
            sim_fail(sim, "when all is quiet chunk %u is found, which was dropped", client->index);
        return;
    }
    bool stored = chunk->known == KNOWN_PRESENT && chunk->busy == 0 &&
                  chunk->since < client->began && chunk->began < client->began;
    if (!stored || (chunk->sloppy && (!last || one_copy_may_go(sim))))
        return;
    if (result->status == TOYSTORE_NOT_FOUND || last)
        sim_fail(sim, "node %u answers a fetch of chunk %u, which was acknowledged, with %s",
                 client->node, client->index, toystore_status_word(result->status));
}

void files_take(struct sim *sim, struct file_client *client, const struct toystore_result *result)
{
    sim->files->clock++;
    switch (client->kind) {
    case FILE_PUT:
    case FILE_DELETE:
        take_name(sim, client, result);
        break;
    case FILE_STORE:
    case FILE_DROP:
        take_chunk(sim, client, result);
        break;
    case FILE_LIST:
        take_page(sim, client, result);
        break;
    case FILE_FETCH:
        take_fetch(sim, client, result);
        break;
    case FILE_SYNC:
        take_sync(sim, client, result);
        break;
    }
}
