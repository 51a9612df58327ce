//! The keys of a slide task.

use crate::tracker::{self, tracker};
use etmem_config::error::Rule;
use etmem_config::keys;
use etmem_config::values::{
    Percent, age, decimal, decimal_or_none, gibibytes, pause, rate, threads, vm_flags, within, yes_or_no,
};
use etmem_core::feedback::Goal;
use etmem_core::forecast::AgeRule;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::wishes::{Mover, Tracker};
use etmem_core::throttle::Rate;
use std::time::Duration;

keys! { pub(crate) TASK;
    T: u16 = needed("T", |text| within(text, 0, 360)).unit("counts")
        .help("A page that counts less than this in a cycle is cold. A scan counts 1 for a page that was read and 3 for one \
               that was written, so `T` is at most 3 times `loop`.").example("1");
    MAX_THREADS: usize = or("max_threads", "1", threads).unit("threads")
        .help("Threads that work side by side on the processes of the task. The processes share their observation windows whatever \
               this is: all are armed, then all are scanned. Below 1 acts as 1, above twice the cores and one as that.")
        .example("2");
    SWAP_THRESHOLD: Option<u64> = optional("swap_threshold", |text| gibibytes(text).map(Some)).unit("GiB")
        .help("With `sysmem_threshold`: leave a process alone that has no more than this in memory.").example("10g");
    SWAP_FLAG: bool = or("swap_flag", "no", yes_or_no)
        .help("Page out only what the program itself marked for swapping (openEuler's module).").example("yes");
    DRAM_PERCENT: Option<Percent> = or("dram_percent", "0", dram_percent).unit("%")
        .help("Keep about this share of the process in memory, the coldest pages leaving first, in place of `T`. 0 is off.")
        .example("60");
    VM_FLAGS: Vec<VmFlag> = optional("vm_flags", vm_flags).ours("0.1.0")
        .help("Only mappings that have all of these flags of /proc/PID/smaps.").example("rd wr");
    ANON_ONLY: bool = or("anon_only", "no", yes_or_no).ours("0.1.0")
        .help("Only mappings without a file. Otherwise also pages that were written to in a private mapping of a file.")
        .example("yes");
    TRACKER: Tracker = or("tracker", "auto", tracker).ours("0.1.0").help(tracker::HELP).example("bpf");
    MOVER: Mover = or("mover", "auto", mover).ours("0.1.0")
        .help("How pages are paged out: by openEuler's module etmem_swap (`etmem`), by process_madvise(2), or `auto`, the first \
               of these that the kernel has.").example("madvise");
    DRY_RUN: bool = or("dry_run", "no", yes_or_no).ours("0.1.0")
        .help("Scan and plan, but move nothing. `etmem task show` reports what would leave.").example("yes");
    MAX_REFAULT: Option<Goal> = or("max_refault", "auto", max_refault).ours("0.1.0")
        .unit("% of the working set a minute")
        .help("How much may be refaulted after it was paged out. Above it less is paged out, or nothing. `auto` is 0.2, or a quarter of what \
               `max_stall` allows where that is more. `none` limits nothing, and `max_stall` is not kept to.").example("0.5");
    MAX_STALL: Option<f64> = or("max_stall", "0.1", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.2.0")
        .unit("% of the time")
        .help("For how much of the time the task's processes may wait for what is refaulted: a page counts as long as reads from \
               the machine's swap take. Above it less is paged out, or nothing.").example("0.5");
    AGE: Option<AgeRule> = or("age", "auto", age).ours("0.2.0").unit("s, m or h")
        .help("For how long a page must not have been touched before it may leave. `auto` is the shortest time by which, as the scans \
               say, no more than `max_refault` and `max_stall` allow would come back. `none` acts on what a cycle says, as etmem 1.x does; so does \
               `max_refault=none`.").example("10m");
    MAX_RATE: Rate = or("max_rate", "auto", rate).ours("0.1.0").unit("bytes a second")
        .help("How fast pages may leave. `auto` is 5 % of what the machine can do, and up to a quarter while the process waits no longer for processors than before.").example("50m");
    MAX_CPU: Option<Percent> = optional("max_cpu", |text| Percent::read(text, 1).map(Some)).ours("0.1.0")
        .unit("% of a processor")
        .help("How much processor time the task may use. Absent: 10 for scanning, and moving goes by `max_rate`.").example("5");
    MAX_SWAP_USE: Percent = or("max_swap_use", "80", |text| Percent::read(text, 1)).ours("0.1.0").unit("% of swap")
        .help("Page out nothing while more of swap than this is in use.").example("80");
    MAX_PRESSURE: Option<f64> = or("max_pressure", "20", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0")
        .unit("% of the last 10 s").help("Page out nothing while programs wait for memory for more than this share of the time.")
        .example("20");
    MAX_RATIO: Option<u8> = or("max_ratio", "75", max_ratio).ours("0.2.0").unit("% of its size")
        .help("Where all swap is zram: page out nothing of a process of which a sample of what is cold, read each ten minutes, compresses to \
               more than this. `none` reads no sample.").example("90");
    DISK_DIRECTLY: bool = or("disk_directly", "no", yes_or_no).ours("0.2.0")
        .help("What leaves goes past zswap, to the disk behind it: while pages leave, `memory.zswap.max` of their control group is 0. \
               What it was is put back each time.").example("yes");
    ASK: bool = or("ask", "no", yes_or_no).ours("0.1.0")
        .help("Ask programs for memory before it is taken from them, on the socket `/run/etmem/pressure/PROJECT.TASK`, and take only \
               the rest.").example("yes");
    ASK_WAIT: Duration = or("ask_wait", "2", pause).ours("0.1.0").unit("s")
        .help("With `ask=yes`: how long programs have to give memory back.").example("500ms");
}

/// 0 is written for "off".
fn dram_percent(text: &str) -> Result<Option<Percent>, Rule> {
    Percent::read(text, 0).map(|percent| Some(percent).filter(|percent| percent.get() > 0))
}

fn max_refault(text: &str) -> Result<Option<Goal>, Rule> {
    match text {
        "auto" => Ok(Some(Goal::usual())),
        "none" => Ok(None),
        _ => decimal(text, 0.0, 100.0)
            .map(Goal::percent_per_minute)
            .map_err(|_| Rule::Form("auto, none, or a number in 0..=100")),
    }
}

fn max_ratio(text: &str) -> Result<Option<u8>, Rule> {
    match text {
        "none" => Ok(None),
        _ => Percent::read(text, 1).map(|percent| Some(percent.get())),
    }
}

fn mover(text: &str) -> Result<Mover, Rule> {
    match text {
        "auto" => Ok(Mover::Auto),
        "etmem" => Ok(Mover::Etmem),
        "madvise" => Ok(Mover::Madvise),
        _ => Err(Rule::Form("auto, etmem or madvise")),
    }
}
