/* The allow-list of commands. */
#ifndef BERTH_POLICY_COMMAND_H
#define BERTH_POLICY_COMMAND_H

#include "base/text.h"

#include <stdbool.h>

/* Whether one of `patterns` matches the whole of `command`. `*` matches any run
 * of bytes, `?` one, but never a byte that a shell could act on (control bytes,
 * ; & | < > ( ) $ ` \ { } * ? [ ] # !), so that "git-*" lets no "git-x; sh"
 * through. Blanks and quotes they do match: git sends git-upload-pack '/a.git'.
 * But a shell must read every byte of the pattern as it would read the pattern
 * alone: a wildcard between quotes can't end them ("git-upload-pack '*'" stays
 * one argument), one outside leaves them as it found them. Every other byte of a
 * pattern stands for itself, these bytes too. */
bool command_allowed(const struct strings *patterns, const char *command);

#endif
