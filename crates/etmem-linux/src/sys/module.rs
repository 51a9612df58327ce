//! ioctls of the files that openEuler's modules etmem_scan and etmem_swap serve (`fs/proc/etmem_scan.h`,
//! `fs/proc/etmem_swap.c`). Each takes a pointer to a number of 32 bits.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const SCAN: u32 = 0x66;
const SWAP: u32 = 0x77;

/// `/proc/PID/idle_pages`: scan flags and flags of mappings, set and taken back.
pub(crate) const ADD_SCAN_FLAGS: libc::Ioctl = libc::_IOW::<u32>(SCAN, 0);
pub(crate) const REMOVE_SCAN_FLAGS: libc::Ioctl = libc::_IOW::<u32>(SCAN, 1);
pub(crate) const ADD_MAPPING_FLAGS: libc::Ioctl = libc::_IOW::<u32>(SCAN, 2);
pub(crate) const REMOVE_MAPPING_FLAGS: libc::Ioctl = libc::_IOW::<u32>(SCAN, 3);

/// `/proc/PID/swap_pages`: the swap cache of the machine.
pub(crate) const RECLAIM_OFF: libc::Ioctl = libc::_IOW::<u32>(SWAP, 0);
pub(crate) const RECLAIM_NOW: libc::Ioctl = libc::_IOW::<u32>(SWAP, 1);
pub(crate) const SET_WATERMARKS: libc::Ioctl = libc::_IOW::<u32>(SWAP, 2);

/// One of the requests above, with `number` as its argument.
///
/// # Errors
/// What the kernel answers: ENOTTY where it has no such request.
pub(crate) fn request(file: &File, request: libc::Ioctl, number: u32) -> io::Result<()> {
    // SAFETY: every request of this module only reads a number of 32 bits, which lives until the call returns. A file
    // that is not the module's answers ENOTTY: the type and size of the argument are part of the request's number.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_ref(&number)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_kernel_has_them() {
        for (request, want) in [
            (ADD_SCAN_FLAGS, 0x4004_6600),
            (REMOVE_SCAN_FLAGS, 0x4004_6601),
            (ADD_MAPPING_FLAGS, 0x4004_6602),
            (REMOVE_MAPPING_FLAGS, 0x4004_6603),
            (RECLAIM_OFF, 0x4004_7700),
            (RECLAIM_NOW, 0x4004_7701),
            (SET_WATERMARKS, 0x4004_7702),
        ] {
            assert_eq!(request, want);
        }
    }

    #[test]
    fn a_file_without_them() {
        let file = tempfile::tempfile().unwrap();
        let error = request(&file, ADD_SCAN_FLAGS, 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
