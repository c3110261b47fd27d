/* tell: tells a story and compares its trace with the golden one.
 *
 *     tell GOLDEN-DIRECTORY NAME           the first line that differs, and exit status 1
 *     tell --write GOLDEN-DIRECTORY [NAME] writes them instead */
#include "stories/stories.h"

#include <stdio.h>
#include <stdlib.h>

static struct scene scene;

static struct slice tell(const struct story *story)
{
    memset(&scene, 0, sizeof scene);
    if (setjmp(scene.sim.failure) == 0)
        story->tell(&scene);
    else
        scene_line(&scene, "FAILED: %s", scene.sim.reason);
    return buf_slice(&scene.trace);
}

static void path_of(char *path, size_t size, const char *directory, const char *name)
{
    snprintf(path, size, "%s/%s.txt", directory, name);
}

static int write_golden(const char *directory, const struct story *story)
{
    char path[1000];
    path_of(path, sizeof path, directory, story->name);
    struct slice trace = tell(story);
    FILE *file = fopen(path, "w");
    bool good = file != NULL && fwrite(trace.data, 1, trace.size, file) == trace.size;
    if (file != NULL && fclose(file) != 0)
        good = false;
    if (!good)
        perror(path);
    return good ? 0 : 1;
}

static int compare(const char *directory, const struct story *story)
{
    char path[1000], line[1200];
    path_of(path, sizeof path, directory, story->name);
    struct slice trace = tell(story);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t at = 0;
    unsigned number = 0;
    int status = 0;
    while (status == 0 && fgets(line, sizeof line, file) != NULL) {
        size_t size = strlen(line);
        number++;
        if (trace.size - at < size || memcmp(trace.data + at, line, size) != 0)
            status = 1;
        else
            at += size;
    }
    if (status != 0 || at != trace.size) {
        printf("%s:%u: golden: %s", path, number, status ? line : "(the end)\n");
        printf("the rest of this run:\n%.*s", (int)(trace.size - at), trace.data + at);
        printf("If this is how it should go now: tests/stories/tell --write %s\n", directory);
        status = 1;
    }
    fclose(file);
    return status;
}

int main(int argc, char **argv)
{
    bool write = argc > 2 && strcmp(argv[1], "--write") == 0;
    const char *directory = argc > 1 + write ? argv[1 + write] : NULL;
    const char *name = argc > 2 + write ? argv[2 + write] : NULL;
    int status = 0;
    if (directory == NULL || (!write && name == NULL)) {
        fprintf(stderr, "usage: tell [--write] GOLDEN-DIRECTORY [NAME]\n");
        return 2;
    }
    for (const struct story *story = stories; story->name != NULL; story++) {
        if (name != NULL && strcmp(name, story->name) != 0)
            continue;
        status |= write ? write_golden(directory, story) : compare(directory, story);
        sim_free(&scene.sim);
        buf_free(&scene.trace);
    }
    return status;
}
