/* rpc_load: one MessagePack-RPC client that keeps a number of CoordinatePut or CoordinateGet
 * requests in flight on one connection and measures them. Prints one line of JSON.
 *
 *     rpc_load HOST PORT put|get COUNT INFLIGHT SIZE [PREFIX [KEYS]]
 *
 * Keys are PREFIX0 .. PREFIX9999 in turn (KEYS of them), so that `get` finds what `put` left.
 * SIGTERM ends it before its COUNT: it waits for the answers that are due and prints what it has
 * measured. Exit status 1 when any answer was not OK. */
#include "base/buf.h"
#include "wire/frame.h"
#include "wire/pack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEYS_USUAL = 10000, READ_SIZE = 1 << 18 };

static volatile sig_atomic_t told_to_stop;

struct load {
    int fd;
    bool put;
    unsigned count, sent, answered, failed, keys;
    struct slice value;
    const char *prefix;
    uint64_t *started_ns, *took_ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void stop_soon(int number)
{
    told_to_stop = number;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int dial(const char *host, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        die("HOST must be a numeric IPv4 address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void pack_call(struct load *load, struct buf *out)
{
    char key[300];
    int length = snprintf(key, sizeof key, "%s%u", load->prefix, load->sent % load->keys);
    frame_request_head(out, load->sent, load->put ? METHOD_COORDINATE_PUT : METHOD_COORDINATE_GET);
    pack_array(out, load->put ? 2 : 1);
    pack_text(out, slice_of(key, (size_t)length));
    if (load->put)
        pack_bytes(out, load->value);
    load->started_ns[load->sent++] = now_ns();
}

static void send_all(int fd, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t n = write(fd, bytes.data, bytes.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("write");
        bytes = slice_of(bytes.data + n, bytes.size - (size_t)n);
    }
}

/* A get is good when it says found, a put when its outcome is OK. */
static bool answer_good(const struct load *load, const struct frame *frame)
{
    struct cursor cursor = cursor_of(frame->result);
    uint32_t pairs;
    if (frame->failed || !cursor_map(&cursor, &pairs))
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        struct slice name, word;
        bool found;
        if (!cursor_bytes(&cursor, &name))
            return false;
        if (load->put && slice_equal(name, slice_str("outcome")))
            return cursor_bytes(&cursor, &word) && slice_equal(word, slice_str("OK"));
        if (!load->put && slice_equal(name, slice_str("found")))
            return cursor_bool(&cursor, &found) && found;
        if (!cursor_skip(&cursor, NULL))
            return false;
    }
    return false;
}

static void take_answer(struct load *load, struct slice bytes)
{
    struct frame frame;
    if (!frame_decode(bytes, &frame) || frame.type != FRAME_ANSWER || frame.id >= load->count ||
        load->took_ns[frame.id] != 0) {
        fprintf(stderr, "rpc_load: an answer that nobody asked for\n");
        exit(2);
    }
    load->took_ns[frame.id] = now_ns() - load->started_ns[frame.id];
    load->answered++;
    if (!answer_good(load, &frame) && load->failed++ == 0)
        fprintf(stderr, "rpc_load: request %u failed: %.*s\n", frame.id,
                (int)frame.error_message.size, (const char *)frame.error_message.data);
}

static void run(struct load *load, unsigned inflight)
{
    struct buf in = {0}, out = {0};
    struct frame_scanner scanner = {0};
    while (load->answered < load->count) {
        if (told_to_stop)
            load->count = load->sent;
        while (load->sent < load->count && load->sent - load->answered < inflight)
            pack_call(load, &out);
        send_all(load->fd, buf_slice(&out));
        out.size = 0;
        buf_reserve(&in, READ_SIZE);
        if (load->answered == load->count)
            break;
        ssize_t n = read(load->fd, in.blob->data + in.size, READ_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            die("read");
        in.size += (size_t)n;
        size_t at = 0;
        ssize_t size;
        while ((size = frame_scan(&scanner, slice_of(in.blob->data + at, in.size - at))) > 0) {
            take_answer(load, slice_of(in.blob->data + at, (size_t)size));
            at += (size_t)size;
        }
        if (size < 0)
            die("frame");
        memmove(in.blob->data, in.blob->data + at, in.size - at);
        in.size -= at;
    }
    buf_free(&in);
    buf_free(&out);
}

/* The time that so many in a hundred did not exceed, the array being in order. */
static double percentile_us(const struct load *load, unsigned percent)
{
    if (load->count == 0)
        return 0;
    uint64_t index = (uint64_t)(load->count - 1) * percent / 100;
    return (double)load->took_ns[index] / 1e3;
}

static int compare_times(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: rpc_load HOST PORT put|get COUNT INFLIGHT SIZE [PREFIX [KEYS]]\n");
        return 2;
    }
    struct load load = {.fd = dial(argv[1], argv[2]),
                        .put = strcmp(argv[3], "put") == 0,
                        .count = (unsigned)atoi(argv[4]),
                        .keys = argc > 8 ? (unsigned)atoi(argv[8]) : KEYS_USUAL,
                        .prefix = argc > 7 ? argv[7] : "load-"};
    size_t size = (size_t)atoi(argv[6]);
    unsigned inflight = (unsigned)atoi(argv[5]);
    if (load.count == 0 || load.keys == 0 || inflight == 0)
        return 2;
    uint8_t *value = base_alloc(size);
    memset(value, 'v', size);
    load.value = slice_of(value, size);
    load.started_ns = base_alloc(load.count * sizeof(uint64_t));
    load.took_ns = base_alloc(load.count * sizeof(uint64_t));

    struct sigaction stop = {.sa_handler = stop_soon}; /* it interrupts what waits */
    sigaction(SIGTERM, &stop, NULL);
    uint64_t start = now_ns();
    run(&load, inflight);
    double seconds = (double)(now_ns() - start) / 1e9;
    qsort(load.took_ns, load.count, sizeof(uint64_t), compare_times);
    printf("{\"operation\": \"%s\", \"count\": %u, \"inflight\": %u, \"size\": %zu, "
           "\"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": %.0f, \"max_us\": %.0f, "
           "\"failed\": %u}\n",
           argv[3], load.count, inflight, size, load.count ? (double)load.count / seconds : 0,
           percentile_us(&load, 50), percentile_us(&load, 99), percentile_us(&load, 100),
           load.failed);
    free(value);
    free(load.started_ns);
    free(load.took_ns);
    close(load.fd);
    return load.failed != 0;
}
