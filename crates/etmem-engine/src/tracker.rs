//! The words of `tracker`, a key of every engine that scans pages.

use etmem_config::error::Rule;
use etmem_core::kernel::wishes::Tracker;

/// Reads a word of `tracker`.
pub(crate) fn tracker(text: &str) -> Result<Tracker, Rule> {
    [Tracker::Auto, Tracker::Etmem, Tracker::Bpf, Tracker::Idle, Tracker::Damon]
        .into_iter()
        .find(|tracker| tracker.name() == text)
        .ok_or(Rule::Form("auto, etmem, bpf, idle or damon"))
}

/// What the key does.
pub(crate) const HELP: &str = "How accesses are seen: by openEuler's module etmem_scan (`etmem`), page tables through BPF, idle \
                               page tracking, DAMON, or `auto`, the first of these that the kernel has.";
