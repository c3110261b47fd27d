/* ring_table [MEMBERS...]: how even the ring is for so many equal members, and what moves when one
 * more joins them. Every figure is of many rings with members drawn anew. One line of JSON a row:
 *
 *     owns_least, owns_most   what the members with the least and the most own, in percent of an
 *                             equal share: the mean over the rings
 *     owns_worst              the most that any member of any ring owned
 *     moves                   the copies of partitions that somebody takes at the join, in percent
 *                             of all copies
 *     ideal                   an equal share of the newcomer, in the same percent: fewer cannot
 *                             move */
#include "base/prng.h"
#include "rules/layout.h"

#include <stdio.h>
#include <stdlib.h>

enum { RINGS = 20, PARTITIONS = 1024, COPIES = 3 };

struct row {
    double least, most, worst, moves, ideal; /* percent */
};

static struct layout *draw_layout(uint32_t number, const struct layout_member *members,
                                  size_t count)
{
    static const uint8_t cluster[CLUSTER_ID_SIZE] = {1};
    return layout_new(number, cluster, PARTITIONS, COPIES, 2, 2, members, count);
}

static size_t owned_by(const struct layout *layout, node_id id)
{
    return layout_gains(NULL, layout, id, NULL);
}

static void measure_balance(const struct layout *layout, struct row *row)
{
    double share =
        (double)PARTITIONS * (double)layout_owner_count(layout) / (double)layout->member_count;
    double least = 1e9, most = 0;
    for (size_t i = 0; i < layout->member_count; i++) {
        double percent = 100 * (double)owned_by(layout, layout->members[i].id) / share;
        least = percent < least ? percent : least;
        most = percent > most ? percent : most;
    }
    row->least += least / RINGS;
    row->most += most / RINGS;
    row->worst = most > row->worst ? most : row->worst;
}

static void measure_join(const struct layout *from, const struct layout *to, struct row *row)
{
    double copies = (double)PARTITIONS * (double)layout_owner_count(to), moved = 0;
    for (size_t i = 0; i < to->member_count; i++)
        moved += (double)layout_gains(from, to, to->members[i].id, NULL);
    row->moves += 100 * moved / copies / RINGS;
    row->ideal = 100 / (double)to->member_count;
}

static void print_row(size_t count)
{
    struct row row = {0};
    struct layout_member *members = base_alloc((count + 1) * sizeof *members);
    struct prng prng;
    prng_seed(&prng, count);
    for (int ring = 0; ring < RINGS; ring++) {
        for (size_t i = 0; i <= count; i++)
            members[i] = (struct layout_member){.id = prng_next(&prng) | 1, .weight = 100};
        struct layout *before = draw_layout(1, members, count);
        struct layout *after = draw_layout(2, members, count + 1);
        measure_balance(before, &row);
        measure_join(before, after, &row);
        layout_free(before);
        layout_free(after);
    }
    free(members);
    printf("{\"members\": %zu, \"owns_least\": %.1f, \"owns_most\": %.1f, \"owns_worst\": %.1f, "
           "\"moves\": %.2f, \"ideal\": %.2f}\n",
           count, row.least, row.most, row.worst, row.moves, row.ideal);
}

int main(int argc, char **argv)
{
    static const int usual[] = {3, 5, 10, 100};
    size_t rows = argc > 1 ? (size_t)argc - 1 : ARRAY_COUNT(usual);
    for (size_t i = 0; i < rows; i++) {
        int count = argc > 1 ? atoi(argv[i + 1]) : usual[i];
        if (count < 1 || count >= MEMBERS_MAX) {
            fprintf(stderr, "ring_table: %s: 1 to %d members\n", argv[i + 1], MEMBERS_MAX - 1);
            return 2;
        }
        print_row((size_t)count);
    }
    return 0;
}
