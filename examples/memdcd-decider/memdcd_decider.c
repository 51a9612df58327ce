/* A decider for engine memdcd, to copy: it keeps the hottest MIB mebibytes of each process, and pages out the rest.
 *
 *     memdcd-decider MIB [NAME]      listens on the abstract socket NAME; the default is _memdcd.server
 *
 * Engine memdcd connects once for each message. It waits at most 10 s for the answer: this program answers at once, and acts
 * when it has all messages about a process. Needs root, or CAP_SYS_NICE and the right to ptrace the processes.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

enum { START, PROCESS, END, ENTRIES = 512, RANGES = 512 };

struct entry { uint64_t address, bytes; int32_t count; };
struct message {
    int32_t command;
    uint32_t padding;
    int32_t pid;
    uint32_t enable_uswap;
    uint32_t type;
    uint64_t length, total;
    int32_t status;
    struct entry entries[ENTRIES];
};
_Static_assert(sizeof(struct entry) == 24 && sizeof(struct message) == 12336, "as etmemd sends them");
_Static_assert(offsetof(struct message, entries) == 48, "as etmemd sends them");

/* What is known of the process that the last messages were about. */
static struct { int pidfd; int32_t pid; struct entry *pages; uint64_t known, total; } process = { .pidfd = -1 };

static int hottest_first(const void *one, const void *other)
{
    int32_t a = ((const struct entry *)one)->count, b = ((const struct entry *)other)->count;
    return (a < b) - (a > b);
}

static int in_order(const void *one, const void *other)
{
    uint64_t a = ((const struct entry *)one)->address, b = ((const struct entry *)other)->address;
    return (a > b) - (a < b);
}

/* Pages out `count` ranges. What the kernel refuses, such as locked memory, is left out. */
static uint64_t page_out(struct iovec *ranges, size_t count)
{
    uint64_t done = 0;
    while (count > 0) {
        ssize_t moved = syscall(SYS_process_madvise, process.pidfd, ranges, count, MADV_PAGEOUT, 0);
        if (moved < 0 && errno == ESRCH)
            break;
        if (moved <= 0) {
            ranges++, count--;
            continue;
        }
        done += (uint64_t)moved;
        for (; count > 0 && (uint64_t)moved >= ranges->iov_len; ranges++, count--)
            moved -= (ssize_t)ranges->iov_len;
        if (count > 0) {
            ranges->iov_base = (char *)ranges->iov_base + moved;
            ranges->iov_len -= (size_t)moved;
        }
    }
    return done;
}

/* Keeps `most` bytes of the hottest pages, and pages out the others in ascending order of address. */
static void decide(uint64_t most)
{
    struct iovec ranges[RANGES];
    uint64_t kept = 0, first = 0, advised = 0;
    size_t count = 0;
    qsort(process.pages, process.known, sizeof(struct entry), hottest_first);
    while (first < process.known && kept + process.pages[first].bytes <= most)
        kept += process.pages[first++].bytes;
    qsort(process.pages + first, process.known - first, sizeof(struct entry), in_order);
    for (; first < process.known; first++) {
        char *start = (char *)(uintptr_t)process.pages[first].address;
        size_t bytes = process.pages[first].bytes;
        if (count > 0 && (char *)ranges[count - 1].iov_base + ranges[count - 1].iov_len == start) {
            ranges[count - 1].iov_len += bytes;
            continue;
        }
        if (count == RANGES) {
            advised += page_out(ranges, count);
            count = 0;
        }
        ranges[count++] = (struct iovec) { start, bytes };
    }
    advised += page_out(ranges, count);
    printf("process %d: kept %llu KiB, paged out up to %llu KiB\n", process.pid, (unsigned long long)kept / 1024,
           (unsigned long long)advised / 1024);
    fflush(stdout);
}

/* Adds a message to what is known; whether it makes sense. */
static int add(const struct message *message)
{
    uint64_t count = message->length / sizeof(struct entry);
    if (message->command != 0 || message->type != 0xFFFFFF01 || count == 0 || count > ENTRIES ||
        message->length % sizeof(struct entry) != 0 || message->pid <= 0)
        return 0;
    if (message->status == START) {
        if (process.pidfd >= 0)
            close(process.pidfd);
        process.pidfd = (int)syscall(SYS_pidfd_open, message->pid, 0);
        process.pid = message->pid;
        process.known = 0;
        process.total = message->total;
    }
    if (process.pidfd < 0 || process.pid != message->pid || process.total != message->total ||
        count > process.total - process.known)
        return 0;
    struct entry *pages = realloc(process.pages, (process.known + count) * sizeof(struct entry));
    if (pages == NULL)
        return 0;
    process.pages = pages;
    memcpy(pages + process.known, message->entries, count * sizeof(struct entry));
    process.known += count;
    return 1;
}

/* One connection: a message, and the answer. */
static void serve(int client, uint64_t most)
{
    static struct message message;
    struct timeval limit = { .tv_sec = 10 };
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != 0)
        return;
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (recv(client, &message, sizeof message, MSG_WAITALL) != (ssize_t)sizeof message)
        return;
    int good = add(&message);
    const char *answer = good ? "success" : "failed";
    send(client, answer, strlen(answer) + 1, MSG_NOSIGNAL);
    if (good && process.known == process.total)
        decide(most);
}

int main(int argc, char **argv)
{
    const char *name = argc > 2 ? argv[2] : "_memdcd.server";
    char *end = NULL;
    uint64_t most = argc > 1 ? strtoull(argv[1], &end, 10) << 20 : 0;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (argc < 2 || argc > 3 || end == argv[1] || *end != '\0' || strlen(name) > sizeof address.sun_path - 1)
        return fprintf(stderr, "usage: memdcd-decider MIB [NAME]\n"), 2;
    memcpy(address.sun_path + 1, name, strlen(name));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 64) != 0)
        return perror(name), 1;
    printf("listening on @%s\n", name);
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0 && errno != EINTR && errno != ECONNABORTED)
            return perror("accept"), 1;
        if (client < 0)
            continue;
        serve(client, most);
        close(client);
    }
}
