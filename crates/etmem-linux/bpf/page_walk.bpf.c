// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Copies the page tables of one process (x86-64, 4 and 5 levels) to user space.
 *
 * User space writes the spans of address space it wants into `spans` and a request into `walk`, then reads the
 * iterator, whose link is filtered by process. The program walks those spans, goes past what is absent in the
 * largest steps the tables allow, and copies each present page table (512 entries, 2 MiB of address space) into
 * the next free slot of `slots` and `tables`; of a 2 MiB page it copies the entry. It stops at the end of the
 * spans or when the slots are full, and says where to go on. Nothing of the process is changed.
 *
 * Build (in this folder; clang 14 or later, no headers needed; the object is committed):
 *
 *   clang -O2 -g -mcpu=v3 -target bpf -fdebug-compilation-dir=. -Wall -Wextra -Werror -c page_walk.bpf.c -o page_walk.bpf.o
 *   llvm-strip -g page_walk.bpf.o
 *
 * The layouts of `struct walk`, `span` and `slot` are mirrored in ../src/sys/page_walk.rs.
 */

typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

/* Helpers by number: include/uapi/linux/bpf.h. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_probe_read_kernel)(void *destination, u32 bytes, const void *source) = (void *)113;
static long (*bpf_loop)(u32 times, void *callback, void *context, u64 flags) = (void *)181;

/* The few kernel fields used; their offsets come from the running kernel's BTF. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct {
	void *pgd;
};
struct task_struct {
	struct mm_struct *mm;
	u64 start_boottime;
	u64 self_exec_id;
	struct task_struct *group_leader;
};
struct bpf_iter__task {
	struct task_struct *task;
};
#pragma clang attribute pop

#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_MMAPABLE (1 << 10)

/* Slots of one run (32 to 512 take about the same time; fewer hold the maps for less of it), and spans of one request. */
#define SLOTS 32
#define SPANS 512
/* Steps of one run: each goes past one 2 MiB entry, or a larger one that is absent. */
#define STEPS (1 << 20)

#define ENTRIES 512
#define TABLE_BYTES 4096

/* arch/x86/include/asm/pgtable_types.h */
#define PRESENT 0x001ull
#define HUGE 0x080ull
#define PROT_NONE 0x100ull
#define ADDRESS_BITS 0x000ffffffffff000ull
#define ENTRY_SHIFT 21 /* what one entry of a PMD table covers */
#define PMD_TABLE_SHIFT 30
#define PUD_TABLE_SHIFT 39
#define P4D_TABLE_SHIFT 48

/* Why a run ended. */
#define FOUND_NOBODY 0 /* no such process, or one without memory */
#define ENDED_EARLY 1  /* slots or steps ran out: go on from `next` */
#define ENDED_COMPLETE 2
#define ENDED_REPLACED 3 /* the process gave up its memory during the run */

/* Whole 2 MiB blocks from `start` up to `end`. */
struct span {
	u64 start, end;
};

/* The entry that stands for the 2 MiB at `address`: of a table, copied to `tables`, or of a 2 MiB page. */
struct slot {
	u64 address, entry;
};

struct walk {
	/* The request. */
	u64 direct_map; /* where physical address 0 lies; 0: only tell who it is */
	u64 levels;	/* 4 or 5 */
	u64 spans;	/* how many of `spans` hold something */
	/* The reply. */
	u64 ended;
	u64 spans_begun; /* how many spans were begun; the last of them may not be finished */
	u64 next;	 /* where to go on in that span */
	u64 slots_used;
	u64 start_boottime; /* of the process, in ns */
	u64 exec_id;	    /* counts the programs the process has run */
	u64 root_table;	    /* the kernel's address of the topmost table */
	/* Kept between steps, here because the verifier follows no pointers through a stack. */
	u64 span_end;
	u64 pmd_table;	/* address of the PMD table in `upper`; 0: none yet */
	u64 pmd_region; /* which 1 GiB it covers */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct walk);
} walk SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SPANS);
	__type(key, u32);
	__type(value, struct span);
} spans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, u64[ENTRIES]);
} tables SEC(".maps");

/* The PMD table that the walk is in: absent entries are passed without reading the kernel's memory again. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64[ENTRIES]);
} upper SEC(".maps");

char LICENSE[] SEC("license") = "GPL";

static inline __attribute__((always_inline)) u64 read_entry(u64 table, u64 address, u32 shift)
{
	u64 entry = 0;

	/* Fails, leaving 0, where nothing is mapped: a table may be freed at any moment. */
	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table + ((address >> shift) & (ENTRIES - 1)) * 8));
	return entry;
}

static inline __attribute__((always_inline)) u64 behind(u64 address, u32 shift)
{
	return ((address >> shift) + 1) << shift;
}

/* Goes down to the PMD table for `address` and copies it; where an upper entry is absent, goes past it. */
static inline __attribute__((always_inline)) int enter_pmd_table(struct walk *w, u64 address)
{
	u64 table = w->root_table, entry;
	u32 zero = 0;
	u64 *copy;

	if (w->levels == 5) {
		entry = read_entry(table, address, P4D_TABLE_SHIFT);
		if (!(entry & PRESENT)) {
			w->next = behind(address, P4D_TABLE_SHIFT);
			return 0;
		}
		table = w->direct_map + (entry & ADDRESS_BITS);
	}
	entry = read_entry(table, address, PUD_TABLE_SHIFT);
	if (!(entry & PRESENT)) {
		w->next = behind(address, PUD_TABLE_SHIFT);
		return 0;
	}
	entry = read_entry(w->direct_map + (entry & ADDRESS_BITS), address, PMD_TABLE_SHIFT);
	/* A 1 GiB page belongs to the huge page pool or to a device: neither is ours to move. */
	if (!(entry & PRESENT) || (entry & HUGE)) {
		w->next = behind(address, PMD_TABLE_SHIFT);
		return 0;
	}
	table = w->direct_map + (entry & ADDRESS_BITS);
	copy = bpf_map_lookup_elem(&upper, &zero);
	if (!copy || bpf_probe_read_kernel(copy, TABLE_BYTES, (void *)table)) {
		w->next = behind(address, PMD_TABLE_SHIFT);
		return 0;
	}
	w->pmd_table = table;
	w->pmd_region = address >> PMD_TABLE_SHIFT;
	return 1;
}

/* One step of the walk; 1 ends the run. */
static long step(u32 index, void *context)
{
	u64 address, entry, *upper_table, *table;
	struct span *span;
	struct slot *slot;
	struct walk *w;
	u32 zero = 0, number;

	(void)index;
	(void)context;
	w = bpf_map_lookup_elem(&walk, &zero);
	upper_table = bpf_map_lookup_elem(&upper, &zero);
	if (!w || !upper_table)
		return 1;
	address = w->next;
	if (address >= w->span_end) {
		number = w->spans_begun;
		span = bpf_map_lookup_elem(&spans, &number);
		if (!span || number >= w->spans) {
			w->ended = ENDED_COMPLETE;
			return 1;
		}
		w->spans_begun = number + 1;
		w->next = span->start;
		w->span_end = span->end;
		return 0;
	}
	if (!w->pmd_table || (address >> PMD_TABLE_SHIFT) != w->pmd_region) {
		if (!enter_pmd_table(w, address))
			return 0;
	}
	entry = upper_table[(address >> ENTRY_SHIFT) & (ENTRIES - 1)];
	if (!(entry & PRESENT) && !((entry & HUGE) && (entry & PROT_NONE))) {
		w->next = behind(address, ENTRY_SHIFT);
		return 0;
	}
	number = w->slots_used;
	slot = bpf_map_lookup_elem(&slots, &number);
	table = bpf_map_lookup_elem(&tables, &number);
	if (!slot || !table)
		return 1;
	w->next = behind(address, ENTRY_SHIFT);
	if (!(entry & HUGE)) {
		if (bpf_probe_read_kernel(table, TABLE_BYTES, (void *)(w->direct_map + (entry & ADDRESS_BITS))))
			return 0;
		/* Was it still this table when it was copied? If not, its memory may have become something else. */
		u64 now = read_entry(w->pmd_table, address, ENTRY_SHIFT);
		if ((now ^ entry) & (ADDRESS_BITS | PRESENT | HUGE))
			return 0;
	}
	slot->address = address & ~((1ull << ENTRY_SHIFT) - 1);
	slot->entry = entry;
	w->slots_used = number + 1;
	return 0;
}

SEC("iter/task")
int page_walk(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct mm_struct *mm;
	struct walk *w;
	u32 zero = 0;

	w = bpf_map_lookup_elem(&walk, &zero);
	/* The first thread with memory speaks for its process, even where the leader has ended. */
	if (!task || !w || w->ended != FOUND_NOBODY)
		return 0;
	mm = task->mm;
	if (!mm)
		return 0;
	w->start_boottime = task->group_leader->start_boottime;
	w->exec_id = task->self_exec_id;
	w->root_table = (u64)mm->pgd;
	w->ended = ENDED_EARLY;
	w->spans_begun = 0;
	w->next = 0;
	w->span_end = 0;
	w->slots_used = 0;
	w->pmd_table = 0;
	if (w->direct_map)
		bpf_loop(STEPS, step, (void *)0, 0);
	if (task->mm != mm || task->self_exec_id != w->exec_id)
		w->ended = ENDED_REPLACED;
	/* 1 ends the iteration (read(2) fails with EAGAIN): the other threads have the same memory. */
	return 1;
}
