//! Loading the page walk into the kernel.

use crate::root::SysRoot;
use crate::sys::heap::give_back_free_memory;
use crate::sys::page_walk::PageWalk;
use crate::unavailable::Unavailable;
use aya::programs::{Iter, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, Endianness};
use std::error::Error;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What loading and running the walk needs.
pub(super) const CAPABILITIES: &str = "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN and CAP_DAC_OVERRIDE";

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/page_walk.bpf.o");

/// Of the verifier's log, the lines and characters worth repeating.
const LOG_LINES: usize = 2;
const LOG_CHARACTERS: usize = 200;

/// The program in the kernel, and the memory shared with it. All else that loading took is given back.
#[derive(Debug)]
pub(super) struct Program {
    /// Links are made of this.
    pub(super) program: OwnedFd,
    /// Its maps.
    pub(super) maps: PageWalk,
}

/// Loads the program.
///
/// # Errors
/// Says what the kernel lacks or refuses.
pub(super) fn load(sys: &SysRoot) -> Result<Program, Unavailable> {
    let loaded = load_with_types(sys);
    // The kernel's types take tens of MiB while they are parsed, and are of no use from here on.
    give_back_free_memory();
    loaded
}

fn load_with_types(sys: &SysRoot) -> Result<Program, Unavailable> {
    let path = sys.kernel_types();
    if !path.exists() {
        return Err(Unavailable::NotBuilt { path, option: "CONFIG_DEBUG_INFO_BTF" });
    }
    let types = Btf::parse_file(&path, Endianness::default())
        .map_err(|error| refused(&format!("reading {}", path.display()), &error))?;
    let mut loaded = EbpfLoader::new()
        .btf(Some(&types))
        .load(OBJECT)
        .map_err(|error| refused("loading the page walk", &error))?;
    let iterator = loaded.program_mut("page_walk").ok_or_else(|| absent("page_walk"))?;
    let iterator: &mut Iter =
        iterator.try_into().map_err(|error: ProgramError| refused("the page walk", &error))?;
    iterator.load("task", &types).map_err(|error| refused_program(&error))?;
    let program = iterator.fd().map_err(|error| refused_program(&error))?;
    let program =
        program.as_fd().try_clone_to_owned().map_err(|error| refused("keeping the page walk", &error))?;
    let [walk, spans, slots, tables] =
        ["walk", "spans", "slots", "tables"].map(|name| map_descriptor(&loaded, name));
    let maps = PageWalk::new([walk?.as_fd(), spans?.as_fd(), slots?.as_fd(), tables?.as_fd()])
        .map_err(|error| refused("mapping the page walk's maps", &error))?;
    Ok(Program { program, maps })
}

fn map_descriptor(loaded: &Ebpf, name: &'static str) -> Result<OwnedFd, Unavailable> {
    let Some(aya::maps::Map::Array(map)) = loaded.map(name) else { return Err(absent(name)) };
    map.fd().as_fd().try_clone_to_owned().map_err(|error| refused("keeping the page walk's maps", &error))
}

/// The committed object is not the one this was written for.
fn absent(name: &str) -> Unavailable {
    Unavailable::refused("loading the page walk", format!("its object has no {name}"))
}

/// The system call's own error somewhere below `error`.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

fn refused(call: &str, error: &(dyn Error + 'static)) -> Unavailable {
    match cause(error) {
        Some(error) => Unavailable::from_io(call, error, CAPABILITIES),
        None => Unavailable::refused(call, one_line(&error.to_string())),
    }
}

fn refused_program(error: &ProgramError) -> Unavailable {
    let refusal = refused("bpf(BPF_PROG_LOAD)", error);
    match (error, refusal) {
        (ProgramError::LoadError { verifier_log, .. }, Unavailable::Refused { call, reason }) => {
            let log = verifier_log.to_string();
            Unavailable::Refused { call, reason: format!("{reason}; the verifier says: {}", one_line(&log)) }
        }
        (_, refusal) => refusal,
    }
}

/// The last lines of `text`, as one of bounded length.
fn one_line(text: &str) -> String {
    let mut lines: Vec<&str> =
        text.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(LOG_LINES).collect();
    lines.reverse();
    lines.join("; ").chars().take(LOG_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kernel_types() {
        let tree = tempfile::tempdir().unwrap();
        let reason = load(&SysRoot::new(tree.path())).unwrap_err();
        assert!(matches!(reason, Unavailable::NotBuilt { option: "CONFIG_DEBUG_INFO_BTF", .. }), "{reason}");
        let types = tree.path().join("kernel/btf");
        std::fs::create_dir_all(&types).unwrap();
        std::fs::write(types.join("vmlinux"), "nonsense").unwrap();
        let reason = load(&SysRoot::new(tree.path())).unwrap_err();
        assert!(matches!(reason, Unavailable::Refused { .. }), "{reason}");
        assert!(!reason.to_string().contains('\n'));
    }

    #[test]
    fn logs_become_one_short_line() {
        assert_eq!(
            one_line("1: a\n2: b\n\nR1 invalid mem access\nprocessed 4 insns \n\n"),
            "R1 invalid mem access; processed 4 insns"
        );
        assert_eq!(one_line(&"é".repeat(1000)).chars().count(), LOG_CHARACTERS);
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn a_lack_of_rights_differs_from_other_refusals() {
        let refused_by = |number| {
            let io_error = io::Error::from_raw_os_error(number);
            refused("bpf", &aya::sys::SyscallError { call: "bpf", io_error })
        };
        assert!(matches!(refused_by(libc::EPERM), Unavailable::Permission { .. }));
        assert!(matches!(refused_by(libc::EINVAL), Unavailable::Refused { .. }));
    }
}
