/* stores: the stores that come with toystore, by the name of --store. */
#include "io/stores.h"

const struct toystore_store_ops *const toystore_stores[] = {&store_rocksdb, &store_memory, NULL};

const struct toystore_store_ops *store_by_name(const char *name)
{
    for (size_t i = 0; toystore_stores[i] != NULL; i++) {
        if (strcmp(toystore_stores[i]->name, name) == 0)
            return toystore_stores[i];
    }
    return NULL;
}
