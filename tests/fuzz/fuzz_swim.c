/* Gossip datagrams: the head, and every piece of news behind it; what is read encodes again to what
 * reads the same. */
#include "fuzz.h"

#include <stdio.h>

#include "core/swim/swim_priv.h"

void fuzz_one(struct slice bytes)
{
    struct datagram datagram;
    struct news news, again;
    if (!datagram_decode(bytes, &datagram))
        return;
    while (datagram.news.at < datagram.news.end && news_read(&datagram.news, &news)) {
        struct buf out = {0};
        news_encode(&out, &news.member, news.from);
        struct cursor cursor = cursor_of(buf_slice(&out));
        assert(news_read(&cursor, &again) && cursor.at == cursor.end);
        assert(again.member.id == news.member.id && again.from == news.from);
        assert(strcmp(again.member.name, news.member.name) == 0);
        assert(address_equal(&again.member.gossip, &news.member.gossip));
        buf_free(&out);
    }
}

void fuzz_example(struct prng *prng, struct buf *out)
{
    struct core core = {.id = prng_next(prng) | 1};
    snprintf(core.config.cluster_name, sizeof core.config.cluster_name, "toystore");
    datagram_begin(out, &core, (enum datagram_type)prng_below(prng, SWIM_TYPES), prng_next(prng),
                   prng_next(prng));
    for (uint64_t left = prng_below(prng, 5); left > 0; left--) {
        struct member member = {.id = prng_next(prng) | 1,
                                .incarnation = prng_below(prng, 1000),
                                .state = (enum toystore_member_state)prng_below(prng, 4),
                                .storing = prng_chance(prng, 1, 2),
                                .rpc = {.host = "127.0.0.1", .port = 3001},
                                .gossip = {.host = "::1", .port = 7946},
                                .name = "a name",
                                .zone = "z",
                                .weight = (uint32_t)prng_below(prng, 300)};
        news_encode(out, &member, prng_next(prng));
    }
}
