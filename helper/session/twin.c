#include "config.h"

#include "session/twin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fields that count stand at a line's beginning: the rest of a longer one is read
 * and forgotten. */
enum { LINE_PART = 4096, READ_SIZE = 32768 };

/* Ends the field; returns what is behind it. */
static char *field_end(char *field)
{
    char *colon = strchr(field, ':');

    if (!colon)
        return field + strlen(field);
    *colon = '\0';
    return colon + 1;
}

/* As fgetpwent(3) takes it: "0x", "", "1 " and what is too large are none. */
static bool number_read(char **field, uint32_t *number)
{
    char *end;
    unsigned long long value = strtoull(*field, &end, 10);

    if (end == *field || (*end != ':' && *end != '\0') || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    *field = *end ? end + 1 : end;
    return true;
}

/* "NAME:PASSWORD:UID:GID:...": the name, where the uid is this one. */
static const char *name_read(char *line, uid_t uid)
{
    char *name = line + strspn(line, " \t\v\f\r\n");
    uint32_t number, gid;

    if (name[0] != '\0' && strchr("#+-", name[0]))
        return NULL;
    name[strcspn(name, "\n")] = '\0';
    char *field = field_end(field_end(name));
    return number_read(&field, &number) && number == uid && number_read(&field, &gid) ? name : NULL;
}

/* The first part of the next line, or all of it. */
static bool part_read(char part[LINE_PART], bool *inside, FILE *file)
{
    bool rest;

    do {
        rest = *inside;
        /* Overwritten only where it is full: a line may hold a NUL. */
        part[LINE_PART - 1] = '.';
        if (!fgets(part, LINE_PART, file))
            return false;
        *inside = part[LINE_PART - 1] == '\0' && part[LINE_PART - 2] != '\n';
    } while (rest);
    return true;
}

static int search(FILE *file, const struct account *account, char **name, struct error **err)
{
    char part[LINE_PART];
    bool inside = false;

    errno = 0;
    while (part_read(part, &inside, file)) {
        const char *found = name_read(part, account->uid);
        if (!found || strcmp(found, account->name) == 0)
            continue;
        *name = strdup(found);
        return *name ? 0 : error_set(err, ENOMEM, "account");
    }
    return ferror(file) ? error_set(err, errno, "cannot read") : 0;
}

int twin_find(const char *path, const struct account *account, char **name, struct error **err)
{
    FILE *file = fopen(path, "re");

    *name = NULL;
    if (!file && errno == ENOENT)
        return 0;
    if (!file)
        return error_set(err, errno, "cannot open %s", path);
    /* 20,000 accounts are read at each login. On the stack all of it would be touched, however
     * short the file is. */
    char *buffer = malloc(READ_SIZE);
    if (buffer)
        (void)setvbuf(file, buffer, _IOFBF, READ_SIZE);
    int rc = search(file, account, name, err);
    fclose(file);
    free(buffer);
    return rc < 0 ? error_wrap(err, "%s", path) : 0;
}
