/*
 * Sorting in place, without memory of its own and in n log n at worst: the
 * keys come from outside, and qsort() may allocate.
 */

#ifndef LY_SORT_H_INCLUDED_
#define LY_SORT_H_INCLUDED_

#include "ly_base.h"


/* not stable: cmp must not call two different items equal, or not mind */
void ly_sort(const void **items, size_t n,
    int (*cmp)(const void *a, const void *b));


#endif /* LY_SORT_H_INCLUDED_ */
