//! The keys of a memdcd task.

use crate::tracker::{self, tracker};
use etmem_config::error::Rule;
use etmem_config::keys;
use etmem_config::values::vm_flags;
use etmem_core::kernel::decider::AbstractName;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::wishes::Tracker;

/// Where a decider listens if a task does not say.
const STANDARD: &str = "@_memdcd.server";

/// Most bytes of a value: with its closing zero it fills `sun_path`.
const LONGEST: usize = 107;

keys! { pub(super) TASK;
    SOCK: AbstractName = needed("Sock", socket)
        .help("Where the decider listens: a socket of the abstract namespace, written with one character before its name, which \
               is dropped whatever it is. So `@decider` is the socket `decider`, and `/run/decider` is no file but the abstract \
               socket `run/decider`. `-` stands for `@_memdcd.server`.").example("-");
    VM_FLAGS: Vec<VmFlag> = or("vm_flags", "us", vm_flags).ours("0.1.0")
        .help("Only mappings without a file that have all of these flags of /proc/PID/smaps. The default is the flag of memory \
               that a program swaps with openEuler's userswap; other kernels have no such flag, and there `rd wr` means all that \
               can be read and written.").example("rd wr");
    TRACKER: Tracker = or("tracker", "auto", tracker).ours("0.1.0").help(tracker::HELP).example("bpf");
}

/// Reads the name of a socket with one character before it, or `-` for the standard one.
fn socket(text: &str) -> Result<AbstractName, Rule> {
    let text = if text == "-" { STANDARD } else { text };
    let mut name = text.chars();
    name.next();
    let name = Some(name.as_str()).filter(|_| text.len() <= LONGEST && !text.contains('\0'));
    name.and_then(AbstractName::new).ok_or(Rule::Form(
        "- or the name of an abstract socket after a character that is dropped, at most 107 bytes together",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_is_dropped_whatever_it_is() {
        for (text, name) in [
            ("-", "_memdcd.server"),
            ("@_memdcd.server", "_memdcd.server"),
            ("/tmp/x", "tmp/x"),
            ("decider", "ecider"),
            ("@@", "@"),
        ] {
            assert_eq!(socket(text).unwrap().bytes(), name.as_bytes(), "{text}");
        }
    }

    #[test]
    fn the_longest_name_is_the_originals() {
        assert_eq!(socket(&"s".repeat(107)).unwrap().bytes().len(), 106);
        for text in ["", "@", &"s".repeat(108)] {
            assert!(socket(text).is_err(), "{text}");
        }
    }
}
