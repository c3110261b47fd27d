/* mount_options: two forms of one command line. By hand: MOUNTPOINT and options, where -f is
 * foreground. From mount(8): SOURCE MOUNTPOINT -o OPTS, where -f is fake; the two positional words
 * tell them apart. */
#include "mount_options.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_S = 30, TIMEOUT_S_MAX = 3600 };

/* Words of -o that the kernel or fusermount3 takes. */
static const char *const fuse_words[] = {"ro",   "rw",     "nosuid", "suid",    "nodev",
                                         "dev",  "noexec", "exec",   "noatime", "atime",
                                         "sync", "async",  "dirsync"};

/* Words that are for mount(8), systemd and humans. */
static const char *const ignored_words[] = {
    "defaults", "auto",       "noauto",      "user",       "nouser",
    "users",    "owner",      "group",       "_netdev",    "nofail",
    "relatime", "norelatime", "strictatime", "nodiratime", "diratime",
    "mand",     "nomand",     "silent",      "loud",       "default_permissions"};

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static void add_fuse(struct mount_options *options, const char *word)
{
    size_t used = strlen(options->fuse);
    snprintf(options->fuse + used, sizeof options->fuse - used, "%s%s", used ? "," : "", word);
}

static int take_timeout(struct mount_options *options, const char *value, char *error,
                        size_t error_size)
{
    char *end;
    unsigned long seconds = value ? strtoul(value, &end, 10) : 0;
    if (value == NULL || *value == 0 || *end || seconds < 1 || seconds > TIMEOUT_S_MAX) {
        snprintf(error, error_size, "-o timeout: seconds from 1 to %d are wanted", TIMEOUT_S_MAX);
        return -EINVAL;
    }
    options->timeout_s = (unsigned)seconds;
    return 0;
}

/* A node option written as name=value, or a flag's name alone. */
static int take_node_option(struct mount_options *options, char *word, char *value, char *error,
                            size_t error_size)
{
    char name[128];
    snprintf(name, sizeof name, "--%.100s", word);
    char *argv[] = {name, value, NULL};
    int at = 0;
    const char *file = NULL;
    int taken = options_take(&options->config, value ? 2 : 1, argv, &at, &file, error, error_size);
    if (taken < 0)
        return taken;
    if (taken == 0) {
        snprintf(error, error_size, "-o %.100s: no such option; see mount.toystore(8)", word);
        return -ENOENT;
    }
    if (at != (value ? 1 : 0)) {
        snprintf(error, error_size, "-o %.100s: takes no value", word);
        return -EINVAL;
    }
    if (file)
        options->config_file = value;
    return 0;
}

static int take_word(struct mount_options *options, char *word, char *error, size_t error_size)
{
    if (*word == 0 || strncmp(word, "x-", 2) == 0 || strncmp(word, "comment=", 8) == 0 ||
        is_one_of(word, ignored_words, ARRAY_COUNT(ignored_words)))
        return 0;
    if (is_one_of(word, fuse_words, ARRAY_COUNT(fuse_words))) {
        add_fuse(options, word);
        return 0;
    }
    if (strcmp(word, "allow_other") == 0 || strcmp(word, "noallow_other") == 0) {
        options->allow_other = word[0] == 'a';
        return 0;
    }
    if (strcmp(word, "remount") == 0) {
        snprintf(error, error_size, "-o remount: unmount, and mount anew");
        return -EINVAL;
    }
    if (strcmp(word, "locks=local") == 0) {
        options->local_locks = true;
        return 0;
    }
    if (strcmp(word, "conflicts=show") == 0) {
        options->show_conflicts = true;
        return 0;
    }
    char *value = strchr(word, '=');
    if (value)
        *value++ = 0;
    if (strcmp(word, "timeout") == 0)
        return take_timeout(options, value, error, error_size);
    if (strcmp(word, "locks") == 0 || strcmp(word, "conflicts") == 0) {
        snprintf(error, error_size, "-o %s: must be %s=%s", word, word,
                 word[0] == 'l' ? "local" : "show");
        return -EINVAL;
    }
    return take_node_option(options, word, value, error, error_size);
}

static int take_list(struct mount_options *options, char *list, char *error, size_t error_size)
{
    char *rest = list, *word;
    while ((word = strsep(&rest, ",")) != NULL) {
        int result = take_word(options, word, error, error_size);
        if (result < 0 && options->sloppy && result == -ENOENT)
            continue;
        if (result < 0)
            return result;
    }
    return 0;
}

/* host:port,host: the seeds; or none: a cluster of one. */
static int take_source(struct mount_options *options, char *error, size_t error_size)
{
    if (strcmp(options->source, "none") == 0 || strcmp(options->source, "toystore") == 0)
        return 0;
    char *copy = strdup(options->source), *rest = copy, *seed;
    int result = 0;
    while (result == 0 && (seed = strsep(&rest, ",")) != NULL)
        result = toystore_config_set(&options->config, "seed", seed, error, error_size);
    free(copy);
    return result;
}

static void print_line(const char *text)
{
    puts(text);
}

static void usage(void)
{
    puts("usage: mount.toystore MOUNTPOINT [--seed HOST[:PORT]]... [--data DIR] [node options]"
         " [-o OPTS] [-f] [-d]\n"
         "       mount.toystore SOURCE MOUNTPOINT [-o OPTS]   (as mount(8) and fstab call it)\n\n"
         "  -f  stay in the foreground        -d  show every request of the kernel, too\n"
         "  -o  ro, nosuid, nodev, noexec, noatime, allow_other, noallow_other,\n"
         "      timeout=SECONDS (30), locks=local, conflicts=show, and the node options below as "
         "name=value\n");
    options_help(print_line);
    puts("  --help, --version\n\nSee mount.toystore(8).");
}

static int count_words(int argc, char **argv)
{
    struct toystore_config scratch;
    toystore_config_init(&scratch);
    int count = 0;
    for (int at = 1; at < argc; at++) {
        const char *file;
        char error[200];
        if (strcmp(argv[at], "-o") == 0 || strcmp(argv[at], "-t") == 0)
            at++;
        else if (argv[at][0] != '-')
            count++;
        else if (options_take(&scratch, argc, argv, &at, &file, error, sizeof error) < 0)
            break;
    }
    toystore_config_free(&scratch);
    return count;
}

static int take_letters(struct mount_options *options, const char *word, bool from_mount,
                        char *error, size_t error_size)
{
    for (const char *letter = word + 1; *letter; letter++) {
        if (*letter == 'f' && from_mount)
            options->fake = true;
        else if (*letter == 'f')
            options->foreground = true;
        else if (*letter == 'd')
            options->debug = options->foreground = true;
        else if (*letter == 's')
            options->sloppy = true;
        else if (*letter == 'v')
            options->verbose = true;
        else if (*letter != 'n') {
            snprintf(error, error_size, "-%c: no such option; see mount.toystore --help", *letter);
            return -EINVAL;
        }
    }
    return 0;
}

static int take_argument(struct mount_options *options, int argc, char **argv, int *at,
                         bool from_mount, char *error, size_t error_size)
{
    char *word = argv[*at];
    if (strcmp(word, "-o") == 0 || strcmp(word, "-t") == 0) {
        if (*at + 1 >= argc) {
            snprintf(error, error_size, "%s: options are missing", word);
            return -EINVAL;
        }
        char *list = argv[++*at];
        return word[1] == 'o' ? take_list(options, list, error, error_size) : 0;
    }
    if (strncmp(word, "-o", 2) == 0)
        return take_list(options, word + 2, error, error_size);
    if (word[0] != '-' || word[1] == 0) {
        if (from_mount && options->source == NULL) {
            options->source = word;
        } else if (options->mountpoint == NULL) {
            options->mountpoint = word;
        } else {
            snprintf(error, error_size, "%.100s: one argument too many", word);
            return -EINVAL;
        }
        return 0;
    }
    if (word[1] != '-')
        return take_letters(options, word, from_mount, error, error_size);
    int taken =
        options_take(&options->config, argc, argv, at, &options->config_file, error, error_size);
    if (taken == 0) {
        snprintf(error, error_size, "%.100s: no such option; see mount.toystore --help", word);
        return -EINVAL;
    }
    return taken < 0 ? taken : 0;
}

enum parse_result mount_options_parse(struct mount_options *options, int argc, char **argv,
                                      char *error, size_t error_size)
{
    *options = (struct mount_options){.timeout_s = TIMEOUT_S};
    options->allow_other = true;
    toystore_config_init(&options->config);
    bool from_mount = count_words(argc, argv) == 2;
    for (int at = 1; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
            usage();
            return PARSE_DONE;
        }
        if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "-V") == 0) {
            puts("mount.toystore " TOYSTORE_VERSION);
            return PARSE_DONE;
        }
        if (take_argument(options, argc, argv, &at, from_mount, error, error_size) < 0)
            return PARSE_WRONG;
    }
    if (options->mountpoint == NULL || options->mountpoint[0] == 0) {
        snprintf(error, error_size, "a mount point is missing; see mount.toystore --help");
        return PARSE_WRONG;
    }
    if (options->source && take_source(options, error, error_size) < 0)
        return PARSE_WRONG;
    if (options_finish(&options->config, options->config_file, error, error_size) < 0)
        return PARSE_WRONG;
    return PARSE_GO;
}

void mount_options_free(struct mount_options *options)
{
    toystore_config_free(&options->config);
}
