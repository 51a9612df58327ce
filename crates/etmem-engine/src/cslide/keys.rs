//! The keys of engine cslide and of its tasks.

use crate::node_pairs::{self, NodePair, node_pairs};
use crate::tracker::{self, tracker};
use etmem_config::keys;
use etmem_config::values::{mebibytes, vm_flags, within, yes_or_no};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::wishes::Tracker;

keys! { pub(super) ENGINE;
    NODE_PAIR: Vec<NodePair> = needed(node_pairs::NAME, node_pairs)
        .help("Pairs of a slow and a fast NUMA node. Where the hardware shows which node is slow, the order does not matter.")
        .example("2,0;3,1");
    HOT_THRESHOLD: u32 = needed("hot_threshold", |text| within(text, 0, i32::MAX.into())).unit("counts")
        .help("A page that counts less than this in a cycle is cold. Above what a cycle can count it acts as one more than that.")
        .example("1");
    NODE_MIG_QUOTA: u64 = needed("node_mig_quota", mebibytes).unit("MiB")
        .help("Most that moves one way in one cycle, per pair.").example("1024");
    NODE_HOT_RESERVE: u64 = needed("node_hot_reserve", mebibytes).unit("MiB")
        .help("How much of the fast node is kept for hot pages.").example("1024");
}

keys! { pub(super) TASK;
    VM_FLAGS: Vec<VmFlag> = optional("vm_flags", vm_flags)
        .help("Only mappings that have all of these flags of /proc/PID/smaps; `ht` is the pool of huge pages.").example("ht");
    ANON_ONLY: bool = or("anon_only", "no", yes_or_no).help("Only mappings without a file.").example("yes");
    IGN_HOST: bool = or("ign_host", "no", yes_or_no)
        .help("Ignore what the host itself accesses of a virtual machine's memory (openEuler's module).").example("yes");
    TRACKER: Tracker = or("tracker", "auto", tracker).ours("0.1.0").help(tracker::HELP).example("damon");
}
