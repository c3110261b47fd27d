/* list: an intrusive, circular, doubly linked list. A zeroed link is in no list. */
#ifndef TOYSTORE_LIST_H
#define TOYSTORE_LIST_H

#include "base/base.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_linked(const struct list *link)
{
    return link->next != NULL;
}

static inline void list_push_back(struct list *head, struct list *link)
{
    assert(!list_linked(link));
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Taking out what is in no list does nothing. */
static inline void list_remove(struct list *link)
{
    if (!list_linked(link))
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}

static inline struct list *list_pop_front(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *first = head->next;
    list_remove(first);
    return first;
}

/* `cursor` may be removed in the body. */
#define LIST_EACH(cursor, head)                                                                    \
    for (struct list *cursor = (head)->next, *cursor##_next = cursor->next; cursor != (head);      \
         cursor = cursor##_next, cursor##_next = cursor->next)

#endif
