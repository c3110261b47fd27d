/* json: values one after the other, commas where they belong; for what people and programs read. */
#ifndef TOYSTORE_BASE_JSON_H
#define TOYSTORE_BASE_JSON_H

#include "base/buf.h"

struct json {
    struct buf *out;
    bool comma; /* a value stands before, on this level */
};

/* `name`: NULL inside an array and at the top. */
void json_open(struct json *json, const char *name, char bracket); /* '{' or '[' */
void json_close(struct json *json, char bracket);                  /* '}' or ']' */
void json_bytes(struct json *json, const char *name, struct slice text);
void json_text(struct json *json, const char *name, const char *text);
void json_u64(struct json *json, const char *name, uint64_t value);
void json_i64(struct json *json, const char *name, int64_t value);
/* A time in nanoseconds, as seconds with nine decimals. */
void json_seconds(struct json *json, const char *name, int64_t ns);
void json_bool(struct json *json, const char *name, bool value);
void json_hex64(struct json *json, const char *name, uint64_t value); /* 16 digits, a string */
__attribute__((format(printf, 3, 4))) void json_format(struct json *json, const char *name,
                                                       const char *format, ...);

#endif
