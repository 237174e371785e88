/* Stands in for libFuzzer where it isn't built in: runs the target once on each
 * file of the directories named, so that `make check` replays the corpus. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    static uint8_t data[1024 * 1024];
    FILE *file = fopen(path, "re");

    if (!file) {
        perror(path);
        return -1;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        const struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            if (replay_file(path) < 0)
                return 1;
            count++;
        }
        if (dir)
            closedir(dir);
    }
    printf("%u inputs\n", count);
    return count == 0; /* a corpus that isn't found must not pass */
}
