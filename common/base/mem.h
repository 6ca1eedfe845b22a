/* Memory that is either there or the end of the program: callers never see NULL.
 *
 * A supervisor that cannot allocate cannot decide anything safely. Its votes are on disk, so it stops at once and the
 * service manager starts it again. mem_fail() is the seam: a pure archive names it, each program defines it
 * (common/io/oom.c prints how many bytes were wanted and aborts). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

_Noreturn void mem_fail(size_t wanted);

/* All return memory that the caller frees with free(). A size of 0 gives a valid pointer. */
void *mem_alloc(size_t size);                        /* not cleared */
void *mem_zalloc(size_t size);                       /* cleared */
void *mem_realloc(void *p, size_t size);             /* p may be NULL */
void *mem_array(void *p, size_t count, size_t size); /* realloc of count * size, overflow checked */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n); /* always terminated */

/* Makes room for one more element of an array that grows by doubling: v = mem_grow(v, n, &cap, sizeof *v). */
void *mem_grow(void *v, size_t used, size_t *cap, size_t size);

#endif
