/* The heads of MessagePack values. Source: github.com/msgpack/msgpack/blob/master/spec.md */
#include "wire/head.h"

/* First bytes 0xc0 to 0xdf: what they begin, and how wide the number behind them is. */
struct form {
    uint8_t type;
    uint8_t width;
    uint8_t body; /* fixed part of the body */
};

static const struct form forms[32] = {
    [0x00] = {CURSOR_NIL, 0, 0},  [0x01] = {CURSOR_END, 0, 0},   [0x02] = {CURSOR_BOOL, 0, 0},
    [0x03] = {CURSOR_BOOL, 0, 0}, [0x04] = {CURSOR_BIN, 1, 0},   [0x05] = {CURSOR_BIN, 2, 0},
    [0x06] = {CURSOR_BIN, 4, 0},  [0x07] = {CURSOR_EXT, 1, 1},   [0x08] = {CURSOR_EXT, 2, 1},
    [0x09] = {CURSOR_EXT, 4, 1},  [0x0a] = {CURSOR_FLOAT, 0, 4}, [0x0b] = {CURSOR_FLOAT, 0, 8},
    [0x0c] = {CURSOR_UINT, 1, 0}, [0x0d] = {CURSOR_UINT, 2, 0},  [0x0e] = {CURSOR_UINT, 4, 0},
    [0x0f] = {CURSOR_UINT, 8, 0}, [0x10] = {CURSOR_INT, 1, 0},   [0x11] = {CURSOR_INT, 2, 0},
    [0x12] = {CURSOR_INT, 4, 0},  [0x13] = {CURSOR_INT, 8, 0},   [0x14] = {CURSOR_EXT, 0, 2},
    [0x15] = {CURSOR_EXT, 0, 3},  [0x16] = {CURSOR_EXT, 0, 5},   [0x17] = {CURSOR_EXT, 0, 9},
    [0x18] = {CURSOR_EXT, 0, 17}, [0x19] = {CURSOR_STR, 1, 0},   [0x1a] = {CURSOR_STR, 2, 0},
    [0x1b] = {CURSOR_STR, 4, 0},  [0x1c] = {CURSOR_ARRAY, 2, 0}, [0x1d] = {CURSOR_ARRAY, 4, 0},
    [0x1e] = {CURSOR_MAP, 2, 0},  [0x1f] = {CURSOR_MAP, 4, 0},
};

static void head_set(struct head *head, enum cursor_type type, uint64_t number)
{
    head->type = type;
    if (type == CURSOR_STR || type == CURSOR_BIN || type == CURSOR_EXT)
        head->body = number;
    else if (type == CURSOR_ARRAY)
        head->children = number;
    else if (type == CURSOR_MAP)
        head->children = number * 2;
    else
        head->number = number;
}

/* The forms of a single byte. */
static void head_fixed(uint8_t first, struct head *head)
{
    head->size = 1;
    head->minimal = true;
    if (first <= 0x7f)
        head_set(head, CURSOR_UINT, first);
    else if (first <= 0x8f)
        head_set(head, CURSOR_MAP, first & 0x0f);
    else if (first <= 0x9f)
        head_set(head, CURSOR_ARRAY, first & 0x0f);
    else if (first <= 0xbf)
        head_set(head, CURSOR_STR, first & 0x1f);
    else
        head_set(head, CURSOR_INT, (uint64_t)(int64_t)(int8_t)first);
}

/* The smallest number that needs this width. */
static uint64_t width_low(enum cursor_type type, unsigned width)
{
    if (width == 8)
        return 1ull << 32;
    if (width == 4)
        return 1ull << 16;
    if (type == CURSOR_ARRAY || type == CURSOR_MAP)
        return 16;
    if (width == 2)
        return 256;
    return type == CURSOR_STR ? 32 : type == CURSOR_UINT ? 128 : 0;
}

static void head_signed(uint64_t number, unsigned width, struct head *head)
{
    static const int64_t below[9] = {[1] = -32, [2] = INT8_MIN, [4] = INT16_MIN, [8] = INT32_MIN};
    unsigned shift = 64 - 8 * width;
    int64_t value = (int64_t)(number << shift) >> shift;
    head_set(head, value < 0 ? CURSOR_INT : CURSOR_UINT, (uint64_t)value);
    head->minimal = value < below[width];
}

enum head_result head_parse(struct slice bytes, struct head *ret)
{
    *ret = (struct head){.type = CURSOR_END};
    if (bytes.size == 0)
        return HEAD_SHORT;
    uint8_t first = bytes.data[0];
    if (first < 0xc0 || first >= 0xe0) {
        head_fixed(first, ret);
        return HEAD_OK;
    }
    const struct form *form = &forms[first - 0xc0];
    if (form->type == CURSOR_END)
        return HEAD_BAD;
    if (bytes.size - 1 < form->width)
        return HEAD_SHORT;
    uint64_t number = 0;
    for (size_t i = 0; i < form->width; i++)
        number = number << 8 | bytes.data[1 + i];
    ret->size = 1 + (size_t)form->width;
    if (form->type == CURSOR_INT) {
        head_signed(number, form->width, ret);
        return HEAD_OK;
    }
    if (form->type == CURSOR_BOOL)
        number = first & 1;
    head_set(ret, form->type, number);
    ret->body += form->body;
    ret->minimal = form->width == 0 || number >= width_low(form->type, form->width);
    return HEAD_OK;
}
