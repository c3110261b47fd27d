/* Retired sessions (PROTOCOL 8): what is stored under .toystore/sessions/ID is noted in META in the
 * same batch, so that whoever keeps it refuses the session's operations, also after a restart. */
#include "core/key.h"
#include "core/replica_priv.h"

enum { SESSION_TEXT_SIZE = 2 * SESSION_SIZE };

static const char META_SESSION[] = "session/";

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

bool replica_retired(const struct core *core, const struct session *session)
{
    return map_get(&core->replica->retired, slice_of(session->bytes, SESSION_SIZE)) != NULL;
}

static void retire(struct core *core, const struct session *session)
{
    map_put(&core->replica->retired, slice_of(session->bytes, SESSION_SIZE), core->replica);
}

void replica_restore_session(struct core *core, struct slice meta_key)
{
    struct session session;
    if (key_has_prefix(meta_key, META_SESSION) &&
        session_of_text(after_prefix(meta_key, META_SESSION), &session))
        retire(core, &session);
}

void replica_note_session(struct core *core, struct replica_work *work)
{
    struct session session;
    if (!key_has_prefix(work->key, KEY_SESSIONS) || record_absent(&work->record) ||
        !session_of_text(after_prefix(work->key, KEY_SESSIONS), &session) ||
        replica_retired(core, &session))
        return;
    retire(core, &session);
    struct slice text = after_prefix(work->key, KEY_SESSIONS);
    struct buf name = {0};
    buf_append(&name, META_SESSION, strlen(META_SESSION));
    buf_append(&name, text.data, text.size);
    batch_put(&work->batch, TOYSTORE_META, buf_slice(&name), slice_str("1"));
    buf_free(&name);
}
