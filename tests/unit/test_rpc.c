/* rpc: calls between two nodes, and to oneself: one answer each, whatever happens. */
#include "core_net.h"

static struct {
    struct rpc_request held; /* when `hold`: the last request, not answered */
    bool hold;
    int served;
} handler;

static struct {
    int count;
    struct rpc_answer last;
    char text[64];
} answers;

/* Answers what was asked: with its own argument. */
static void net_on_request(struct core *core, const struct rpc_request *request)
{
    struct report_request ask;
    handler.served++;
    if (request->method == METHOD_EXCHANGE) {
        swim_handle_exchange(core, request);
    } else if (handler.hold) {
        handler.held = *request;
    } else if (request->method == METHOD_REPORT && report_request_decode(request->params, &ask)) {
        RPC_REPLY(core, &request->origin, report_reply, {.status = 0, .json = ask.argument});
    } else {
        rpc_fail(core, &request->origin, TOYSTORE_NOT_FOUND, "nothing here");
    }
}

static void on_answer(struct core *core, uint64_t handle, uint64_t index,
                      const struct rpc_answer *answer)
{
    (void)core;
    assert_int_equal(handle, 7);
    assert_int_equal(index, 8);
    struct report_reply reply;
    answers.count++;
    answers.last = *answer;
    answers.text[0] = 0;
    if (answer->status == TOYSTORE_OK && report_reply_decode(answer->result, &reply))
        snprintf(answers.text, sizeof answers.text, "%.*s", (int)reply.json.size,
                 (const char *)reply.json.data);
}

static void call(node_id to, enum wire_method method, const char *text, unsigned timeout_ms)
{
    struct core *core = net_enter(0);
    rpc_call(core, to, method,
             RPC_PARAMS(report_request, {.what = slice_str("x"), .argument = slice_str(text)}),
             timeout_ms, on_answer, 7, 8);
    assert_int_equal(answers.count, 0); /* never from inside */
    net_leave(0);
}

static bool answered(void)
{
    return answers.count > 0;
}

static bool met(void)
{
    return net_state(0, 1) == TOYSTORE_ALIVE && net_state(1, 0) == TOYSTORE_ALIVE;
}

static int setup(void **state)
{
    (void)state;
    memset(&handler, 0, sizeof handler);
    memset(&answers, 0, sizeof answers);
    net_open(2, 1);
    net_until(met, 1000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_close();
    return 0;
}

static void test_answer(void **state)
{
    (void)state;
    call(2, METHOD_REPORT, "hello", 1000);
    net_until(answered, 100);
    assert_int_equal(answers.last.status, TOYSTORE_OK);
    assert_int_equal(answers.last.from, 2);
    assert_string_equal(answers.text, "hello");
}

static void test_error(void **state)
{
    (void)state;
    call(2, METHOD_LAYOUT, "", 1000);
    net_until(answered, 100);
    assert_int_equal(answers.last.status, TOYSTORE_NOT_FOUND);
    assert_true(answers.last.sent);
}

static void test_local(void **state)
{
    (void)state;
    call(1, METHOD_REPORT, "to myself", 1000);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.last.from, 1);
    assert_string_equal(answers.text, "to myself");
}

static void test_unknown_member(void **state)
{
    (void)state;
    call(99, METHOD_REPORT, "", 1000);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.last.status, TOYSTORE_UNAVAILABLE);
    assert_false(answers.last.sent);
}

/* It may be up, and not know it. */
static void test_gone_for_good(void **state)
{
    (void)state;
    net_remove(2);
    call(2, METHOD_REPORT, "anybody?", 1000);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.last.status, TOYSTORE_UNAVAILABLE);
    assert_false(answers.last.sent);
    net_run_ms(100);
    assert_int_equal(answers.count, 1);
}

static void test_timeout_then_late_answer(void **state)
{
    (void)state;
    handler.hold = true;
    call(2, METHOD_REPORT, "slow", 150);
    uint64_t took_ms = net_until(answered, 1000);
    assert_in_range(took_ms, 150, 153);
    assert_int_equal(answers.last.status, TOYSTORE_TIMEOUT);
    net_enter(1);
    rpc_fail(net.nodes[1].core, &handler.held.origin, TOYSTORE_CONFLICT, "late");
    net_leave(1);
    net_run_ms(100);
    assert_int_equal(answers.count, 1);
}

static void test_late_local_answer(void **state)
{
    (void)state;
    handler.hold = true;
    call(1, METHOD_REPORT, "slow", 50);
    net_until(answered, 100);
    assert_int_equal(answers.last.status, TOYSTORE_TIMEOUT);
    net_enter(0);
    rpc_fail(net.nodes[0].core, &handler.held.origin, TOYSTORE_CONFLICT, "late");
    net_leave(0);
    assert_int_equal(answers.count, 1);
}

static void test_broken_connection(void **state)
{
    (void)state;
    handler.hold = true;
    call(2, METHOD_REPORT, "", 1000);
    net_run_ms(5);
    net_kill(1);
    uint64_t took_ms = net_until(answered, 100);
    assert_true(took_ms < 5);
    assert_int_equal(answers.last.status, TOYSTORE_UNAVAILABLE);
    assert_true(answers.last.sent);
    assert_false(rpc_reachable(net.nodes[0].core, 2));
}

/* What is refused just now is said at once; what comes back is reached without a new call. */
static void test_back_after_a_break(void **state)
{
    (void)state;
    call(2, METHOD_REPORT, "", 1000);
    net_until(answered, 100);
    net_kill(1);
    net_run_ms(5);
    memset(&answers, 0, sizeof answers);
    call(2, METHOD_REPORT, "", 1000);
    assert_int_equal(answers.last.status, TOYSTORE_UNAVAILABLE);
    assert_false(answers.last.sent);
    net_restart(1);
    net_run_ms(1000);
    assert_true(rpc_reachable(net.nodes[0].core, 2));
}

/* Stopped or cut off, the connection stands: after 200 ms the peer ranks last; a word brings it
 * back. */
static void test_silence(void **state)
{
    (void)state;
    struct core *core = net.nodes[0].core;
    call(2, METHOD_REPORT, "", 1000);
    net_until(answered, 100);
    net.nodes[1].up = false;
    memset(&answers, 0, sizeof answers);
    call(2, METHOD_REPORT, "", 1000);
    net_run_ms(195);
    assert_true(rpc_reachable(core, 2));
    net_run_ms(10);
    assert_false(rpc_reachable(core, 2));
    net.nodes[1].up = true;
    net_run_ms(4000);
    assert_true(rpc_reachable(core, 2));
}

/* A slow answer is not silence: the peer says that it lives. */
static void test_slow_is_not_silent(void **state)
{
    (void)state;
    handler.hold = true;
    call(2, METHOD_REPORT, "", 3000);
    net_run_ms(1000);
    assert_true(rpc_reachable(net.nodes[0].core, 2));
}

static struct core *raw_frame(struct buf *frame)
{
    struct core *core = net_enter(0);
    struct blob *bytes = buf_take(frame);
    rpc_on_opened(core, CONN_INBOUND | 77, &(struct address){.host = "x", .port = 1});
    rpc_on_frame(core, CONN_INBOUND | 77, bytes);
    blob_unref(&bytes);
    return core;
}

static enum action_type next_action(struct core *core)
{
    struct actions *actions = core->out;
    return actions->first < actions->count ? actions->items[actions->first].type : ACTION_READY;
}

static void test_garbage_closes(void **state)
{
    (void)state;
    struct buf frame = {0};
    buf_append(&frame, "\x94garbage", 8);
    struct core *core = raw_frame(&frame);
    assert_int_equal(next_action(core), ACTION_CLOSE);
    assert_int_equal(core->rpc->inbound_open, 0);
    net_leave(0);
}

static void test_members_only(void **state)
{
    (void)state;
    struct buf frame = {0};
    frame_request_head(&frame, 5, METHOD_GET);
    pack_array(&frame, 0);
    int before = handler.served;
    struct core *core = raw_frame(&frame);
    assert_int_equal(next_action(core), ACTION_SEND); /* the error */
    assert_int_equal(handler.served, before);
    assert_int_equal(core->rpc->inbound_open, 0);
    net_leave(0);
}

static void test_other_cluster(void **state)
{
    (void)state;
    snprintf(net.nodes[1].core->config.cluster_name, NAME_SIZE_MAX, "other");
    struct core *core = net_enter(0);
    rpc_call_address(core, &(struct address){.host = "net", .port = RPC_PORT + 1}, METHOD_REPORT,
                     RPC_PARAMS(report_request, {.what = slice_str("x")}), 1000, on_answer, 7, 8);
    net_leave(0);
    net_until(answered, 100);
    assert_int_equal(answers.last.status, TOYSTORE_UNAVAILABLE);
    assert_false(answers.last.sent);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer),
        TEST(test_error),
        TEST(test_local),
        TEST(test_unknown_member),
        TEST(test_gone_for_good),
        TEST(test_timeout_then_late_answer),
        TEST(test_late_local_answer),
        TEST(test_broken_connection),
        TEST(test_back_after_a_break),
        TEST(test_silence),
        TEST(test_slow_is_not_silent),
        TEST(test_garbage_closes),
        TEST(test_members_only),
        TEST(test_other_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
