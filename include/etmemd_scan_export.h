/*
 * etmem in Rust: the scan library, libetmemd_scan. Link with: pkg-config --cflags --libs etmemd_scan
 *
 * Functions that fail set errno and write a line to syslog. Scans take turns among threads; a list may be used by one
 * thread at a time.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_SCAN_EXPORT_H
#define ETMEMD_SCAN_EXPORT_H

#include "etmemd_exp.h"
#include "etmemd_scan_exp.h"

#ifdef __cplusplus
extern "C" {
#endif

/* To be called before the first scan: 0, or -1 if it was already. */
int etmemd_scan_init(void);

/* Gives back what scanning took. */
void etmemd_scan_exit(void);

/*
 * The mappings of process pid (a number in decimal); those that have each of the vmflags_num flags in vmflags_array: two
 * characters each, as VmFlags in /proc/PID/smaps has them. is_anon_only: only anonymous memory. NULL on failure.
 */
struct vmas *etmemd_get_vmas(const char *pid, char **vmflags_array, int vmflags_num, bool is_anon_only);

void etmemd_free_vmas(struct vmas *vmas);

/*
 * One scan: which pages of vmas are in memory, and which were touched since the scan before. Adds them into the list at
 * *page_refs (NULL: an empty one), in order of address, and counts to counts. 0, or -1 on failure: nothing was added.
 * A mapping that does not end after its start is such a failure.
 */
int etmemd_get_page_refs(const struct vmas *vmas, const char *pid, struct page_refs **page_refs, int flags);

void etmemd_free_page_refs(struct page_refs *page_refs);

#ifdef __cplusplus
}
#endif

#endif
