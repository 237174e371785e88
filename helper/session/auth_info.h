/* By which key a login came, where sshd says so (sshd_config(5), ExposeAuthInfo). */
#ifndef BERTH_SESSION_AUTH_INFO_H
#define BERTH_SESSION_AUTH_INFO_H

#include "session/request.h"

#include <stddef.h>

/* Fills request->key, as sshd's own log and ssh-keygen -l have it: the first public key
 * that counted, "" where there was none (or a certificate, which has another hash). */
void auth_info_know(struct request *request);

/* The same of the file's text: "publickey ssh-ed25519 AAAA...", a line for each method. */
void auth_info_read(char key[REQUEST_KEY_SIZE], const char *text);

#endif
