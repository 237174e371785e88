/* What a target says of each input: that it holds, or where and that it doesn't. As assert(3),
 * which a build may leave out. */
#ifndef BERTH_FUZZ_CLAIM_H
#define BERTH_FUZZ_CLAIM_H

#include <stdio.h>
#include <stdlib.h>

#define claim(holds) ((holds) ? (void)0 : claim_failed(#holds, __FILE__, __LINE__))

static inline void claim_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: it doesn't hold that %s\n", file, line, what);
    abort();
}

#endif
