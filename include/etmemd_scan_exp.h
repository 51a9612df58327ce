/*
 * etmem in Rust: the structures and flags of the scan library.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_SCAN_EXP_H
#define ETMEMD_SCAN_EXP_H

#include "etmemd_exp.h"

/* Flags of etmemd_get_page_refs, for openEuler's module etmem_scan only; other bits are ignored. */
#define SCAN_AS_HUGE  0100000000 /* take a virtual machine's memory for huge pages */
#define SCAN_IGN_HOST 0200000000 /* leave out what the host itself touched of it */
#define VMA_SCAN_FLAG 0x1000     /* look only at mappings marked by madvise(MADV_SWAPFLAG) */

#define VMA_PATH_STR_LEN  256
#define VMA_MAJOR_NUM_LEN 8
#define VMA_MINOR_NUM_LEN 8

/* Places in vma.stat. */
enum vma_stat {
    VMA_STAT_READ = 0,
    VMA_STAT_WRITE,
    VMA_STAT_EXEC,
    VMA_STAT_MAY_SHARE,
    VMA_STAT_INIT /* how many there are */
};

/* A mapping: a line of /proc/PID/maps. */
struct vma {
    uint64_t start;
    uint64_t end;                 /* the first address behind it */
    bool stat[VMA_STAT_INIT];
    uint64_t offset;
    uint64_t inode;
    char path[VMA_PATH_STR_LEN];  /* cut where it is longer; always ends in zero */
    char major[VMA_MAJOR_NUM_LEN]; /* of the device, hexadecimal */
    char minor[VMA_MINOR_NUM_LEN];
    struct vma *next;
};

/* Mappings in ascending order of address. */
struct vmas {
    uint64_t vma_cnt;
    struct vma *vma_list;
};

#endif
