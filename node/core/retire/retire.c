/* retire: the sessions that are noted here as retired, in memory and in TOYSTORE_META
 * ("session/ID", beside the record of .toystore/sessions/ID where this node keeps that). What
 * stands in memory is durable, so that whoever is told "noted" can build on it. Enters from the
 * replica (a record of .toystore/sessions/ was stored), retire_tell.c (another member has noted it)
 * and boot. */
#include "core/retire/retire.h"
#include "core/retire/retire_priv.h"
#include "rules/version.h"

#include <stdlib.h>

#include "rules/key.h"

enum { SESSION_TEXT_SIZE = 2 * SESSION_SIZE };

static const char META_SESSION[] = "session/";

struct retire *retire_new(void)
{
    struct retire *retire = base_alloc(sizeof *retire);
    list_init(&retire->due);
    retire_tell_init(retire);
    return retire;
}

void retire_free(struct retire *retire)
{
    if (retire == NULL)
        return;
    retire_tell_free(retire);
    map_free(&retire->noted);
    free(retire->list);
    free(retire->swept);
    free(retire->swept_us);
    free(retire->again);
    free(retire);
}

/* ---- words ---- */

static bool hex_digit(uint8_t c, uint8_t *ret)
{
    if (c >= '0' && c <= '9')
        *ret = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *ret = (uint8_t)(c - 'a' + 10);
    else
        return false;
    return true;
}

static bool session_of_text(struct slice text, struct session *ret)
{
    if (text.size != SESSION_TEXT_SIZE)
        return false;
    for (size_t i = 0; i < SESSION_SIZE; i++) {
        uint8_t high, low;
        if (!hex_digit(text.data[2 * i], &high) || !hex_digit(text.data[2 * i + 1], &low))
            return false;
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct slice after_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return slice_of(key.data + size, key.size - size);
}

static bool session_of_key(struct slice key, struct session *ret)
{
    return key_has_prefix(key, KEY_SESSIONS) &&
           session_of_text(after_prefix(key, KEY_SESSIONS), ret);
}

/* ---- the list ---- */

static struct slice session_slice(const struct session *session)
{
    return slice_of(session->bytes, SESSION_SIZE);
}

bool retire_noted(const struct core *core, const struct session *session)
{
    return map_get(&core->retire->noted, session_slice(session)) != NULL;
}

bool retire_refuses(const struct core *core, const struct op_id *op)
{
    return op->sequence != 0 && retire_noted(core, &op->session) && !BROKEN(core, retired_served);
}

size_t retire_count(const struct core *core)
{
    return core->retire->count;
}

struct hash128 retire_digest(const struct core *core)
{
    return core->retire->digest;
}

void retire_note(struct core *core, const struct session *session)
{
    struct retire *retire = core->retire;
    if (retire_noted(core, session))
        return;
    if (retire->count == retire->capacity) {
        retire->capacity = retire->capacity ? retire->capacity * 2 : 64;
        retire->list = base_realloc(retire->list, retire->capacity * sizeof *retire->list);
        retire->swept = base_realloc(retire->swept, retire->capacity * sizeof *retire->swept);
        retire->swept_us =
            base_realloc(retire->swept_us, retire->capacity * sizeof *retire->swept_us);
        retire->again = base_realloc(retire->again, retire->capacity * sizeof *retire->again);
    }
    retire->swept[retire->count] = retire->again[retire->count] = false;
    retire->swept_us[retire->count] = 0;
    retire->list[retire->count++] = *session;
    map_put(&retire->noted, session_slice(session), retire);
    struct hash128 digest = hash128(session_slice(session));
    hash128_xor(&retire->digest, &digest);
}

void retire_restore(struct core *core, struct slice meta_key, struct slice value)
{
    struct session session;
    if (!key_has_prefix(meta_key, META_SESSION) ||
        !session_of_text(after_prefix(meta_key, META_SESSION), &session))
        return;
    retire_note(core, &session);
    size_t at = core->retire->count - 1;
    core->retire->swept[at] = core->retire->again[at] = slice_equal(value, slice_str("2"));
    core->retire->swept_us[at] = core->now_us;
}

void retire_add(struct batch *batch, const struct session *session, enum retire_mark mark)
{
    static const char digits[] = "0123456789abcdef";
    char name[sizeof META_SESSION + SESSION_TEXT_SIZE];
    char *at = name + sizeof META_SESSION - 1;
    memcpy(name, META_SESSION, sizeof META_SESSION - 1);
    for (size_t i = 0; i < SESSION_SIZE; i++) {
        *at++ = digits[session->bytes[i] >> 4];
        *at++ = digits[session->bytes[i] & 15];
    }
    batch_put(batch, TOYSTORE_META, slice_of(name, (size_t)(at - name)),
              slice_str(mark == MARK_SWEPT ? "2" : "1"));
}

static void recorded(struct core *core, const struct core_event *event, struct resume resume)
{
    struct session session;
    memcpy(session.bytes, &resume.handle, sizeof resume.handle);
    memcpy(session.bytes + sizeof resume.handle, &resume.index,
           SESSION_SIZE - sizeof resume.handle);
    if (event->status == 0)
        retire_note(core, &session);
    retire_wake(core);
}

/* It was put, by whomever: to be noted here, too. */
void retire_record(struct core *core, const struct session *session)
{
    struct batch batch = {0};
    struct resume resume = resume_to(recorded, 0, 0);
    memcpy(&resume.handle, session->bytes, sizeof resume.handle);
    memcpy(&resume.index, session->bytes + sizeof resume.handle,
           SESSION_SIZE - sizeof resume.handle);
    retire_add(&batch, session, MARK_NOTED);
    disk_commit(core, &batch, true, resume);
}

/* A record of .toystore/sessions/ID is being stored: the note goes with it, */
void retire_with_record(struct batch *batch, struct slice key, const struct record *record)
{
    struct session session;
    if (!record_absent(record) && session_of_key(key, &session))
        retire_add(batch, &session, MARK_NOTED);
}

/* and counts once both are durable. */
void retire_record_stored(struct core *core, struct slice key, const struct record *record)
{
    struct session session;
    if (record_absent(record) || !session_of_key(key, &session))
        return;
    retire_note(core, &session);
    retire_wake(core);
}
