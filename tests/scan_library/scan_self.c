/* Scans itself: of its own pages, those it wrote since the scan before count, and the others do not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "etmemd_scan_export.h"

#define PAGES 64
#define PAGE  4096
#define ROUNDS 3

static bool is_hot(int page)
{
    return page % 3 == 1;
}

int main(void)
{
    char pid[16];
    unsigned char *memory;
    struct page_refs *forgotten = NULL, *seen = NULL, *node;
    struct vmas *vmas;
    int round, page, hot = 0, cold = 0, wrong = 0;
    void *mapped = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mapped == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memory = (unsigned char *)mapped;
    if (madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE) != 0) {
        perror("madvise");
    }
    memset(memory, 1, PAGES * PAGE);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());

    if (etmemd_scan_init() != 0 || (vmas = etmemd_get_vmas(pid, NULL, 0, true)) == NULL ||
        etmemd_get_page_refs(vmas, pid, &forgotten, 0) != 0) {
        perror("the first scan");
        return 1;
    }
    for (round = 0; round < ROUNDS; round++) {
        for (page = 0; page < PAGES; page++) {
            if (is_hot(page)) {
                memory[page * PAGE] = (unsigned char)round;
            }
        }
        if (etmemd_get_page_refs(vmas, pid, &seen, 0) != 0) {
            perror("a scan");
            return 1;
        }
    }
    for (node = seen; node != NULL; node = node->next) {
        uint64_t start = (uint64_t)(uintptr_t)memory;
        if (node->next != NULL && node->next->addr <= node->addr) {
            printf("%#lx is not before %#lx\n", (unsigned long)node->addr, (unsigned long)node->next->addr);
            wrong++;
        }
        if (node->addr < start || node->addr >= start + PAGES * PAGE) {
            continue;
        }
        page = (int)((node->addr - start) / PAGE);
        if (is_hot(page) ? node->count == 3 * ROUNDS : node->count == 0) {
            is_hot(page) ? hot++ : cold++;
        } else {
            printf("page %d counts %d\n", page, node->count);
            wrong++;
        }
    }
    printf("%d hot, %d cold, %d wrong\n", hot, cold, wrong);
    etmemd_free_page_refs(forgotten);
    etmemd_free_page_refs(seen);
    etmemd_free_vmas(vmas);
    etmemd_scan_exit();
    return wrong == 0 && hot + cold == PAGES ? 0 : 1;
}
