/*
 * A cache that gives memory back when it is asked, by systemd's protocol for memory pressure.
 *
 *     cc -O2 -o trimming_cache examples/trimming_cache.c
 *     MEMORY_PRESSURE_WATCH=/run/etmem/pressure/PROJECT.TASK ./trimming_cache 200
 *
 * It holds that number of MiB. At each request it drops its oldest entries: as much as etmemd says that it would page out
 * (a line "wanted_bytes=NUMBER"), or half of what it has if the request does not say. It ends with its standard input.
 *
 * MEMORY_PRESSURE_WATCH names a socket or a FIFO here. A file of the kernel's PSI, which systemd passes by default, takes
 * MEMORY_PRESSURE_WRITE and POLLPRI as well: sd_event_add_memory_pressure(3) does all three.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const size_t ENTRY = 64 * 1024;

/* The entries that are left, the oldest first. */
static unsigned char *entries;
static size_t oldest, count;

static int fail(const char *what)
{
    perror(what);
    exit(1);
}

static void fill(size_t bytes)
{
    count = bytes / ENTRY;
    entries = mmap(NULL, count * ENTRY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        fail("mmap");
    /* Not the same bytes everywhere, which the kernel would merge or compress to nothing. */
    for (size_t at = 0; at < count * ENTRY; at += 64)
        memcpy(entries + at, &at, sizeof(at));
}

/* Drops the oldest entries until BYTES are free; returns how many are. */
static size_t drop(size_t bytes)
{
    size_t many = (bytes + ENTRY - 1) / ENTRY, left = count - oldest;
    if (many > left)
        many = left;
    if (many > 0 && madvise(entries + oldest * ENTRY, many * ENTRY, MADV_DONTNEED) != 0)
        fail("madvise");
    oldest += many;
    return many * ENTRY;
}

/* Opens what requests come from; -1 if there is nothing to listen to. */
static int listen_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat found;
    if (path == NULL || strcmp(path, "/dev/null") == 0)
        return -1;
    if (stat(path, &found) != 0)
        fail(path);
    if (!S_ISSOCK(found.st_mode))
        return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (strlen(path) >= sizeof(address.sun_path)) {
        fprintf(stderr, "%s: too long for a socket\n", path);
        exit(1);
    }
    strcpy(address.sun_path, path);
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail(path);
    return file;
}

/* How much the newest line of TEXT asks for. */
static size_t wanted(const char *text)
{
    const char *line = NULL, *next = text;
    while ((next = strstr(next, "wanted_bytes=")) != NULL)
        line = next++;
    return line ? strtoull(line + strlen("wanted_bytes="), NULL, 10) : (count - oldest) * ENTRY / 2;
}

int main(int argc, char **argv)
{
    char text[4096];
    struct pollfd files[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = listen_to(getenv("MEMORY_PRESSURE_WATCH")), .events = POLLIN },
    };
    /* It listens first: what it has is cold soon, and is taken from programs that do not listen. */
    fill((argc > 1 ? strtoull(argv[1], NULL, 10) : 200) << 20);
    printf("holds %zu bytes at %p\n", count * ENTRY, (void *)entries);
    fflush(stdout);
    while (poll(files, 2, -1) >= 0) {
        if (files[0].revents != 0 && read(STDIN_FILENO, text, sizeof(text)) <= 0)
            return 0;
        if (files[1].revents == 0)
            continue;
        ssize_t length = read(files[1].fd, text, sizeof(text) - 1);
        if (length <= 0) {
            /* Nothing can come any more. */
            close(files[1].fd);
            files[1].fd = -1;
            continue;
        }
        text[length] = '\0';
        printf("gave back %zu bytes\n", drop(wanted(text)));
        fflush(stdout);
    }
    return fail("poll");
}
