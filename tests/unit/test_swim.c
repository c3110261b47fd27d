/* swim: small clusters on virtual time: who is dead is found dead, who lives is never killed, what
 * fell apart heals. */
#include "core_net.h"

static void net_on_request(struct core *core, const struct rpc_request *request)
{
    assert_int_equal(request->method, METHOD_EXCHANGE);
    swim_handle_exchange(core, request);
}

static bool all_alive(void)
{
    for (int i = 0; i < net.count; i++)
        for (int j = 0; j < net.count; j++)
            if (net.nodes[i].up && net.nodes[j].up && net_state(i, j) != TOYSTORE_ALIVE)
                return false;
    return true;
}

static bool last_is(enum toystore_member_state state)
{
    for (int i = 0; i < net.count - 1; i++)
        if (net.nodes[i].up && net_state(i, net.count - 1) != state)
            return false;
    return true;
}

static bool last_dead(void)
{
    return last_is(TOYSTORE_DEAD);
}

static bool last_left(void)
{
    return last_is(TOYSTORE_LEFT);
}

static void test_join(void **state)
{
    (void)state;
    net_open(5, 1);
    net_until(all_alive, 20 * PROBE_MS);
    net_close();
}

static void test_dead_is_found(void **state)
{
    (void)state;
    for (int count = 2; count <= 5; count++) {
        net_open(count, (uint64_t)count);
        net_until(all_alive, 20 * PROBE_MS);
        net_kill(count - 1);
        net_until(last_dead, 60 * PROBE_MS);
        net_close();
    }
}

static void test_nobody_is_wronged_by_loss(void **state)
{
    (void)state;
    net_open(5, 7);
    net_until(all_alive, 20 * PROBE_MS);
    net.loss_percent = 10;
    for (int round = 0; round < 600; round++) {
        net_run_ms(PROBE_MS);
        for (int i = 0; i < net.count; i++)
            for (int j = 0; j < net.count; j++)
                assert_int_not_equal(net_state(i, j), TOYSTORE_DEAD);
    }
    net_close();
}

/* A suspicion about a live member is gone at once, by a higher incarnation. */
static void test_refute(void **state)
{
    (void)state;
    net_open(3, 3);
    net_until(all_alive, 20 * PROBE_MS);
    uint64_t before = net.nodes[2].core->self.incarnation;
    net_enter(0);
    swim_suspect(net.nodes[0].core, members_get(net.nodes[0].core, 3), 1);
    net_leave(0);
    assert_int_equal(net_state(0, 2), TOYSTORE_SUSPECT);
    net_until(all_alive, 5 * PROBE_MS);
    assert_true(net.nodes[2].core->self.incarnation > before);
    net_close();
}

static void test_partition_heals(void **state)
{
    (void)state;
    net_open(4, 4);
    net_until(all_alive, 20 * PROBE_MS);
    for (int i = 0; i < 2; i++)
        for (int j = 2; j < 4; j++)
            net_cut(i, j, true);
    net_run_ms(36000 * PROBE_MS); /* of any length: an hour */
    assert_int_equal(net_state(0, 3), TOYSTORE_DEAD);
    assert_int_equal(net_state(3, 0), TOYSTORE_DEAD);
    assert_int_equal(net_state(0, 1), TOYSTORE_ALIVE);
    for (int i = 0; i < 2; i++)
        for (int j = 2; j < 4; j++)
            net_cut(i, j, false);
    net_until(all_alive, 60 * PROBE_MS);
    net_close();
}

/* Only what is remembered leads back, for one and for all at once. */
static void test_rejoin_without_seed(void **state)
{
    (void)state;
    net_open(3, 5);
    net_until(all_alive, 20 * PROBE_MS);
    net_kill(2);
    net_run_ms(PROBE_MS);
    net_restart(2);
    net_until(all_alive, 30 * PROBE_MS);
    for (int i = 0; i < 3; i++)
        net_kill(i);
    net_run_ms(100);
    for (int i = 0; i < 3; i++)
        net_restart(i);
    net_until(all_alive, 30 * PROBE_MS);
    net_close();
}

/* An address is an attribute: the same directory at another is the same member. */
static void test_moves_to_another_address(void **state)
{
    (void)state;
    net_open(3, 12);
    net_until(all_alive, 20 * PROBE_MS);
    net_kill(2);
    net_until(last_dead, 60 * PROBE_MS);
    snprintf(net.nodes[2].host, sizeof net.nodes[2].host, "elsewhere");
    net_restart(2);
    net_until(all_alive, 30 * PROBE_MS);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(members_find(net.nodes[i].core, 3)->gossip.host, "elsewhere");
        assert_int_equal(members_count(net.nodes[i].core), 3);
    }
    net_close();
}

static bool old_dead_new_alive(void)
{
    for (int i = 0; i < 2; i++) {
        const struct member *old = members_find(net.nodes[i].core, 3),
                            *new = members_find(net.nodes[i].core, 33);
        if (old->state != TOYSTORE_DEAD || new == NULL || new->state != TOYSTORE_ALIVE)
            return false;
    }
    return true;
}

/* Another directory at the same address is another member, and no sign of life of the first. */
static void test_another_at_the_same_address(void **state)
{
    (void)state;
    net_open(3, 13);
    net_until(all_alive, 20 * PROBE_MS);
    net_kill(2);
    net_core_free(net.nodes[2].core);
    actions_free(&net.nodes[2].actions);
    struct core *core = net.nodes[2].core = net_boot(2, NULL);
    core->id = core->self.id = 33;
    net_start(2);
    net_until(old_dead_new_alive, 60 * PROBE_MS);
    net_run_ms(300 * PROBE_MS);
    assert_true(old_dead_new_alive());
    net_close();
}

/* What is pinged finds those who ping it, though it remembers nobody and has no seed. */
static void test_rejoin_without_memory(void **state)
{
    (void)state;
    net_open(3, 11);
    net_until(all_alive, 20 * PROBE_MS);
    net_kill(0);
    for (int i = 1; i < 3; i++)
        members_forget(net.nodes[0].core, members_get(net.nodes[0].core, (node_id)i + 1));
    net_restart(0);
    net_until(all_alive, 30 * PROBE_MS);
    net_close();
}

/* A member that stores nothing: the others are rid of it, by whom it is retired. */
static void become_client(int node)
{
    struct core *core = net_enter(node);
    core->config.storing = core->self.storing = false;
    swim_update_self(core);
    net_leave(node);
    net_run_ms(5 * PROBE_MS);
    net_retiring = 0;
}

static void test_a_dead_client_is_retired(void **state)
{
    (void)state;
    net_open(3, 14);
    net_until(all_alive, 20 * PROBE_MS);
    become_client(2);
    net_kill(2);
    net_run_ms(55 * PROBE_MS);
    assert_int_equal(net_state(0, 2), TOYSTORE_DEAD);
    assert_int_equal(net_retiring, 0);
    net_run_ms(30 * PROBE_MS);
    assert_int_equal(net_retiring, 2);
    assert_null(members_get(net.nodes[0].core, 3));
    net_close();
}

static void test_a_client_that_leaves_is_retired(void **state)
{
    (void)state;
    net_open(3, 15);
    net_until(all_alive, 20 * PROBE_MS);
    become_client(2);
    net_enter(2);
    swim_leave(net.nodes[2].core, false);
    net_leave(2);
    net_run_ms(2 * PROBE_MS);
    assert_int_equal(net_retiring, 2);
    net_close();
}

static void test_leave(void **state)
{
    (void)state;
    net_open(3, 6);
    net_until(all_alive, 20 * PROBE_MS);
    net_enter(2);
    swim_leave(net.nodes[2].core, false);
    net_leave(2);
    net_until(last_left, PROBE_MS);
    net_kill(2);
    net_run_ms(100 * PROBE_MS);
    assert_true(last_left());
    net_close();
}

static bool twin_stopped(void)
{
    return !net.nodes[2].up;
}

/* Node 2 begins as a twin of node 1: one id, another address. */
static void start_twin(bool copied_while_running)
{
    net.count = 3;
    snprintf(net.nodes[2].seed, sizeof net.nodes[2].seed, "%d", GOSSIP_PORT);
    struct core *twin = net.nodes[2].core = net_boot(2, NULL);
    const struct core *first = net.nodes[1].core;
    twin->id = twin->self.id = first->id;
    if (copied_while_running) {
        twin->nonces = base_realloc(twin->nonces, 2 * sizeof *twin->nonces);
        twin->nonces[1] = twin->self.nonces[1] = first->nonces[0];
        twin->nonce_count = 2;
        twin->self.incarnation = first->self.incarnation + 1;
    }
    net_start(2);
}

static void test_copy_of_an_older_state(void **state)
{
    (void)state;
    net_open(2, 8);
    net_until(all_alive, 20 * PROBE_MS);
    start_twin(false);
    net_until(twin_stopped, 20 * PROBE_MS);
    assert_int_equal(net.nodes[2].stop_status, -ESTALE);
    assert_int_equal(net_resets, 1);
    assert_true(net.nodes[1].up);
    net_close();
}

static void test_copy_of_a_running_node(void **state)
{
    (void)state;
    net_open(2, 8);
    net_until(all_alive, 20 * PROBE_MS);
    net_run_ms(2 * NEW_PROBES * PROBE_MS);
    start_twin(true);
    net_until(twin_stopped, 50 * PROBE_MS);
    assert_int_equal(net.nodes[2].stop_status, -EEXIST);
    assert_true(net.nodes[1].up);
    net_close();
}

static void test_garbage(void **state)
{
    (void)state;
    net_open(2, 9);
    net_until(all_alive, 20 * PROBE_MS);
    struct address from = {.host = "net", .port = 1};
    struct core *core = net_enter(0);
    for (int i = 0; i < 5000; i++) {
        uint8_t bytes[256];
        size_t size = (size_t)prng_below(&net.prng, sizeof bytes);
        prng_bytes(&net.prng, bytes, size);
        swim_on_datagram(core, &from, slice_of(bytes, size));
    }
    /* Whole datagrams with one byte changed. */
    for (int i = 0; i < 5000; i++) {
        struct buf out = {0};
        datagram_begin(&out, core, SWIM_PING, 1, core->id);
        news_encode(&out, &net.nodes[1].core->self, 1);
        size_t at = (size_t)prng_below(&net.prng, out.size);
        out.blob->data[at] = (uint8_t)prng_next(&net.prng);
        swim_on_datagram(core, &from, buf_slice(&out));
        buf_free(&out);
    }
    net_leave(0);
    net_run_ms(10 * PROBE_MS);
    assert_true(core->swim->datagrams_bad > 0);
    net_close();
}

static void test_suspicion_shortens(void **state)
{
    (void)state;
    net_open(5, 10);
    net_until(all_alive, 20 * PROBE_MS);
    const struct core *core = net.nodes[0].core;
    assert_int_equal(swim_suspicion_us(core, 2), 4 * PROBE_MS * 1000);
    assert_int_equal(swim_suspicion_us(core, 0), 24 * PROBE_MS * 1000);
    assert_true(swim_suspicion_us(core, 1) < swim_suspicion_us(core, 0));
    net_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_dead_is_found),
        cmocka_unit_test(test_nobody_is_wronged_by_loss),
        cmocka_unit_test(test_refute),
        cmocka_unit_test(test_partition_heals),
        cmocka_unit_test(test_rejoin_without_seed),
        cmocka_unit_test(test_rejoin_without_memory),
        cmocka_unit_test(test_moves_to_another_address),
        cmocka_unit_test(test_another_at_the_same_address),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_a_dead_client_is_retired),
        cmocka_unit_test(test_a_client_that_leaves_is_retired),
        cmocka_unit_test(test_copy_of_an_older_state),
        cmocka_unit_test(test_copy_of_a_running_node),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_suspicion_shortens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
