//! The table: a figure of the machine is one row.

/// What the numbers of a row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// All since the machine, or the device, was started.
    Total,
    /// How much there is now.
    Now,
}

/// What the numbers of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A share, in percent.
    Percent,
    /// Anything that is counted.
    Count,
}

/// Where the numbers of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Lines of `/proc/vmstat`, in pages, each with the kind of memory of which it is.
    Vmstat(&'static [(&'static str, Option<&'static str>)]),
    /// A line of `/proc/meminfo`.
    Meminfo(&'static str),
    /// The size in `/proc/swaps`: a level for each device or file.
    SwapSize,
    /// The same of what is in use.
    SwapUsed,
    /// A number of one of the [`ZRAM_FILES`] of each zram device that is set up, times so much.
    Zram(&'static str, usize, u64),
    /// A parameter of zswap: a number, or `Y` for 1.
    Zswap(&'static str),
    /// A line of `/proc/self/status`.
    Own(&'static str),
}

/// The files of a zram device that have numbers for rows.
pub(super) const ZRAM_FILES: [&str; 3] = ["mm_stat", "io_stat", "bd_stat"];

/// A figure of the machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, without a unit.
    pub name: &'static str,
    /// Since when it counts.
    pub counts: Counts,
    /// What it is in.
    pub unit: Unit,
    /// What it says.
    pub help: &'static str,
    pub(super) source: Source,
}

/// Bytes of the pages in which zram and `/proc/vmstat` count (`FOUR_K` in drivers/block/zram/zram_drv.c).
const PAGE: u64 = 4096;

macro_rules! rows {
    ($($name:literal: $counts:ident $unit:ident, $source:expr, $help:literal;)*) => {
        &[$(Row { name: $name, counts: Counts::$counts, unit: Unit::$unit, help: $help, source: $source }),*]
    };
}

/// All rows, in the order to show them. The columns of zram are those of Documentation/admin-guide/blockdev/zram.rst.
#[must_use]
pub fn rows() -> &'static [Row] {
    use Source::{Meminfo, Own, SwapSize, SwapUsed, Vmstat, Zram, Zswap};
    rows! {
        "level_size": Now Bytes, SwapSize, "what fits on this device or file for swap";
        "level_used": Now Bytes, SwapUsed, "memory of programs that is on this device or file for swap";
        "workingset_refault": Total Bytes,
            Vmstat(&[("workingset_refault_anon", Some("anon")), ("workingset_refault_file", Some("file"))]),
            "read again soon after the kernel took it, by kind: of programs (anon) or of files (file)";
        "swap_zero_in": Total Bytes, Vmstat(&[("swpin_zero", None)]), "pages full of zeroes that were swapped in from nowhere";
        "swap_zero_out": Total Bytes, Vmstat(&[("swpout_zero", None)]), "pages full of zeroes that were swapped out to nowhere";
        "zswap_in": Total Bytes, Vmstat(&[("zswpin", None)]), "read back from zswap";
        "zswap_out": Total Bytes, Vmstat(&[("zswpout", None)]), "taken by zswap instead of a device";
        "zswap_written_back": Total Bytes, Vmstat(&[("zswpwb", None)]), "written by zswap to the device after it";
        "zswap_pool": Now Bytes, Meminfo("Zswap"), "memory that zswap takes";
        "zswap_stored": Now Bytes, Meminfo("Zswapped"), "memory of programs that zswap holds compressed";
        "zswap_enabled": Now Count, Zswap("enabled"), "whether pages go to zswap before they go to swap: 1 or 0";
        "zswap_max_pool": Now Percent, Zswap("max_pool_percent"), "most memory that zswap may take, as a share of the machine's";
        "zram_original": Now Bytes, Zram("mm_stat", 0, 1), "memory of programs that the device holds compressed";
        "zram_compressed": Now Bytes, Zram("mm_stat", 1, 1), "size of the compressed copies";
        "zram_memory": Now Bytes, Zram("mm_stat", 2, 1), "memory that the device takes, with what its allocator wastes";
        "zram_memory_limit": Now Bytes, Zram("mm_stat", 3, 1), "most memory that the device may take; 0: no limit";
        "zram_memory_max": Now Bytes, Zram("mm_stat", 4, 1), "most memory that the device took at any time";
        "zram_same_pages": Now Count, Zram("mm_stat", 5, 1), "pages of one repeated value, for which the device takes no memory";
        "zram_compacted_pages": Total Count, Zram("mm_stat", 6, 1), "pages that were freed by compaction of the device's memory";
        "zram_incompressible_pages": Now Count, Zram("mm_stat", 7, 1), "pages that the device holds and that do not compress";
        "zram_incompressible_pages_stored": Total Count, Zram("mm_stat", 8, 1), "pages stored that did not compress";
        "zram_failed_reads": Total Count, Zram("io_stat", 0, 1), "reads that failed";
        "zram_failed_writes": Total Count, Zram("io_stat", 1, 1),
            "writes that failed, for lack of memory or at the limit of the device";
        "zram_invalid_io": Total Count, Zram("io_stat", 2, 1), "requests that were not of whole pages";
        "zram_freed_slots": Total Count, Zram("io_stat", 3, 1), "pages that were freed on the device, as swap did not need them any more";
        "zram_written_back": Now Bytes, Zram("bd_stat", 0, PAGE), "what is on the backing device";
        "zram_backing_read": Total Bytes, Zram("bd_stat", 1, PAGE), "read from the backing device";
        "zram_backing_written": Total Bytes, Zram("bd_stat", 2, PAGE), "written to the backing device";
        "daemon_resident": Now Bytes, Own("VmRSS"), "memory that etmemd takes itself";
    }
}
