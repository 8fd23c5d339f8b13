/* what every target needs: its entry point, and a property that must hold */

#ifndef LY_FUZZ_H_INCLUDED_
#define LY_FUZZ_H_INCLUDED_

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ly_base.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define must(good)                                                            \
    do {                                                                      \
        if (!(good)) {                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #good);        \
            abort();                                                          \
        }                                                                     \
    } while (0)


#endif /* LY_FUZZ_H_INCLUDED_ */
