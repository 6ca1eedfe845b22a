/* mem_fail() for test programs, which have no use for a log. */
#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void mem_fail(size_t wanted)
{
    fprintf(stderr, "out of memory: %zu bytes were wanted\n", wanted);
    abort();
}
