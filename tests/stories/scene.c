/* scene: what a story can do to its cluster. */
#include "stories/scene.h"

#include "core/view/view.h"
#include "core/state/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what the simulator asks of a workload ---- */

void clients_on_death(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    (void)node;
}

void clients_free(struct sim *sim)
{
    (void)sim;
}

static const char *shown(const struct toystore_version *version, char *text, size_t size)
{
    if (version->kind == TOYSTORE_TOMBSTONE)
        return "a tombstone";
    snprintf(text, size, "\"%.*s\"%s", (int)version->value.size, (const char *)version->value.data,
             version->sloppy ? " (a sibling)" : "");
    return text;
}

void clients_on_reply(struct sim *sim, struct sim_node *node, uint64_t call,
                      const struct toystore_result *result)
{
    struct scene *scene = container_of(sim, struct scene, sim);
    char text[200], line[600] = "";
    (void)call;
    scene->open--;
    scene->last = result->status;
    scene->shown = 0;
    for (size_t i = 0; i < result->version_count && i < ARRAY_COUNT(scene->ops); i++) {
        size_t at = strlen(line);
        scene->ops[scene->shown++] = result->versions[i].op;
        snprintf(line + at, sizeof line - at, "%s %s", i ? "," : ":",
                 shown(&result->versions[i], text, sizeof text));
    }
    scene_line(scene, "%c => client: %s%s%s", scene_name(scene, node->index),
               toystore_status_word(result->status), result->sloppy ? ", sloppy" : "", line);
}

/* ---- the cluster ---- */

static bool stands(struct scene *scene)
{
    return check_settled(&scene->sim) == NULL;
}

static void rank_nodes(struct scene *scene)
{
    struct core *core = scene->sim.nodes[0].core;
    node_id ranked[NODES_MAX];
    scene->layout = view_newest(core)->number;
    scene->partition = view_partition_of(core, scene->key);
    size_t count = layout_rank(view_newest(core), scene->partition, ranked, NODES_MAX);
    for (unsigned r = 0; r < count; r++)
        for (unsigned i = 0; i < scene->sim.node_count; i++)
            if (core_id(scene->sim.nodes[i].core) == ranked[r])
                scene->ranked[r] = i;
    memcpy(scene->ids, ranked, sizeof ranked);
    scene->count = (unsigned)count;
}

void scene_begin(struct scene *scene, unsigned nodes, unsigned replicas, const char *key)
{
    struct sim *sim = &scene->sim;
    sim->seed = 1;
    for (unsigned i = 0; i < STREAM_COUNT; i++)
        prng_seed(&sim->streams[i], i + 1);
    sim->plan = (struct plan){.replicas = replicas,
                              .write_quorum = replicas / 2 + 1,
                              .read_quorum = replicas / 2 + 1,
                              .partitions = 4,
                              .storing = nodes,
                              .delay_low_us = 100,
                              .delay_high_us = 100,
                              .steady = true,
                              .probe_interval_ms = 200,
                              .handoff_interval_ms = 500};
    sim->now_us = SECOND;
    sim->net = net_new();
    sim->checks = checks_new();
    sim->node_count = nodes;
    for (unsigned i = 0; i < nodes; i++) {
        node_init(sim, i, true, 0);
        node_start(sim, &sim->nodes[i]);
    }
    uint64_t end = sim->now_us + 60 * SECOND;
    while (!stands(scene) && sim->now_us < end)
        sim_loop_until(sim, sim->now_us + 100 * MS);
    sim_loop_until(sim, sim->now_us + 5 * SECOND); /* leaders are chosen */
    scene->key = slice_str(key);
    rank_nodes(scene);
    scene->recording = true;
    scene_say(scene, "%u members, %u copies of \"%s\"", nodes, replicas, key);
}

static struct sim_node *node_at(struct scene *scene, unsigned rank)
{
    return &scene->sim.nodes[scene->ranked[rank]];
}

void scene_rest(struct scene *scene, unsigned ms)
{
    sim_loop_until(&scene->sim, scene->sim.now_us + ms * MS);
}

/* ---- asking ---- */

static void ask_request(struct scene *scene, unsigned rank, struct toystore_request *request,
                        unsigned how)
{
    request->key = (struct toystore_bytes){scene->key.data, scene->key.size};
    request->strict = how & SCENE_STRICT ? 1 : -1;
    if (how & SCENE_IF_ABSENT)
        request->condition = TOYSTORE_IF_ABSENT;
    if (how & SCENE_IF_MATCH) {
        request->condition = TOYSTORE_IF_MATCH;
        request->match = scene->ops;
        request->match_count = scene->shown;
    }
    scene->open++;
    node_call(&scene->sim, node_at(scene, rank), 1, request);
}

void scene_ask_put(struct scene *scene, unsigned rank, const char *value, unsigned how)
{
    struct toystore_request request = {.type = TOYSTORE_PUT,
                                       .change = TOYSTORE_SET,
                                       .kind = TOYSTORE_FILE,
                                       .value = {value, strlen(value)},
                                       .deadline_ms = 3000};
    scene_line(scene, "client => %c: put \"%s\"%s%s", 'A' + (char)rank, value,
               how & SCENE_IF_ABSENT  ? ", if absent"
               : how & SCENE_IF_MATCH ? ", if match"
                                      : "",
               how & SCENE_STRICT ? ", strictly" : "");
    ask_request(scene, rank, &request, how);
}

void scene_ask_get(struct scene *scene, unsigned rank, unsigned how)
{
    struct toystore_request request = {.type = TOYSTORE_GET, .deadline_ms = 3000};
    scene_line(scene, "client => %c: get%s", 'A' + (char)rank,
               how & SCENE_STRICT ? ", strictly" : "");
    ask_request(scene, rank, &request, how);
}

void scene_ask_delete(struct scene *scene, unsigned rank)
{
    struct toystore_request request = {
        .type = TOYSTORE_PUT, .change = TOYSTORE_DELETE, .deadline_ms = 3000};
    scene_line(scene, "client => %c: delete", 'A' + (char)rank);
    ask_request(scene, rank, &request, SCENE_ALWAYS);
}

static void until_answered(struct scene *scene)
{
    uint64_t end = scene->sim.now_us + 30 * SECOND;
    while (scene->open > 0 && scene->sim.now_us < end)
        scene_rest(scene, 1);
    if (scene->open > 0)
        scene_line(scene, "client: no answer");
    scene_rest(scene, 50);
}

void scene_put(struct scene *scene, unsigned rank, const char *value, unsigned how)
{
    scene_ask_put(scene, rank, value, how);
    until_answered(scene);
}

void scene_delete(struct scene *scene, unsigned rank)
{
    scene_ask_delete(scene, rank);
    until_answered(scene);
}

void scene_get(struct scene *scene, unsigned rank, unsigned how)
{
    scene_ask_get(scene, rank, how);
    until_answered(scene);
}

/* ---- what goes wrong ---- */

void scene_say(struct scene *scene, const char *format, ...)
{
    char text[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    scene_line(scene, "-- %s", text);
}

void scene_kill(struct scene *scene, unsigned rank)
{
    scene_say(scene, "%c is killed", 'A' + (char)rank);
    node_kill(&scene->sim, node_at(scene, rank));
}

void scene_power(struct scene *scene, unsigned rank)
{
    scene_say(scene, "%c loses its power", 'A' + (char)rank);
    node_lose_power(&scene->sim, node_at(scene, rank));
}

void scene_start(struct scene *scene, unsigned rank)
{
    scene_say(scene, "%c starts again", 'A' + (char)rank);
    node_start(&scene->sim, node_at(scene, rank));
}

void scene_join(struct scene *scene)
{
    struct sim *sim = &scene->sim;
    unsigned index = sim->node_count++;
    scene_say(scene, "%c joins", 'A' + (char)scene->count);
    scene->ranked[scene->count++] = index;
    node_init(sim, index, true, 0);
    node_start(sim, &sim->nodes[index]);
}

static unsigned live_layouts(const struct core *core)
{
    return view_oldest(core) == view_newest(core) ? 1 : 2;
}

void scene_until_layouts(struct scene *scene, unsigned rank, unsigned live)
{
    uint64_t end = scene->sim.now_us + 60 * SECOND;
    while (live_layouts(node_at(scene, rank)->core) != live) {
        if (scene->sim.now_us > end)
            sim_fail(&scene->sim, "%u live layouts do not come", live);
        sim_loop_until(&scene->sim, scene->sim.now_us + 10);
    }
    for (unsigned r = 0; r < scene->count; r++)
        scene->ids[r] = core_id(node_at(scene, r)->core);
}

static void cut(struct scene *scene, unsigned rank, unsigned other)
{
    net_block(&scene->sim, scene->ranked[rank], scene->ranked[other], true);
    net_block(&scene->sim, scene->ranked[other], scene->ranked[rank], true);
}

void scene_split(struct scene *scene, unsigned count)
{
    static const char names[] = "ABCDEFGHIJ";
    scene_say(scene, "the network splits: %.*s | %.*s", (int)count, names,
              (int)(scene->count - count), names + count);
    for (unsigned r = 0; r < count; r++)
        for (unsigned other = count; other < scene->count; other++)
            cut(scene, r, other);
}

void scene_heal(struct scene *scene)
{
    scene_say(scene, "the network is whole again");
    net_heal(&scene->sim);
}

void scene_full(struct scene *scene, unsigned rank, unsigned us)
{
    scene_say(scene, "%c's disk is full for %u us", 'A' + (int)rank, us);
    scene->sim.nodes[scene->ranked[rank]].disk_full_until = scene->sim.now_us + us;
}

void scene_damage(struct scene *scene, unsigned rank)
{
    struct disk *disk = &node_at(scene, rank)->disk;
    scene_say(scene, "a bit of the copy at %c turns", 'A' + (char)rank);
    disk_damage(disk, TOYSTORE_RECORDS, disk_find(disk, TOYSTORE_RECORDS, scene->key), 30);
}

void scene_collect(struct scene *scene)
{
    scene_say(scene, "tombstones are to be collected");
    for (unsigned i = 0; i < scene->sim.node_count; i++) {
        scene->sim.nodes[i].config.collect_min = 1;
        if (scene->sim.nodes[i].core != NULL)
            scene->sim.nodes[i].core->config.collect_min = 1;
    }
}
