//! Why not more was done, or nothing: in a word and in a line.
//!
//! Each reason is one row of [`ReasonName`], with what it means and what to do for `docs/why-nothing-happens.md`. Each is
//! brought about by a test: `tests/reasons` does not compile without an arm for a new one.

use etmem_core::guard::SkipReason;
use etmem_core::kernel::process::{Gone, ProcessError};
use etmem_core::plan::Ended;
use serde::Serialize;
use std::fmt;

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A task as a whole.
    Task,
    /// One process.
    Process,
    /// One control group, of an engine that works on groups as a whole.
    Group,
    /// One zram device, of engine tiers.
    Device,
}

macro_rules! reasons {
    ($($name:ident = $word:literal, $scope:ident, $means:literal, $remedy:literal;)*) => {
        /// Why not more was done, in a word, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum ReasonName {
            $(
                #[doc = $means]
                #[serde(rename = $word)]
                $name,
            )*
        }

        impl ReasonName {
            /// All there are, in the order of the guide.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// What it is about, what it means, and what to do.
            #[must_use]
            pub const fn help(self) -> (Scope, &'static str, &'static str) {
                match self {
                    $(Self::$name => (Scope::$scope, $means, $remedy),)*
                }
            }
        }
    };
}

reasons! {
    NotStarted = "not_started", Task,
        "the project was added, not started",
        "`etmem project start -n PROJECT`";
    FirstCycle = "first_cycle", Task,
        "the first cycle is not over: it takes `loop` times `interval`, and more where memory is large",
        "wait";
    NoProcess = "no_process", Task,
        "no process has that name (`/proc/PID/comm`, at most 15 characters, the same to the letter)",
        "wait, or mend `type` and `value`";
    NoGroup = "no_cgroup", Task,
        "no control group has such a path (engine psi, `cg_dir`; engine damon between NUMA nodes, `value`)",
        "wait, or mend that key: paths begin below the root of the cgroup file system";
    ProcessEnded = "process_ended", Task,
        "a task with `type=pid` means the process that had the number when the task was added, and its descendants: it has ended",
        "delete the task (`etmem obj del`), or add it again for another process; `type=name` follows a program that is started again";
    PidReused = "pid_reused", Task,
        "the same, and another process has the number now; that process is left alone",
        "delete the task; add it again if the process that has the number now is meant";
    NoTable = "no_table", Task,
        "`/proc` cannot be read; for engine cslide, also that a node of `node_pair` is gone; for engine psi, that control groups cannot be read",
        "see what the kernel answered; `etmemd --proc-root` names the procfs";
    Hosted = "hosted", Task,
        "its engine is a plugin, which reports nothing here",
        "`etmem engine COMMAND`, if the plugin has any; its own log";
    Failed = "failed", Task,
        "the task's thread has ended by a fault of etmemd",
        "see the log; stop the project and start it again; report it";
    NoSwap = "no_swap", Process,
        "the machine has no swap",
        "add some: `mkswap`, `swapon`; compressed memory (zram) is enough";
    SwapFull = "swap_full", Process,
        "swap has no room at all",
        "add swap, or stop what fills it; the task continues once there is room";
    ZramLimit = "zram_limit", Process,
        "swap is in compressed memory (zram) that has taken as much memory as its `mem_limit` allows, or nearly: what is moved out beyond that stays in memory, in the swap cache",
        "a higher `/sys/block/zram*/mem_limit`, or other swap";
    SwapFails = "swap_fails", Process,
        "writes to swap fail: a broken device, or a swap file on a device without room; what is moved out stays in memory, in the swap cache (`SwapCached`)",
        "see the kernel's log (`dmesg`); mend the device or make room for its file, then `swapoff` and `swapon`, or add other swap";
    HardlyCompresses = "hardly_compresses", Process,
        "all swap is compressed memory (zram), and a sample of what is cold compresses to more of its size than `max_ratio` allows: little would be saved",
        "nothing; or swap on a disk, or a higher `max_ratio`";
    SwapUse = "swap_use", Process,
        "more of swap is in use than `max_swap_use` allows",
        "add swap, or a higher `max_swap_use`";
    Pressure = "pressure", Process,
        "programs wait for memory more than `max_pressure` allows",
        "wait; see `/proc/pressure/memory`";
    CgroupSwap = "cgroup_swap", Process,
        "the process's cgroup has no room, or not enough, below `memory.swap.max`",
        "a higher limit, if wished";
    CgroupProtected = "cgroup_protected", Process,
        "its cgroup has no more memory than `memory.min` and `memory.low` promise it",
        "lower promises, if wished";
    JustForked = "just_forked", Process,
        "the process was forked less than a minute ago and runs its parent's program, or it is the parent: a snapshot is written, perhaps, and all is read",
        "wait until the child has ended or is a minute old; where one follows the other, for ten minutes";
    MemoryFree = "memory_free", Process,
        "`sysmem_threshold` says to act only while less memory is free",
        "nothing, or a higher `sysmem_threshold`";
    Small = "small", Process,
        "the process has no more in memory than `swap_threshold`",
        "nothing, or a lower `swap_threshold`";
    SwappedEnough = "swapped_enough", Process,
        "as much of it is in swap as `sysmem_threshold` asks for",
        "nothing, or a `swap_threshold`, which then decides";
    NothingSuitable = "nothing_suitable", Process,
        "nothing it has in memory is of the kind that slide moves: private, not executable, and marked or flagged as `swap_flag` and `vm_flags` ask; with cslide, of the kind that `vm_flags` and `anon_only` ask for; with memdcd, without a file and flagged as `vm_flags` asks",
        "look at `/proc/PID/smaps`";
    Locked = "locked", Process,
        "all of its memory that slide could move is locked (`mlock`), and not even looked at",
        "nothing";
    NotLookedAt = "not_looked_at", Process,
        "most of its memory, and at least 16 MiB, is of a kind that slide does not look at: shared memory, files, the pool of huge pages, pages shared by copy-on-write with a forked process, executable, or without the flags that `vm_flags` and `swap_flag` ask for; the text says how much is of which kind",
        "nothing; for flags, other `vm_flags`";
    AllOut = "all_out", Process,
        "all that slide could move has left before, and nothing was refaulted",
        "nothing: it is done";
    NotCold = "not_cold", Process,
        "every page that was looked at counts T or more, or `dram_percent` is reached",
        "wait; a higher T, or a longer `interval`, calls more pages cold";
    WatchedFirst = "watched_first", Process,
        "what would come back is not known yet, or too much would come back of all that was idle for as long as the task has watched",
        "wait; a higher `max_refault` or `max_stall`, or an `age` of your own, acts earlier";
    Swept = "swept", Process,
        "something touches all of it at once, such as a garbage collector or a backup: so often that nothing is cold, or it is not known yet how often",
        "nothing; `age` acts in spite of it";
    LittleFirst = "little_first", Process,
        "little leaves first, and four times as much each time that it stays out",
        "wait some cycles";
    LeftAlone = "left_alone", Process,
        "what would be cold was refaulted before, and is left alone for some cycles",
        "wait: 4 cycles at least, 256 from the second time on";
    NoRoom = "no_room", Process,
        "swap has room for a part of what is cold, or `max_swap_use` leaves room for a part",
        "add swap";
    TooManyRefaults = "came_back", Process,
        "more of what was moved out was refaulted than `max_refault` or `max_stall` allows",
        "wait; [doing-no-harm.md](doing-no-harm.md) says for how long";
    ProbeBlind = "probe_blind", Process,
        "a sample of the pages that looked cold came back at once: the probe does not see what touches this process, so the rest stays; such a sample is tried again after 16 cycles, then after 64, 256 and so on",
        "stop what else clears its accessed bits (`/proc/PID/clear_refs`, another scanner), or choose another `tracker`";
    Later = "later", Process,
        "more is cold than may leave in a cycle at `max_rate`",
        "wait, or a higher `max_rate`";
    Touched = "touched", Process,
        "cold pages were touched again before they could leave",
        "nothing";
    Stayed = "stayed", Process,
        "the kernel accepted pages and left them in memory: shared with a forked process, pinned for input and output, under writeback or in use; what stays again and again is left alone for 16 cycles, then for 256",
        "nothing";
    Refused = "refused", Process,
        "the kernel refuses a part: locked memory (`mlock`), pools of huge pages, devices",
        "nothing";
    Vanished = "vanished", Process,
        "cold pages were unmapped before they could leave or change nodes",
        "nothing";
    NodeFull = "node_full", Process,
        "cslide, tiers: the node that pages are to go to has no room, or no free huge page in its pool",
        "more huge pages there (`nr_hugepages`), or less on it";
    Bound = "bound", Process,
        "cslide: the program says itself on which nodes its memory is to lie (`mbind`, `set_mempolicy`), or its cpuset does not allow the nodes of any pair",
        "nothing: it is left where it is; see `/proc/PID/numa_maps`, and `Mems_allowed_list` in `/proc/PID/status`";
    InUse = "in_use", Process,
        "cslide: pages that were to move are in use, such as pinned for input and output",
        "nothing: the next cycle tries again";
    Shared = "shared", Process,
        "cslide: pages that were to move are shared with other processes, which takes CAP_SYS_NICE",
        "run etmemd as root, or with that capability";
    Decider = "decider", Process,
        "memdcd: no decider listens at `Sock`, it did not answer within 10 s, or it answered something else than `success`",
        "start the decider, or see its own log; the next cycle tries again";
    MergingNotAllowed = "merging_not_allowed", Process,
        "ksm: the process does not let its memory be merged, so the kernel does not look at it",
        "start it by `etmem ksm run -- COMMAND`, or its service as `etmem ksm unit NAME` says; of QEMU, take out `mem-merge=off`";
    MergingFirstScans = "merging_first_scans", Process,
        "ksm: the kernel has not looked often enough at its memory: a page is merged when two scans have found it with the same content",
        "wait; a shorter `scan_time` or a higher `max_cpu` is faster";
    MergingNoProfit = "merging_no_profit", Process,
        "ksm: after three scans, what the kernel takes to know the pages is as much as it saves, or more: merging was ended, and is tried again when the task gets another process",
        "stop the task: its processes have little in common";
    MergingCopied = "merging_copied", Process,
        "ksm: in three rounds in a row, programs wrote to as much merged memory as there is, each time at the price of a page fault and a copy: merging was ended, and is tried again when the task gets another process",
        "stop the task, or name programs that write less";
    MergingChanged = "merging_changed", Process,
        "ksm: another program, or a person, has switched KSM off or to another mode (`/sys/kernel/mm/ksm/run`), and that stays",
        "find out who; restart the task to switch it on again";
    QmpAbsent = "qmp_absent", Process,
        "balloon: nothing listens at `qmp_socket`",
        "start the guest's QEMU with `-qmp unix:PATH,server=on,wait=off`, or mend the path";
    QmpTaken = "qmp_taken", Process,
        "balloon: the monitor at `qmp_socket` accepts, and does not greet within 2 s: it speaks with one program at a time, and another has it",
        "a second `-qmp` socket for etmemd; libvirt and Proxmox keep the first to themselves";
    QmpLost = "qmp_lost", Process,
        "balloon: the monitor closed the connection, or has not answered within 2 s; the next round connects again",
        "nothing, if the guest was ended or started again; else see QEMU's log";
    QmpGarbled = "qmp_garbled", Process,
        "balloon: what listens at `qmp_socket` does not speak QMP; the text says what it said",
        "name the socket of `-qmp`, not that of `-monitor` or of another program";
    QmpRefused = "qmp_refused", Process,
        "balloon: the monitor refused a command, which is named with its answer",
        "see the text: a QEMU without that command is too old (4.2 has all)";
    NoBalloon = "no_balloon", Process,
        "balloon: the guest has no balloon device",
        "start its QEMU with `-device virtio-balloon-pci`; libvirt: `<memballoon model='virtio'/>`";
    GuestSilent = "guest_silent", Process,
        "balloon: the guest's driver has reported nothing yet",
        "wait until the guest has booted; else load virtio_balloon in it, or install the drivers (Windows)";
    GuestStale = "guest_stale", Process,
        "balloon: the guest's last report is older than three intervals: it reboots, hangs, or its driver is gone; it is left alone",
        "wait; look into the guest if it stays so";
    GuestHalted = "guest_halted", Process,
        "balloon: the guest is paused, or migrates to another host; it is left alone",
        "nothing";
    GuestUnclear = "guest_unclear", Process,
        "balloon: the task names several processes, and none of them listens at `qmp_socket`",
        "name the guest's QEMU by pid, or by its control group";
    GuestNeeds = "guest_needs", Process,
        "balloon: the guest lacks memory: less than a tenth of what is left to it is available, or it reads more back from disk or swap than before; all that was taken is given back at once, and nothing is taken for 16 rounds",
        "nothing; a higher `balloon_min` if it comes again and again";
    BalloonWaits = "balloon_waits", Process,
        "balloon: what was asked for has not arrived yet, or the guest has not reported since",
        "wait";
    BalloonStuck = "balloon_stuck", Process,
        "balloon: what was asked for did not arrive in six rounds; it is taken back, and nothing is asked for in 64 rounds",
        "look into the guest: is virtio_balloon loaded, and does it run?";
    BalloonFloor = "balloon_floor", Process,
        "balloon: the guest is left with no more than `balloon_min`, or than it uses and a fifth of that",
        "nothing, or a lower `balloon_min`";
    BalloonOthers = "balloon_others", Process,
        "balloon: other guests of the engine have more available, and give what is missing; or the task has `shares=0`",
        "nothing, or fewer `shares`";
    HostWell = "host_well", Process,
        "balloon: the host has as much memory available as `host_free` asks for, and programs do not wait for it",
        "nothing";
    Elsewhere = "elsewhere", Process,
        "another task of the engine looks at the process, or a command does, such as `etmem survey` or `etmem idle`",
        "nothing: a command ends; or end one of the two tasks";
    DryRun = "dry_run", Process,
        "the task has `dry_run=yes`",
        "take it out when the plan is as wished";
    Exited = "exited", Process,
        "the process ended in the middle of a cycle",
        "nothing";
    Replaced = "replaced", Process,
        "it replaced its program (exec), so what was seen no longer holds",
        "nothing: the next cycle starts from the beginning";
    KernelRefused = "kernel_refused", Process,
        "the kernel refused a call, which is named with its answer",
        "`etmem doctor`; etmemd needs root, or the capabilities of its unit";
    AtFloor = "at_floor", Group,
        "the group has nothing beyond what it keeps: `limit_min_bytes` and what cannot be reclaimed, `memory.min`, `memory.low`, or `limit_min_ratio` of its limit",
        "nothing, or a lower floor";
    Looking = "looking", Group,
        "what the kernel has as not in use of the group may have been used just now: it looks (`/sys/kernel/debug/lru_gen`), and what two looks in a row find idle may leave",
        "nothing: it looks each 30 s at most, or less often where that would take more than a hundredth of the time";
    AllInUse = "all_in_use", Group,
        "less than a 64th of the group was idle from one look of the kernel to the next",
        "nothing";
    IoPressure = "io_pressure", Group,
        "programs of the group wait for input and output for as long as `io_pressure` says, or longer",
        "wait; see `io.pressure` of the group";
    NoMore = "no_more", Group,
        "the kernel found less to reclaim than was asked for",
        "nothing: the next round asks again";
    GroupRemoved = "cgroup_removed", Group,
        "the group was removed in the middle of a round; a group that has its path since is another one",
        "nothing: the next round looks for groups again";
    GroupNoMemory = "cgroup_no_memory", Group,
        "the memory of the group is not counted apart: it is threaded, or the group above does not hand on the memory controller",
        "`echo +memory >cgroup.subtree_control` in the group above, or name that group";
    NoZram = "no_zram", Task,
        "no zram device is swap (engine tiers)",
        "set one up: zram-generator, or `zramctl`, `mkswap` and `swapon`; docs/tiers.md has the files";
    NoWriteback = "no_zram_writeback", Device,
        "this kernel cannot write pages of zram to a disk",
        "a kernel built with CONFIG_ZRAM_WRITEBACK=y, such as that of Debian";
    NoBackingDevice = "no_backing_device", Device,
        "the zram device has no disk behind it",
        "set `backing_dev` before the device gets its size: docs/tiers.md has the files";
    NoSlotAges = "no_slot_ages", Device,
        "the kernel does not say when each page of the device was touched last (`/sys/kernel/debug/zram/ZRAM/block_state`)",
        "mount debugfs; a kernel built with CONFIG_ZRAM_MEMORY_TRACKING=y";
    NothingOld = "nothing_old", Device,
        "no page of the device has been untouched for `sink_after`, and it is not as full as `sink_high`",
        "nothing; or a shorter `sink_after`, a lower `sink_high`";
    SinkBudget = "sink_budget", Device,
        "as much as `sink_per_day` allows has been written in the last 24 hours",
        "wait, or a higher `sink_per_day` if the disk endures that";
    WritebackLimit = "writeback_limit", Device,
        "the device's own `writeback_limit` is used up: the operator's, or another program has written beside the task",
        "write a new number to `/sys/block/zram*/writeback_limit`, or 0 to `writeback_limit_enable`";
    DiskFull = "disk_full", Device,
        "the disk behind the zram device has no room left",
        "a larger disk: it can be changed only while the device has no size";
    DiskFails = "disk_fails", Device,
        "a write to the disk behind the zram device failed",
        "see the kernel's log (`dmesg`) and replace the disk";
    WritebackBusy = "writeback_busy", Device,
        "another program writes or recompresses pages of the device",
        "leave that to one program; the task tries again in its next cycle";
    DeviceGone = "device_gone", Device,
        "the zram device was reset or removed while its pages were written",
        "nothing: it is looked for again in the next cycle";
    Stopped = "stopped", Process,
        "the task was stopped in the middle of a cycle",
        "nothing";
}

impl fmt::Display for ReasonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why not more was done, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// In a word, for programs.
    pub name: ReasonName,
    /// In a line, for people.
    pub text: String,
}

impl Reason {
    /// The reason called `name`, in this line.
    #[must_use]
    pub fn new(name: ReasonName, text: impl Into<String>) -> Self {
        Self { name, text: text.into() }
    }

    pub(crate) fn elsewhere(task: &str) -> Self {
        Self::new(ReasonName::Elsewhere, format!("task {task} looks at it"))
    }

    pub(crate) fn stopped(text: &str) -> Self {
        Self::new(ReasonName::Stopped, text)
    }
}

impl From<&SkipReason> for Reason {
    fn from(skip: &SkipReason) -> Self {
        let name = match skip {
            SkipReason::NoSwap => ReasonName::NoSwap,
            SkipReason::SwapFull | SkipReason::SwapFullMemoryFine { .. } => ReasonName::SwapFull,
            SkipReason::ZramLimit { .. } => ReasonName::ZramLimit,
            SkipReason::SwapFails { .. } => ReasonName::SwapFails,
            SkipReason::SwapUse { .. } => ReasonName::SwapUse,
            SkipReason::Pressure { .. } => ReasonName::Pressure,
            SkipReason::GroupSwap(_) => ReasonName::CgroupSwap,
            SkipReason::GroupProtected(_) => ReasonName::CgroupProtected,
            SkipReason::ByCommand => ReasonName::Elsewhere,
            SkipReason::JustForked { .. } => ReasonName::JustForked,
            SkipReason::MemoryFree { .. } => ReasonName::MemoryFree,
            SkipReason::Small { .. } => ReasonName::Small,
            SkipReason::SwappedEnough { .. } => ReasonName::SwappedEnough,
        };
        Self::new(name, skip.to_string())
    }
}

impl From<&Gone> for Reason {
    fn from(gone: &Gone) -> Self {
        let name = match gone {
            Gone::Ended(_) => ReasonName::ProcessEnded,
            Gone::Reused(_) => ReasonName::PidReused,
        };
        Self::new(name, gone.to_string())
    }
}

impl From<&ProcessError> for Reason {
    fn from(error: &ProcessError) -> Self {
        let name = match error {
            ProcessError::Exited => ReasonName::Exited,
            ProcessError::Replaced => ReasonName::Replaced,
            ProcessError::Refused { .. } => ReasonName::KernelRefused,
        };
        Self::new(name, error.to_string())
    }
}

impl From<&Ended> for Reason {
    fn from(ended: &Ended) -> Self {
        match ended {
            Ended::Stopped => Self::stopped("the task was stopped before it had moved all"),
            Ended::Process(error) => error.into(),
        }
    }
}
