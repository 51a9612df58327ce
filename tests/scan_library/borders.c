/* What the scan library answers to arguments that cannot be, and to a life in any order. Ends with 0 if all holds. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "etmemd_scan_export.h"

static int failures;

#define CHECK(what)                                                          \
    do {                                                                     \
        if (!(what)) {                                                       \
            printf("line %d: %s does not hold (errno %d)\n", __LINE__, #what, errno); \
            failures++;                                                      \
        }                                                                    \
    } while (0)

static char executable[] = "ex";
static char readable[] = "rd";
static char too_long[] = "abc";
static char with_space[] = "a ";

/* Places a mapping is compared with. */
static int global = 1;

static const struct vma *find(const struct vmas *vmas, uint64_t address)
{
    const struct vma *vma;
    for (vma = vmas->vma_list; vma != NULL; vma = vma->next) {
        if (vma->start <= address && address < vma->end) {
            return vma;
        }
    }
    return NULL;
}

int main(void)
{
    char pid[16];
    char *flags[2] = {readable, executable};
    char *bad[3] = {NULL, too_long, with_space};
    struct page_refs *none = NULL;
    struct vmas empty = {0, NULL};
    struct vmas *vmas;
    const struct vma *vma;
    uint64_t count = 0, all;
    int i, local = 0;

    snprintf(pid, sizeof(pid), "%d", (int)getpid());

    vmas = etmemd_get_vmas(pid, NULL, 0, false);
    CHECK(vmas != NULL);
    if (vmas == NULL) {
        return 1;
    }
    for (vma = vmas->vma_list; vma != NULL; vma = vma->next) {
        CHECK(vma->start < vma->end);
        CHECK(vma->next == NULL || vma->end <= vma->next->start);
        count++;
    }
    CHECK(count == vmas->vma_cnt && count > 5);
    vma = find(vmas, (uint64_t)(uintptr_t)&global);
    CHECK(vma != NULL && vma->stat[VMA_STAT_READ] && vma->stat[VMA_STAT_WRITE] && !vma->stat[VMA_STAT_EXEC]);
    vma = find(vmas, (uint64_t)(uintptr_t)executable);
    CHECK(vma != NULL && !vma->stat[VMA_STAT_MAY_SHARE]);
    vma = find(vmas, (uint64_t)(uintptr_t)&etmemd_get_vmas);
    CHECK(vma != NULL && vma->stat[VMA_STAT_EXEC] && vma->inode != 0 && vma->path[0] == '/' && vma->major[0] != '\0');
    vma = find(vmas, (uint64_t)(uintptr_t)&local);
    CHECK(vma != NULL && vma->inode == 0);
    all = vmas->vma_cnt;
    etmemd_free_vmas(vmas);

    vmas = etmemd_get_vmas(pid, flags, 2, false);
    CHECK(vmas != NULL && vmas->vma_cnt > 0 && vmas->vma_cnt < all);
    for (vma = vmas == NULL ? NULL : vmas->vma_list; vma != NULL; vma = vma->next) {
        CHECK(vma->stat[VMA_STAT_READ] && vma->stat[VMA_STAT_EXEC]);
    }
    etmemd_free_vmas(vmas);

    vmas = etmemd_get_vmas(pid, NULL, 0, true);
    CHECK(vmas != NULL && vmas->vma_cnt > 0 && vmas->vma_cnt < all);
    for (vma = vmas == NULL ? NULL : vmas->vma_list; vma != NULL; vma = vma->next) {
        CHECK(vma->inode == 0);
    }

    CHECK(etmemd_get_vmas(NULL, NULL, 0, false) == NULL && errno == EINVAL);
    CHECK(etmemd_get_vmas("", NULL, 0, false) == NULL && errno == EINVAL);
    CHECK(etmemd_get_vmas("../1", NULL, 0, false) == NULL && errno == EINVAL);
    CHECK(etmemd_get_vmas("4194305", NULL, 0, false) == NULL && errno == ESRCH);
    CHECK(etmemd_get_vmas(pid, NULL, 1, false) == NULL && errno == EINVAL);
    CHECK(etmemd_get_vmas(pid, flags, -1, false) == NULL && errno == EINVAL);
    for (i = 0; i < 3; i++) {
        CHECK(etmemd_get_vmas(pid, &bad[i], 1, false) == NULL && errno == EINVAL);
    }

    CHECK(etmemd_get_page_refs(vmas, pid, &none, 0) == -1 && errno == EPERM && none == NULL);
    CHECK(etmemd_scan_init() == 0);
    CHECK(etmemd_scan_init() == -1 && errno == EALREADY);
    CHECK(etmemd_get_page_refs(NULL, pid, &none, 0) == -1 && errno == EINVAL);
    CHECK(etmemd_get_page_refs(vmas, NULL, &none, 0) == -1 && errno == EINVAL);
    CHECK(etmemd_get_page_refs(vmas, pid, NULL, 0) == -1 && errno == EINVAL);
    for (i = 0; i < 2; i++) {
        struct vma *first = vmas->vma_list;
        uint64_t end = first->end;

        first->end = first->start - i * 4096;
        CHECK(etmemd_get_page_refs(vmas, pid, &none, 0) == -1 && errno == EINVAL && none == NULL);
        first->end = end;
    }
    CHECK(etmemd_get_page_refs(&empty, "4194305", &none, 0) == -1 && errno == ESRCH && none == NULL);
    etmemd_scan_exit();
    etmemd_scan_exit();
    CHECK(etmemd_get_page_refs(vmas, pid, &none, 0) == -1 && errno == EPERM);
    CHECK(etmemd_scan_init() == 0);
    etmemd_scan_exit();

    etmemd_free_vmas(vmas);
    etmemd_free_vmas(NULL);
    etmemd_free_page_refs(NULL);
    return failures == 0 ? 0 : 1;
}
