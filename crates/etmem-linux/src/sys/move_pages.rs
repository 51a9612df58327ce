//! move_pages(2): where pages of a process are, and moving them to another node.

use etmem_core::kernel::nodes::NodeId;
use etmem_core::kernel::process::Pid;
use std::ffi::{c_int, c_ulong};
use std::io;
use std::ptr;

/// Which pages the call may move (`include/uapi/linux/mempolicy.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Whose {
    /// Those that the process has alone (`MPOL_MF_MOVE`).
    Own = 1 << 1,
    /// Those that others have, too (`MPOL_MF_MOVE_ALL`), which needs CAP_SYS_NICE.
    All = 1 << 2,
}

/// Tells for each of `pages`, into `status`, its node, or why there is none as a negative error number.
///
/// # Errors
/// What the kernel answers about the call as a whole.
pub(crate) fn where_are(process: Pid, pages: &[u64], status: &mut [i32]) -> io::Result<()> {
    call(process, pages, None, status, Whose::Own).map(drop)
}

/// Moves `pages` to `node`; how many did not go, which `status` may not show: what it holds before the call should
/// be no status.
///
/// # Errors
/// What the kernel answers about the call as a whole.
pub(crate) fn move_to(
    process: Pid,
    pages: &[u64],
    node: NodeId,
    status: &mut [i32],
    whose: Whose,
) -> io::Result<u64> {
    call(process, pages, Some(&vec![c_int::from(node.0); pages.len()]), status, whose)
}

fn call(
    process: Pid,
    pages: &[u64],
    nodes: Option<&[c_int]>,
    status: &mut [i32],
    whose: Whose,
) -> io::Result<u64> {
    const { assert!(size_of::<u64>() == size_of::<usize>(), "an address is a pointer to the kernel") };
    let count = pages.len().min(status.len()).min(nodes.map_or(usize::MAX, <[c_int]>::len));
    // SAFETY: the kernel reads `count` addresses and nodes and writes `count` statuses; none of the slices is shorter.
    // The addresses are the other process's: where its pages lie changes nothing that it can see but time.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            process.get(),
            count as c_ulong,
            pages.as_ptr(),
            nodes.map_or(ptr::null(), <[c_int]>::as_ptr),
            status.as_mut_ptr(),
            whose as c_int,
        )
    };
    u64::try_from(answer).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn where_our_own_pages_are() {
        let mut memory = vec![0u8; 64 * 4096];
        let start = memory.as_ptr().addr().next_multiple_of(4096);
        let offset = start - memory.as_ptr().addr();
        memory[offset] = black_box(1);
        let own = Pid::new(std::process::id()).unwrap();
        let mut status = [i32::MIN; 2];
        // A kernel without NUMA has no such call.
        match where_are(own, &[start as u64, 4096], &mut status) {
            Ok(()) => assert!(status[0] >= 0 && status[1] < 0, "{status:?}"),
            Err(error) => {
                assert!(matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)), "{error}")
            }
        }
        assert_eq!(memory[offset], 1);
    }
}
