/* resolve: HOST[:PORT] as people write it. */
#include "io/driver_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect(const char *text, const char *host, unsigned port)
{
    char got[64];
    uint16_t got_port = 0;
    assert_int_equal(address_split(text, 7946, got, sizeof got, &got_port), 0);
    assert_string_equal(got, host);
    assert_int_equal(got_port, port);
}

static void splits_hosts_and_ports(void **state)
{
    (void)state;
    expect("10.0.0.7", "10.0.0.7", 7946);
    expect("10.0.0.7:99", "10.0.0.7", 99);
    expect("host.example:65535", "host.example", 65535);
    expect("::1", "::1", 7946);
    expect("[::1]", "::1", 7946);
    expect("[fe80::2]:7", "fe80::2", 7);
}

static void refuses_what_is_neither(void **state)
{
    (void)state;
    char host[8];
    uint16_t port;
    static const char *const wrong[] = {"",     ":1",      "h:",   "h:0",          "h:65536",
                                        "h:1x", "h:-1",    "h: 1", "[::1",         "[::1]x",
                                        "[]:1", "[::1]:0", "h:+1", "too-long-host"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(address_split(wrong[i], 7946, host, sizeof host, &port), -EINVAL);
}

static void addresses_survive_a_socket(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.3", "::1", "fe80::2"};
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        struct address address = {.port = 7946}, back;
        struct sockaddr_storage socket;
        strcpy(address.host, hosts[i]);
        assert_int_equal(address_to_socket(&address, &socket), 0);
        address_from_socket((struct sockaddr *)&socket, &back);
        assert_string_equal(back.host, hosts[i]);
        assert_int_equal(back.port, 7946);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_hosts_and_ports),
        cmocka_unit_test(refuses_what_is_neither),
        cmocka_unit_test(addresses_survive_a_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
