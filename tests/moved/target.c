/* A program whose memory the kernel keeps, frees or returns: what it is to do is its first argument, how many pages it has its
 * second. It writes the range of its memory, reads a line for each time it is to touch one of its halves ("0" or "1", or "0w" to write to it), answers
 * each, and ends with its input. */
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
/* Pages that are touched in a row between two rests, and how long those are: a pass over 64 MiB takes half a second. */
#define ROW 256
#define REST 8000000L

static volatile unsigned char sum;

static void touch(const unsigned char *memory, size_t pages)
{
    for (size_t page = 0; page < pages; page++)
        sum += memory[page * PAGE];
}

static void run_for_ever(const unsigned char *memory, size_t pages)
{
    const struct timespec rest = {0, REST};

    for (size_t page = 0;; page = (page + ROW) % pages) {
        touch(memory + page * PAGE, page + ROW < pages ? ROW : pages - page);
        nanosleep(&rest, NULL);
    }
}

/* Pins the first half, as a buffer for input and output. */
static int pin(unsigned char *memory, size_t pages)
{
    struct io_uring_params parameters = {0};
    struct iovec buffer = {memory, pages / 2 * PAGE};
    int ring = (int)syscall(__NR_io_uring_setup, 4, &parameters);

    return ring < 0 ? -1 : (int)syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1);
}

/* Shares the first half with a child that lives as long as this program. */
static int share(unsigned char *memory, size_t pages)
{
    pid_t parent = getpid(), child = fork();

    if (child < 0)
        return -1;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(0);
        munmap(memory + pages / 2 * PAGE, (pages - pages / 2) * PAGE);
        for (;;)
            pause();
    }
    for (size_t page = pages / 2; page < pages; page++)
        memory[page * PAGE]++;
    return 0;
}

/* Children that live as long as this program, and share all of its memory. */
static int fork_workers(int count)
{
    pid_t parent = getpid(), child = 1;

    for (; count > 0 && child > 0; count--) {
        child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent)
                _exit(0);
            for (;;)
                pause();
        }
    }
    return child < 0 ? -1 : 0;
}

/* A child reads all of it, as one does that writes a snapshot, and ends. */
static int read_in_child(const unsigned char *memory, size_t pages)
{
    pid_t child = fork();
    volatile unsigned char sum = 0;
    int status = 1;

    if (child == 0) {
        for (size_t page = 0; page < pages; page++)
            sum += memory[page * PAGE];
        _exit(0);
    }
    return child < 0 || waitpid(child, &status, 0) < 0 || status != 0;
}

/* Fills twice as many pages of shared memory. */
static int fill_segment(size_t pages)
{
    unsigned char *segment =
        mmap(NULL, 2 * pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (segment == MAP_FAILED)
        return -1;
    memset(segment, 1, 2 * pages * PAGE);
    return 0;
}

int main(int argc, char **argv)
{
    const char *role = argc > 2 ? argv[1] : "";
    size_t pages = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    unsigned char *memory =
        mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pid_t starter = getppid();
    char line[16];
    int failed = 0;

    if (pages == 0 || memory == MAP_FAILED)
        return 1;
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    /* No two pages are alike, and half of each can be compressed. */
    for (size_t page = 0; page < pages; page++)
        for (size_t at = 0; at < PAGE / 2; at += 4)
            *(unsigned int *)(memory + page * PAGE + at) = (unsigned int)(page * 2654435761UL + at * 40503UL + 1);
    if (strcmp(role, "pinned") == 0)
        failed = pin(memory, pages);
    else if (strcmp(role, "shared") == 0)
        failed = share(memory, pages);
    else if (strcmp(role, "prefork") == 0)
        failed = fork_workers(8);
    else if (strcmp(role, "segment") == 0)
        failed = fill_segment(pages);
    else if (strcmp(role, "freed") == 0)
        failed = madvise(memory, pages / 2 * PAGE, MADV_FREE);
    if (failed) {
        perror(role);
        return 2;
    }
    printf("%lx-%lx\n", (unsigned long)memory, (unsigned long)(memory + pages * PAGE));
    fflush(stdout);
    if (strcmp(role, "runs") == 0) {
        /* It reads no input, whose end would end it. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == starter)
            run_for_ever(memory, pages);
        return 0;
    }
    while (fgets(line, sizeof line, stdin)) {
        size_t half = pages / 2, first = line[0] == '1' ? half : 0;

        if (line[0] == 'f')
            failed = read_in_child(memory, pages);
        else if (line[1] == 'w')
            for (size_t page = first; page < first + half; page++)
                memory[page * PAGE]++;
        else
            touch(memory + first * PAGE, half);
        puts(failed ? "failed" : "done");
        fflush(stdout);
    }
    return 0;
}
