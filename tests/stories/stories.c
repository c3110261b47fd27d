/* The stories: one a rule of the protocol that a reader should see happen. */
#include "stories/stories.h"

/* PROTOCOL 4: the leader of the partition needs one round; whoever else is asked forwards. */
static void put_led(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_put(scene, C, "two", SCENE_ALWAYS);
    scene_get(scene, B, SCENE_ALWAYS);
}

/* PROTOCOL 4 judge: of two that must be first one is, and the other is told what stands there. */
static void if_absent_has_one_winner(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_ask_put(scene, B, "from B", SCENE_IF_ABSENT);
    scene_ask_put(scene, C, "from C", SCENE_IF_ABSENT);
    scene_rest(scene, 200);
    scene_get(scene, A, SCENE_ALWAYS);
}

/* PROTOCOL 6: with one owner of three away every acknowledgement is strict; a hint waits for it. */
static void one_of_three_is_away(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_kill(scene, C);
    scene_rest(scene, 5000);
    scene_put(scene, A, "two", SCENE_ALWAYS);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_start(scene, C);
    scene_rest(scene, 5000);
    scene_get(scene, C, SCENE_ALWAYS);
}

/* PROTOCOL 6 and 8: a delete is a put of a tombstone: the owner that was away is told, and what it
 * still has does not bring the key back. The tombstone goes when all have it, and not before. */
static void a_delete_with_one_replica_away(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_kill(scene, C);
    scene_rest(scene, 5000);
    scene_delete(scene, A);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_collect(scene);
    scene_rest(scene, 5000);
    scene_say(scene, "but not while C is away: it still has \"one\"");
    scene_start(scene, C);
    scene_rest(scene, 200);
    scene_get(scene, C, SCENE_ALWAYS);
    scene_rest(scene, 5000);
    scene_get(scene, C, SCENE_ALWAYS);
}

/* PROTOCOL 4: the leader is gone: the next owner puts by two rounds, then leads itself. */
static void the_leader_is_away(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_kill(scene, A);
    scene_put(scene, B, "two", SCENE_ALWAYS);
    scene_rest(scene, 5000);
    scene_put(scene, C, "three", SCENE_ALWAYS);
    scene_start(scene, A);
    scene_rest(scene, 5000);
    scene_get(scene, A, SCENE_ALWAYS);
}

/* PROTOCOL 5 and 6: two of three are away: nothing is pretended, and nothing is lost. */
static void two_of_three_are_away(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_kill(scene, B);
    scene_kill(scene, C);
    scene_rest(scene, 5000);
    scene_put(scene, A, "two", SCENE_ALWAYS);
    scene_get(scene, A, SCENE_STRICT);
    scene_start(scene, B);
    scene_rest(scene, 5000);
    scene_get(scene, A, SCENE_STRICT);
    scene_put(scene, B, "three", SCENE_ALWAYS);
    scene_start(scene, C);
    scene_rest(scene, 5000);
    scene_get(scene, C, SCENE_STRICT);
}

/* PROTOCOL 6: five members, a majority of the owners away: the put goes sloppy, with hints at the
 * fallbacks, and finds its owners when they return. */
static void a_sloppy_put_finds_its_owners(struct scene *scene)
{
    scene_begin(scene, 5, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_kill(scene, B);
    scene_kill(scene, C);
    scene_rest(scene, 5000);
    scene_put(scene, D, "two", SCENE_ALWAYS);
    scene_get(scene, D, SCENE_ALWAYS);
    scene_start(scene, B);
    scene_start(scene, C);
    scene_rest(scene, 6000);
    scene_get(scene, B, SCENE_STRICT);
    scene_put(scene, B, "three", SCENE_IF_MATCH);
    scene_get(scene, C, SCENE_STRICT);
}

/* PROTOCOL 2 and 6: a split has an owner on either side, both sides go on, and neither put has seen
 * the other: afterwards everybody shows both, until a put names them. */
static void both_sides_of_a_split_put(struct scene *scene)
{
    scene_begin(scene, 5, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_split(scene, 2);
    scene_rest(scene, 5000);
    scene_put(scene, A, "left", SCENE_ALWAYS);
    scene_put(scene, E, "right", SCENE_ALWAYS);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_get(scene, D, SCENE_ALWAYS);
    scene_heal(scene);
    scene_rest(scene, 6000);
    scene_get(scene, A, SCENE_STRICT);
    scene_get(scene, C, SCENE_STRICT);
    scene_get(scene, E, SCENE_STRICT);
    scene_put(scene, B, "both", SCENE_IF_MATCH);
    scene_get(scene, E, SCENE_STRICT);
}

/* PROTOCOL 7: D comes, C need not own "k" any more, and a client goes on putting. With two layouts
 * live nobody leads the partition: a put takes two rounds and a quorum of the owners of each (who
 * has run them leads that one key). The owners of the new layout, A and B too, take what there is
 * from those of the old one; once they hold it the new one is alone, and C gives up. */
static void a_join_under_load(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_join(scene);
    scene_until_layouts(scene, A, 2);
    scene_ask_put(scene, A, "two", SCENE_ALWAYS);
    scene_ask_put(scene, A, "three", SCENE_ALWAYS);
    scene_until_layouts(scene, A, 1);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_rest(scene, 5000);
    scene_put(scene, A, "four", SCENE_ALWAYS);
    scene_get(scene, D, SCENE_ALWAYS);
}

/* PROTOCOL 7 Forgetting, for one key: a damaged copy is unknown, and is taken from the others. */
static void a_damaged_copy_is_taken_from_others(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_damage(scene, B);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_rest(scene, 5000);
    scene_get(scene, B, SCENE_ALWAYS);
}

/* The same where the disk is full, so that not even the damage can be noted: that the hash trees
 * are equal then does not mean that nobody has the key. */
static void a_damaged_copy_on_a_full_disk(struct scene *scene)
{
    scene_begin(scene, 2, 2, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_damage(scene, B);
    scene_full(scene, B, 100);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_rest(scene, 5000);
    scene_get(scene, B, SCENE_ALWAYS);
}

/* PROTOCOL 7 Forgetting: a machine that lost power may have forgotten what it promised: it is mute
 * until the others have noted a new epoch and it has taken from them. */
static void a_machine_lost_power(struct scene *scene)
{
    scene_begin(scene, 3, 3, "k");
    scene_put(scene, A, "one", SCENE_ALWAYS);
    scene_power(scene, B);
    scene_put(scene, A, "two", SCENE_ALWAYS);
    scene_start(scene, B);
    scene_rest(scene, 5000);
    scene_get(scene, B, SCENE_ALWAYS);
    scene_put(scene, A, "three", SCENE_ALWAYS);
}

const struct story stories[] = {
    {"put_led", put_led},
    {"if_absent_has_one_winner", if_absent_has_one_winner},
    {"one_of_three_is_away", one_of_three_is_away},
    {"a_delete_with_one_replica_away", a_delete_with_one_replica_away},
    {"the_leader_is_away", the_leader_is_away},
    {"two_of_three_are_away", two_of_three_are_away},
    {"a_sloppy_put_finds_its_owners", a_sloppy_put_finds_its_owners},
    {"both_sides_of_a_split_put", both_sides_of_a_split_put},
    {"a_join_under_load", a_join_under_load},
    {"a_damaged_copy_is_taken_from_others", a_damaged_copy_is_taken_from_others},
    {"a_damaged_copy_on_a_full_disk", a_damaged_copy_on_a_full_disk},
    {"a_machine_lost_power", a_machine_lost_power},
    {NULL, NULL},
};
