/*
 * scan_process PID SCANS [FLAGS]: scans PID's anonymous memory once, and forgets that; then adds up SCANS scans, as far as
 * they succeed, and writes a line for each page: address, count, type.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "etmemd_scan_export.h"

int main(int argc, char **argv)
{
    struct page_refs *forgotten = NULL, *pages = NULL, *page;
    struct vmas *vmas;
    int scan, flags, status = 0;

    if (argc < 3) {
        return 2;
    }
    flags = argc > 3 ? (int)strtol(argv[3], NULL, 0) : 0;
    vmas = etmemd_get_vmas(argv[1], NULL, 0, true);
    if (vmas == NULL || etmemd_scan_init() != 0) {
        perror("get_vmas");
        return 1;
    }
    for (scan = 0; scan <= atoi(argv[2]) && status == 0; scan++) {
        if (etmemd_get_page_refs(vmas, argv[1], scan == 0 ? &forgotten : &pages, flags) != 0) {
            perror("get_page_refs");
            status = 1;
        }
    }
    for (page = pages; page != NULL; page = page->next) {
        printf("%" PRIx64 " %d %d\n", page->addr, page->count, (int)page->type);
    }
    etmemd_free_page_refs(forgotten);
    etmemd_free_page_refs(pages);
    etmemd_free_vmas(vmas);
    etmemd_scan_exit();
    return status;
}
