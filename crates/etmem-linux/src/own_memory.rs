//! This process's own memory: how much of it there is, and that it stays out of swap.
//!
//! A daemon that moves other programs' memory must not wait for its own. It is locked page by page when it is touched, so that
//! nothing grows by it. Locked memory is limited (`RLIMIT_MEMLOCK`) without CAP_IPC_LOCK, and a lock
//! under a limit would be worse than none: later mappings fail once the limit is reached. So first the limit goes.

use crate::root::ProcRoot;
use crate::sys;
use crate::unavailable::Unavailable;

/// The number of the capability to lock memory (capability.h).
const IPC_LOCK: u32 = 14;

/// That of the capability to lift limits.
const SYS_RESOURCE: u32 = 24;

const CAPABILITIES: &str = "CAP_IPC_LOCK, or where systemd starts it with LimitMEMLOCK=infinity";

pub use sys::heap::share_one_heap;

/// Keeps what this process has and will have in memory out of swap.
///
/// # Errors
/// Says that it may not, and what would help; then everything is as before.
pub fn lock(proc: &ProcRoot) -> Result<(), Unavailable> {
    // What only the start has run is not worth locking.
    sys::code::unmap_for_now();
    let failed = |error| Unavailable::from_io("locking its own memory", &error, CAPABILITIES);
    if let Err(error) = sys::locked::lift_limit() {
        let read = |file| std::fs::read_to_string(proc.own(file)).unwrap_or_default();
        if !is_in_initial_namespace(proc) || !has_capability(&read("status"), IPC_LOCK) {
            return Err(failed(error));
        }
    }
    sys::locked::lock().map_err(failed)
}

/// Whether [`lock`] would work, as far as files show: nothing is locked, and no limit changed.
///
/// # Errors
/// Says that it would not, and what would help.
pub fn may_lock(proc: &ProcRoot) -> Result<(), Unavailable> {
    let read = |file| std::fs::read_to_string(proc.own(file)).unwrap_or_default();
    let (status, limits) = (read("status"), read("limits"));
    let powerful = is_in_initial_namespace(proc)
        && (has_capability(&status, IPC_LOCK) || has_capability(&status, SYS_RESOURCE));
    if powerful || is_unlimited(&limits) {
        return Ok(());
    }
    Err(Unavailable::Permission { call: "locking its own memory".to_owned(), capabilities: CAPABILITIES })
}

/// Whether a process whose `/proc/PID/limits` is `limits` may raise its limit on locked memory to none.
fn is_unlimited(limits: &str) -> bool {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    // The soft limit, the hard limit, the unit.
    line.and_then(|line| line.split_whitespace().nth(1)) == Some("unlimited")
}

/// Whether this process is in the first user namespace. A kernel without user namespaces has no `/proc/PID/uid_map`.
fn is_in_initial_namespace(proc: &ProcRoot) -> bool {
    match std::fs::read_to_string(proc.own("uid_map")) {
        Ok(map) => is_initial_namespace(&map),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a process whose `/proc/PID/uid_map` is `map` is in the first user namespace: in others, capabilities
/// lift no limit on locked memory (`can_do_mlock`, mm/mlock.c).
fn is_initial_namespace(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether a process whose `/proc/PID/status` is `status` has the capability of this number.
pub(crate) fn has_capability(status: &str, number: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_user_namespace_is_not_root() {
        assert!(is_initial_namespace("         0          0 4294967295\n"));
        for map in ["0 1000 1\n", "0 100000 65536\n", "0 0 1\n", ""] {
            assert!(!is_initial_namespace(map), "{map:?}");
        }
    }

    #[test]
    fn limits_are_read() {
        let limits = |soft, hard| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max locked memory         {soft:<20} {hard:<20} bytes\n"
            )
        };
        assert!(is_unlimited(&limits("8388608", "unlimited")));
        assert!(!is_unlimited(&limits("8388608", "8388608")) && !is_unlimited(""));
    }

    #[test]
    fn who_may_lock() {
        for (namespace, capabilities, limit, may) in [
            (Some("0 0 4294967295"), "000001ffffffffff", "8388608", true),
            (Some("0 0 4294967295"), "0000000000004000", "8388608", true),
            (Some("0 0 4294967295"), "0000000001000000", "8388608", true),
            (Some("0 0 4294967295"), "0", "8388608", false),
            (Some("0 0 4294967295"), "0", "unlimited", true),
            (Some("0 1000 1"), "000001ffffffffff", "8388608", false),
            (Some("0 1000 1"), "000001ffffffffff", "unlimited", true),
            // A kernel without user namespaces.
            (None, "000001ffffffffff", "8388608", true),
            (None, "0", "8388608", false),
        ] {
            let tree = tempfile::tempdir().unwrap();
            let folder = tree.path().join("self");
            std::fs::create_dir(&folder).unwrap();
            if let Some(namespace) = namespace {
                std::fs::write(folder.join("uid_map"), namespace).unwrap();
            }
            std::fs::write(folder.join("status"), format!("CapEff:\t{capabilities}\n")).unwrap();
            std::fs::write(folder.join("limits"), format!("Max locked memory  1 {limit} bytes\n")).unwrap();
            let answer = may_lock(&ProcRoot::new(tree.path()));
            assert_eq!(answer.is_ok(), may, "{namespace:?} {capabilities} {limit}");
        }
    }

    #[test]
    fn capabilities_are_read() {
        for (status, has) in [
            ("Name:\tetmemd\nCapPrm:\t0\nCapEff:\t000001ffffffffff\n", true),
            ("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000004000\n", true),
            ("CapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffbfff\n", false),
            ("CapEff:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(has_capability(status, IPC_LOCK), has, "{status:?}");
        }
    }
}
