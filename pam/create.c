#include "config.h"

#include "policy/create.h"

/* The module makes no containers, and sshd gets no JSON parser into it: berth-session
 * looks at what the file holds. */
int create_check(const char *text, size_t len, struct error **err)
{
    (void)text;
    (void)len;
    (void)err;
    return 0;
}
