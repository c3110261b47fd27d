/* example: a node inside a C program. Founds a cluster in a temporary directory, stores, reads,
 * deletes, watches members come, and stops. Run by the tests; exit status 0 when all went well. */
#include <toystore/toystore.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_member(void *arg, enum toystore_event_type type,
                      const struct toystore_member *member)
{
    static const char *const words[] = {"joined", "left", "changed"};
    (void)arg;
    printf("%s %s\n", member->name, words[type]);
}

static void print_member(void *arg, const struct toystore_member *member)
{
    unsigned *count = arg;
    (*count)++;
    printf("member %016llx at %s:%u\n", (unsigned long long)member->id, member->host,
           member->rpc_port);
}

static int use(struct toystore *node)
{
    enum toystore_status status = toystore_put_string(node, "users/alice", "hi");
    if (status != TOYSTORE_OK) {
        fprintf(stderr, "put: %s\n", toystore_status_meaning(status));
        return 1;
    }
    char *value = toystore_get_string(node, "users/alice", &status);
    if (value == NULL || strcmp(value, "hi") != 0) {
        fprintf(stderr, "get: %s\n", toystore_status_meaning(status));
        return 1;
    }
    free(value);
    if (toystore_delete(node, "users/alice") != TOYSTORE_OK)
        return 1;
    /* A key that is not there and a quorum that cannot be asked are two answers. */
    if (toystore_get_string(node, "users/alice", &status) != NULL || status != TOYSTORE_NOT_FOUND)
        return 1;
    unsigned members = 0;
    toystore_members(node, print_member, &members);
    char *report = toystore_report(node, "status");
    if (members != 1 || report == NULL)
        return 1;
    free(report);
    return 0;
}

int main(int argc, char **argv)
{
    struct toystore_config config;
    struct toystore *node = NULL;
    char error[300];
    if (argc != 2) {
        fprintf(stderr, "usage: example DATADIR\n");
        return 2;
    }
    toystore_config_init(&config);
    config.pick_ports = true;
    int status = toystore_config_set(&config, "data", argv[1], error, sizeof error);
    if (status == 0)
        status = toystore_new(&config, &node, error, sizeof error);
    if (status != 0) {
        fprintf(stderr, "example: %s\n", error);
        return 1;
    }
    toystore_on_event(node, on_member, NULL);
    status = toystore_start(node) != 0 || toystore_wait_ready(node, 20000) != 0 || use(node) != 0;
    toystore_stop(node);
    toystore_free(node);
    toystore_config_free(&config);
    return status;
}
