#include "ly_sort.h"
#include "ly_banned.h"


#define LY_SORT_SMALL  12


static void
ly_sort_insertion(const void **items, size_t n,
    int (*cmp)(const void *a, const void *b))
{
    size_t       i, j;
    const void  *item;

    for (i = 1; i < n; i++) {
        item = items[i];

        for (j = i; j > 0 && cmp(items[j - 1], item) > 0; j--) {
            items[j] = items[j - 1];
        }

        items[j] = item;
    }
}


static void
ly_sort_sift(const void **items, size_t i, size_t n,
    int (*cmp)(const void *a, const void *b))
{
    size_t       child;
    const void  *item;

    item = items[i];

    while (i < n / 2) {
        child = 2 * i + 1;

        if (child + 1 < n && cmp(items[child], items[child + 1]) < 0) {
            child++;
        }

        if (cmp(item, items[child]) >= 0) {
            break;
        }

        items[i] = items[child];
        i = child;
    }

    items[i] = item;
}


void
ly_sort(const void **items, size_t n, int (*cmp)(const void *a, const void *b))
{
    size_t       i;
    const void  *item;

    if (n <= LY_SORT_SMALL) {
        ly_sort_insertion(items, n, cmp);
        return;
    }

    for (i = n / 2; i > 0; i--) {
        ly_sort_sift(items, i - 1, n, cmp);
    }

    for (i = n - 1; i > 0; i--) {
        item = items[0];
        items[0] = items[i];
        items[i] = item;
        ly_sort_sift(items, 0, i, cmp);
    }
}
