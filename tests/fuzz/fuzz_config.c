/* berth.conf from the first byte to a policy, for a few logins. Nothing of what
 * libconfuse or a value's parser says matters here, only that it comes back. */
#include "config.h"

#include "policy/command.h"
#include "policy/policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *names[] = {(char *)"staff", (char *)"a\"b*", NULL};
static const struct strings groups = {.items = names, .count = 2};
static const struct account accounts[] = {
    {.name = (char *)"alice",
     .home = (char *)"/home/alice",
     .uid = 2001,
     .gid = 2001,
     .groups = &groups},
    {.name = (char *)"../a:b\x1b",
     .home = (char *)"a/../b:c",
     .uid = 4294967294,
     .gid = 0,
     .groups = &groups},
    {.name = (char *)"0", .home = (char *)"/", .uid = 0, .gid = 0, .groups = &groups},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < sizeof accounts / sizeof accounts[0]; i++) {
        cleanup_error struct error *err = NULL;
        /* Not one byte more, so that a read past the end is seen. */
        char *copy = malloc(size ? size : 1);

        if (!copy)
            return 0;
        memcpy(copy, data, size);
        cleanup_policy struct policy *policy = policy_parse("/nonexistent/berth.conf", copy, size,
                                                            &accounts[i], &err);
        free(copy);
        /* Either, never both: a policy with an error would be half a policy. */
        if (!policy == !err)
            abort();
        if (policy) {
            command_allowed(&policy->commands, "git-upload-pack '/srv/a.git'");
            command_allowed(&policy->commands, policy->image);
        }
    }
    return 0;
}
