/* files: the second workload: names that come and go in one directory, listings of it page by page,
 * chunks that are stored, fetched and dropped, and syncs. Each name and each chunk is worked on by
 * one client at a time, so that what must be seen is known from the answers alone (files_check.c).
 */
#include "sim/files.h"

#include <stdio.h>
#include <stdlib.h>

#include "rules/key.h"

#define CALL_OF_FILES (1ull << 61)

static uint64_t between(struct sim *sim, uint64_t low, uint64_t high)
{
    return sim_between(sim, STREAM_FILES, low, high);
}

static bool chance(struct sim *sim, unsigned thousandths)
{
    return sim_chance(sim, STREAM_FILES, thousandths);
}

struct files *files_new(void)
{
    return base_alloc(sizeof(struct files));
}

void files_free(struct files *files)
{
    free(files);
}

bool files_is_call(uint64_t call)
{
    return (call & CALL_OF_FILES) != 0;
}

static uint64_t call_of(const struct sim *sim, const struct file_client *client)
{
    return CALL_OF_FILES | (uint64_t)(client - sim->files->client) << 48 | client->calls;
}

static struct file_client *client_of(struct sim *sim, uint64_t call)
{
    struct file_client *client = &sim->files->client[call >> 48 & 0xff];
    return client->open && client->asked_us != 0 && call_of(sim, client) == call ? client : NULL;
}

/* ---- keys and bytes ---- */

const char *files_name(unsigned index, char room[32])
{
    snprintf(room, 32, "l/name-%u", index);
    return room;
}

static struct toystore_bytes name_key(unsigned index, char room[128])
{
    const char *name = files_name(index, room);
    return (struct toystore_bytes){name, strlen(name)};
}

static struct toystore_bytes chunk_key(unsigned index, char room[128])
{
    snprintf(room, 128, "%s%048u/%024u-%016u", KEY_CHUNKS, 1, 1, index + 1);
    return (struct toystore_bytes){room, strlen(room)};
}

/* Of some chunks more than RocksDB would keep inline. */
static void chunk_bytes(const struct file_chunk *chunk, uint8_t *bytes)
{
    memset(bytes, (int)(chunk->number & 255), chunk->size);
    memcpy(bytes, &chunk->number, sizeof chunk->number);
}

bool files_chunk_is(const struct file_chunk *chunk, struct toystore_bytes value)
{
    uint8_t *bytes = base_alloc(chunk->size);
    chunk_bytes(chunk, bytes);
    bool same = value.size == chunk->size && memcmp(bytes, value.data, value.size) == 0;
    free(bytes);
    return same;
}

/* ---- asking ---- */

static void ask_sync(struct sim *sim, struct sim_node *node, struct file_client *client,
                     struct toystore_request *request)
{
    static char rooms[FILE_NAMES_MAX + CHUNKS_MAX][128];
    static struct toystore_bytes keys[FILE_NAMES_MAX + CHUNKS_MAX];
    struct files *files = sim->files;
    request->keys = keys;
    for (unsigned i = 0; i < FILE_NAMES_MAX; i++)
        if (client->syncs_name[i])
            keys[request->key_count] = name_key(i, rooms[request->key_count]), request->key_count++;
    for (unsigned i = 0; i < files->chunk_count; i++)
        if (client->syncs_chunk[i])
            keys[request->key_count] = chunk_key(i, rooms[request->key_count]),
            request->key_count++;
    node_call(sim, node, call_of(sim, client), request);
}

static void ask(struct sim *sim, struct sim_node *node, struct file_client *client, bool durable)
{
    static const char *const words[] = {"put", "delete", "list", "store", "drop", "fetch", "sync"};
    char room[128];
    uint8_t bytes[70000] = {0};
    struct file_chunk *chunk = &sim->files->chunks[client->index];
    struct toystore_request request = {.strict = sim->plan.strict, .durable = durable};
    client->node = node->index;
    client->asked_us = sim->now_us;
    client->calls++;
    client->durable = durable;
    trace_say(sim, node, "files %u: %s %u", (unsigned)(client - sim->files->client),
              words[client->kind], client->index);
    switch (client->kind) {
    case FILE_PUT:
    case FILE_DELETE:
        request.type = TOYSTORE_PUT;
        request.key = name_key(client->index, room);
        request.change = client->kind == FILE_PUT ? TOYSTORE_SET : TOYSTORE_DELETE;
        request.kind = TOYSTORE_FILE;
        request.value = (struct toystore_bytes){bytes, 9};
        break;
    case FILE_LIST:
        request.type = TOYSTORE_LIST;
        request.key = (struct toystore_bytes){"l", 1};
        request.after = client->after;
        request.limit = 7;
        break;
    case FILE_STORE:
        chunk_bytes(chunk, bytes);
        request.value = (struct toystore_bytes){bytes, chunk->size};
        request.type = TOYSTORE_STORE;
        request.key = chunk_key(client->index, room);
        break;
    case FILE_DROP:
        request.type = TOYSTORE_STORE;
        request.change = TOYSTORE_DELETE;
        request.key = chunk_key(client->index, room);
        break;
    case FILE_FETCH:
        request.type = TOYSTORE_FETCH;
        request.key = chunk_key(client->index, room);
        break;
    case FILE_SYNC:
        request.type = TOYSTORE_SYNC;
        ask_sync(sim, node, client, &request);
        return;
    }
    node_call(sim, node, call_of(sim, client), &request);
}

static struct sim_node *pick_node(struct sim *sim, struct file_client *client)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        struct sim_node *node = &sim->nodes[client->node];
        if (node_answers(node))
            return node;
        client->node = (unsigned)between(sim, 0, sim->node_count - 1);
    }
    return NULL;
}

/* ---- what next ---- */

static bool draw_name(struct sim *sim, struct file_client *client)
{
    unsigned own = (unsigned)(client - sim->files->client);
    client->index =
        (unsigned)between(sim, 0, FILE_NAMES_MAX / FILE_CLIENTS - 1) * FILE_CLIENTS + own;
    struct file_name *name = &sim->files->names[client->index];
    if (name->known == KNOWN_NOTHING || name->busy != 0)
        return false;
    name->busy++;
    name->began = ++sim->files->clock;
    name->durable = false;
    client->kind = name->known == KNOWN_PRESENT && chance(sim, 600) ? FILE_DELETE : FILE_PUT;
    return true;
}

static bool draw_store(struct sim *sim, struct file_client *client)
{
    struct files *files = sim->files;
    if (files->chunk_count == CHUNKS_MAX)
        return false;
    client->kind = FILE_STORE;
    client->index = (unsigned)files->chunk_count++;
    files->chunks[client->index] =
        (struct file_chunk){.busy = 1,
                            .began = ++files->clock,
                            .number = ++files->numbers,
                            .size = chance(sim, 100) ? 60000 : between(sim, 8, 300)};
    return true;
}

static bool draw_chunk(struct sim *sim, struct file_client *client)
{
    struct files *files = sim->files;
    if (files->chunk_count == 0)
        return false;
    client->index = (unsigned)between(sim, 0, files->chunk_count - 1);
    struct file_chunk *chunk = &files->chunks[client->index];
    client->kind = FILE_FETCH;
    if (chunk->known == KNOWN_PRESENT && chunk->busy == 0 && chance(sim, 100)) {
        client->kind = FILE_DROP;
        chunk->busy++;
        chunk->began = ++files->clock;
    }
    return true;
}

static bool draw_sync(struct sim *sim, struct file_client *client)
{
    struct files *files = sim->files;
    bool any = false;
    client->kind = FILE_SYNC;
    for (unsigned i = 0; i < FILE_NAMES_MAX; i++) {
        const struct file_name *name = &files->names[i];
        client->syncs_name[i] = name->known == KNOWN_PRESENT && name->busy == 0 && chance(sim, 300);
        any = any || client->syncs_name[i];
    }
    for (unsigned i = 0; i < files->chunk_count; i++) {
        const struct file_chunk *chunk = &files->chunks[i];
        client->syncs_chunk[i] =
            chunk->known == KNOWN_PRESENT && chunk->busy == 0 && chance(sim, 300);
        any = any || client->syncs_chunk[i];
    }
    return any;
}

static void list_begin(struct file_client *client)
{
    client->kind = FILE_LIST;
    client->after = 0;
    client->doubtful = false;
    memset(client->listed, 0, sizeof client->listed);
}

static bool draw_call(struct sim *sim, struct file_client *client)
{
    uint64_t drawn = between(sim, 0, 99);
    if (drawn < 40)
        return draw_name(sim, client);
    if (drawn < 60) {
        list_begin(client);
        return true;
    }
    if (drawn < 75)
        return draw_store(sim, client);
    return drawn < 93 ? draw_chunk(sim, client) : draw_sync(sim, client);
}

static void think(struct sim *sim, struct sim_event *event)
{
    struct file_client *client = &sim->files->client[event->a];
    if (sim->files->stopped)
        return;
    struct sim_node *node = pick_node(sim, client);
    if (node == NULL || client->open || !draw_call(sim, client)) {
        sim_at(sim, sim->now_us + between(sim, 1, 50 * MS), think)->a = event->a;
        return;
    }
    client->open = true;
    client->began = ++sim->files->clock;
    ask(sim, node, client, chance(sim, 200));
}

void files_start(struct sim *sim)
{
    for (unsigned i = 0; sim->plan.files && i < FILE_CLIENTS; i++)
        sim_at(sim, sim->now_us + between(sim, 1, 50 * MS), think)->a = i;
}

void files_stop(struct sim *sim)
{
    sim->files->stopped = true;
}

size_t files_open(const struct sim *sim)
{
    size_t open = 0;
    for (unsigned i = 0; i <= FILE_CLIENTS; i++)
        open += sim->files->client[i].open;
    return open;
}

/* ---- at the end ---- */

/* Lists at each node, then fetches each chunk at one. */
static void look(struct sim *sim, struct sim_event *event)
{
    struct files *files = sim->files;
    struct file_client *client = &files->client[FILE_CLIENTS];
    (void)event;
    if (files->last_node < sim->node_count) {
        list_begin(client);
        client->node = files->last_node++;
    } else if (files->last_chunk < files->chunk_count) {
        client->kind = FILE_FETCH;
        client->index = files->last_chunk++;
        client->node = (unsigned)between(sim, 0, sim->node_count - 1);
    } else {
        client->open = false;
        return;
    }
    client->began = ++files->clock;
    ask(sim, &sim->nodes[client->node], client, false);
}

void files_look(struct sim *sim)
{
    sim->files->client[FILE_CLIENTS].open = sim->plan.files;
    if (sim->plan.files)
        look(sim, NULL);
}

/* ---- answers: what follows comes from outside of the step that gave them ---- */

static void call_ends(struct sim *sim, struct file_client *client)
{
    client->asked_us = 0;
    if (client == &sim->files->client[FILE_CLIENTS]) {
        sim_at(sim, sim->now_us + 1, look);
        return;
    }
    client->open = false;
    sim_at(sim, sim->now_us + between(sim, 1, 2 * sim->plan.think_us + MS), think)->a =
        (uint64_t)(client - sim->files->client);
}

static void next_page(struct sim *sim, struct sim_event *event)
{
    struct file_client *client = &sim->files->client[event->a];
    struct sim_node *node = &sim->nodes[client->node];
    if (node_answers(node))
        ask(sim, node, client, false);
    else
        call_ends(sim, client);
}

void files_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                    const struct toystore_result *result)
{
    struct file_client *client = client_of(sim, call);
    if (client == NULL || client->node != node->index)
        sim_fail(sim, "node %u answers call %llx of files, which is not open", node->index,
                 (unsigned long long)call);
    trace_say(sim, node, "files %u: %s", (unsigned)(client - sim->files->client),
              toystore_status_word(result->status));
    files_take(sim, client, result);
    bool more = client->kind == FILE_LIST && result->status == TOYSTORE_OK && result->more;
    if (!more) {
        call_ends(sim, client);
        return;
    }
    client->after = result->entries[result->entry_count - 1].cookie;
    client->asked_us = 0;
    sim_at(sim, sim->now_us + 1, next_page)->a = (uint64_t)(client - sim->files->client);
}

void files_on_death(struct sim *sim, struct sim_node *node)
{
    static const struct toystore_result unknown = {.status = TOYSTORE_INDETERMINATE};
    for (unsigned i = 0; i <= FILE_CLIENTS; i++) {
        struct file_client *client = &sim->files->client[i];
        if (client->asked_us == 0 || client->node != node->index)
            continue;
        files_take(sim, client, &unknown);
        call_ends(sim, client);
    }
}

void files_check_deadlines(struct sim *sim)
{
    for (unsigned i = 0; i <= FILE_CLIENTS; i++) {
        const struct file_client *client = &sim->files->client[i];
        const struct sim_node *node = &sim->nodes[client->node];
        if (client->asked_us != 0 && !node->paused &&
            sim->now_us > max_u64(client->asked_us, node->resumed_us) + 8 * SECOND)
            sim_fail(sim, "node %u has not answered files %u for 8 s", node->index, i);
    }
}
