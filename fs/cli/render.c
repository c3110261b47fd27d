#include "cli/render.h"

#include "base/base.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 32, INDENT = 2 };

/* One value on one line; the caller frees. */
static char *one_line(const json_t *value)
{
    if (json_is_string(value))
        return base_string(slice_str(json_string_value(value)));
    if (value == NULL || json_is_null(value))
        return base_string(slice_str("-"));
    if (json_is_boolean(value))
        return base_string(slice_str(json_is_true(value) ? "yes" : "no"));
    return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static int width(const char *text)
{
    return (int)strlen(text);
}

static void print_cell(const char *text, int wide, bool last)
{
    if (last)
        printf("%s\n", text);
    else
        printf("%-*s  ", wide, text);
}

/* The columns of a table are the names of its first row, in its order. */
static void table(const json_t *rows, int indent)
{
    const char *names[COLUMNS_MAX];
    int widths[COLUMNS_MAX], columns = 0;
    const char *name;
    json_t *value, *row;
    size_t index;
    json_object_foreach(json_array_get(rows, 0), name, value)
    {
        if (columns == COLUMNS_MAX)
            break;
        widths[columns] = width(name);
        names[columns++] = name;
    }
    json_array_foreach(rows, index, row)
    {
        for (int i = 0; i < columns; i++) {
            char *cell = one_line(json_object_get(row, names[i]));
            widths[i] = width(cell) > widths[i] ? width(cell) : widths[i];
            free(cell);
        }
    }
    printf("%*s", indent, "");
    for (int i = 0; i < columns; i++)
        print_cell(names[i], widths[i], i + 1 == columns);
    json_array_foreach(rows, index, row)
    {
        printf("%*s", indent, "");
        for (int i = 0; i < columns; i++) {
            char *cell = one_line(json_object_get(row, names[i]));
            print_cell(cell, widths[i], i + 1 == columns);
            free(cell);
        }
    }
}

static bool is_list_of(const json_t *value, bool (*kind)(const json_t *one))
{
    return json_is_array(value) && kind(json_array_get(value, 0));
}

static bool is_object(const json_t *one)
{
    return json_is_object(one);
}

/* Words with spaces between them are for reading: a line each. */
static bool is_sentence(const json_t *one)
{
    return json_is_string(one) && strchr(json_string_value(one), ' ') != NULL;
}

static bool is_table(const json_t *value)
{
    return is_list_of(value, is_object);
}

/* A row that holds a table of its own does not fit a line. */
static bool is_flat(const json_t *rows)
{
    size_t index;
    json_t *row, *value;
    const char *name;
    json_array_foreach(rows, index, row)
    {
        json_object_foreach(row, name, value)
        {
            if (is_table(value) || is_list_of(value, is_sentence))
                return false;
        }
    }
    return true;
}

static void object(json_t *value, int indent);

static void rows(json_t *value, int indent)
{
    size_t index;
    json_t *row;
    if (is_flat(value)) {
        table(value, indent);
        return;
    }
    json_array_foreach(value, index, row)
    {
        if (index > 0)
            puts("");
        object(row, indent);
    }
}

static void lines(const json_t *value, int indent)
{
    size_t index;
    json_t *line;
    json_array_foreach(value, index, line)
    {
        char *text = one_line(line);
        printf("%*s%s\n", indent, "", text);
        free(text);
    }
}

static void object(json_t *value, int indent)
{
    const char *name;
    json_t *member;
    int widest = 0;
    json_object_foreach(value, name, member) widest = width(name) > widest ? width(name) : widest;
    json_object_foreach(value, name, member)
    {
        if (is_table(member)) {
            printf("%*s%s:\n", indent, "", name);
            rows(member, indent + INDENT);
        } else if (is_list_of(member, is_sentence)) {
            printf("%*s%s:\n", indent, "", name);
            lines(member, indent + INDENT);
        } else if (json_is_object(member)) {
            printf("%*s%s:\n", indent, "", name);
            object(member, indent + INDENT);
        } else {
            char *text = one_line(member);
            printf("%*s%-*s  %s\n", indent, "", widest, name, text);
            free(text);
        }
    }
}

bool render(const char *json)
{
    json_error_t error;
    json_t *root = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (root == NULL)
        return false;
    if (is_table(root)) {
        rows(root, 0);
    } else if (json_is_object(root)) {
        object(root, 0);
    } else {
        char *text = one_line(root);
        puts(text);
        free(text);
    }
    json_decref(root);
    return true;
}
