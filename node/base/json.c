/* json: see json.h. Keys may be any bytes: what is not UTF-8 shows as U+FFFD. */
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>

static void append_text(struct buf *out, const char *text)
{
    buf_append(out, text, strlen(text));
}

/* The size of the UTF-8 character that begins here; 0: none does. */
static size_t utf8_size(const uint8_t *at, size_t left)
{
    size_t size = at[0] < 0x80                    ? 1
                  : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                  : (at[0] & 0xf0) == 0xe0        ? 3
                  : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                  : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = size == 3 && at[0] == 0xe0 && at[1] < 0xa0;
    bool surrogate = size == 3 && at[0] == 0xed && at[1] >= 0xa0;
    bool outside =
        size == 4 && ((at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f));
    return overlong || surrogate || outside ? 0 : size;
}

static void append_string(struct buf *out, struct slice text)
{
    append_text(out, "\"");
    for (size_t i = 0; i < text.size;) {
        size_t size = utf8_size(text.data + i, text.size - i);
        uint8_t byte = text.data[i];
        char escaped[8];
        if (size == 0) {
            append_text(out, "\\ufffd");
        } else if (byte == '"' || byte == '\\') {
            snprintf(escaped, sizeof escaped, "\\%c", byte);
            append_text(out, escaped);
        } else if (byte < 0x20 || byte == 0x7f) {
            snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            append_text(out, escaped);
        } else {
            buf_append(out, text.data + i, size);
        }
        i += size ? size : 1;
    }
    append_text(out, "\"");
}

static void begin(struct json *json, const char *name)
{
    if (json->comma)
        append_text(json->out, ", ");
    json->comma = true;
    if (name != NULL) {
        append_string(json->out, slice_str(name));
        append_text(json->out, ": ");
    }
}

void json_open(struct json *json, const char *name, char bracket)
{
    begin(json, name);
    buf_append(json->out, &bracket, 1);
    json->comma = false;
}

void json_close(struct json *json, char bracket)
{
    buf_append(json->out, &bracket, 1);
    json->comma = true;
}

void json_bytes(struct json *json, const char *name, struct slice text)
{
    begin(json, name);
    append_string(json->out, text);
}

void json_text(struct json *json, const char *name, const char *text)
{
    json_bytes(json, name, slice_str(text));
}

void json_u64(struct json *json, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    begin(json, name);
    append_text(json->out, text);
}

void json_i64(struct json *json, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    begin(json, name);
    append_text(json->out, text);
}

void json_seconds(struct json *json, const char *name, int64_t ns)
{
    char text[40];
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    snprintf(text, sizeof text, "%s%llu.%09llu", ns < 0 ? "-" : "",
             (unsigned long long)(size / 1000000000), (unsigned long long)(size % 1000000000));
    begin(json, name);
    append_text(json->out, text);
}

void json_bool(struct json *json, const char *name, bool value)
{
    begin(json, name);
    append_text(json->out, value ? "true" : "false");
}

void json_hex64(struct json *json, const char *name, uint64_t value)
{
    json_format(json, name, "%016llx", (unsigned long long)value);
}

void json_format(struct json *json, const char *name, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_text(json, name, text);
}
