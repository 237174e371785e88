/* The files that the engine section of berth.conf names: keys, certificates, credentials. */
#ifndef BERTH_CHECK_FILES_H
#define BERTH_CHECK_FILES_H

#include "check/modules.h"
#include "check/subject.h"
#include "policy/policy.h"

enum files { FILES_CA, FILES_CERT, FILES_KEY, FILES_REGISTRY, FILES_COUNT };

/* Those that are the same for everybody, the policy's own; NULL: there is none, or each
 * user's is another one. */
struct shared_files {
    const char *paths[FILES_COUNT];
};

/* By what two accounts have that differ in all that a path may hold of them. */
void files_share(struct shared_files *shared, const struct engine_config *one,
                 const struct engine_config *other);
/* What is wrong with them for everybody. */
void files_look(const struct shared_files *shared, struct check *check);
/* What else his sessions would say of theirs. `stacks` is NULL where it can't be had. */
void files_look_for(const struct shared_files *shared, const struct stacks *stacks,
                    const struct subject *subject, struct check *check);

#endif
