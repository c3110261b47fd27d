/* base: the small things that everything stands on. */
#include "base/arena.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void map_finds_what_was_put(void **state)
{
    (void)state;
    struct map map = {0};
    int values[500];
    char key[16];
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%d", i);
        map_put(&map, slice_str(key), &values[i]);
    }
    assert_int_equal(map.count, 500);
    assert_ptr_equal(map_get(&map, slice_str("k123")), &values[123]);
    assert_ptr_equal(map_remove(&map, slice_str("k123")), &values[123]);
    assert_null(map_get(&map, slice_str("k123")));
    assert_null(map_remove(&map, slice_str("k123")));
    size_t seen = 0;
    MAP_EACH(entry, &map)
    seen += map_get(&map, map_key(entry)) == entry->value;
    assert_int_equal(seen, 499);
    map_free(&map);
}

static void heap_gives_deadlines_in_order(void **state)
{
    (void)state;
    struct heap heap = {0};
    struct heap_node nodes[100] = {0};
    struct prng prng;
    prng_seed(&prng, 7);
    for (size_t i = 0; i < 100; i++)
        heap_set(&heap, &nodes[i], prng_below(&prng, 20));
    for (size_t i = 0; i < 100; i += 3)
        heap_remove(&heap, &nodes[i]);
    heap_remove(&heap, &nodes[0]);
    struct heap_node *last = NULL;
    size_t count = 0;
    while (heap_first(&heap) != NULL) {
        struct heap_node *node = heap_first(&heap);
        assert_true(last == NULL || last->at < node->at ||
                    (last->at == node->at && last->order < node->order));
        last = node;
        heap_remove(&heap, node);
        count++;
    }
    assert_int_equal(count, 66);
    heap_free(&heap);
}

static void pool_refuses_old_handles_and_overflow(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, sizeof(int), 20);
    pool_handle handles[20], extra;
    for (size_t i = 0; i < 20; i++)
        assert_non_null(pool_new(&pool, &handles[i]));
    assert_null(pool_new(&pool, &extra));
    pool_delete(&pool, handles[5]);
    assert_null(pool_get(&pool, handles[5]));
    assert_non_null(pool_new(&pool, &extra));
    assert_int_not_equal(extra, handles[5]);
    assert_null(pool_get(&pool, 0));
    pool_free(&pool);
}

static void arena_keeps_what_it_gave(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct slice copies[50];
    for (size_t i = 0; i < 50; i++) {
        uint8_t bytes[300];
        memset(bytes, (int)i, sizeof bytes);
        copies[i] = arena_copy(&arena, slice_of(bytes, sizeof bytes));
    }
    for (size_t i = 0; i < 50; i++)
        assert_true(copies[i].size == 300 && copies[i].data[0] == i && copies[i].data[299] == i);
    arena_free(&arena);
}

static void list_keeps_order_and_forgets_the_removed(void **state)
{
    (void)state;
    struct list head, links[3] = {{0}};
    list_init(&head);
    for (size_t i = 0; i < 3; i++)
        list_push_back(&head, &links[i]);
    list_remove(&links[1]);
    list_remove(&links[1]);
    assert_ptr_equal(list_pop_front(&head), &links[0]);
    assert_ptr_equal(list_pop_front(&head), &links[2]);
    assert_null(list_pop_front(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_finds_what_was_put),
        cmocka_unit_test(heap_gives_deadlines_in_order),
        cmocka_unit_test(pool_refuses_old_handles_and_overflow),
        cmocka_unit_test(arena_keeps_what_it_gave),
        cmocka_unit_test(list_keeps_order_and_forgets_the_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
