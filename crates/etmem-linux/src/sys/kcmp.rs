//! Whether two processes share their memory.

use etmem_core::kernel::process::Pid;
use std::cmp::Ordering;
use std::io;

/// Of kcmp(2): compare the address spaces.
const KCMP_VM: libc::c_int = 1;

/// The kernel's order of the address spaces of two processes or threads; equal if they are one (kcmp(2)). Two without any
/// memory are equal, too.
///
/// # Errors
/// What the kernel answers: ENOSYS without `CONFIG_KCMP`, ESRCH for one that is gone.
pub(crate) fn order_of_memory(one: Pid, other: Pid) -> io::Result<Ordering> {
    // SAFETY: a system call on numbers.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one.get(), other.get(), KCMP_VM, 0, 0) };
    match answer {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        3 => Err(io::Error::other("kcmp(2) has no order for them")),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_one_and_that_of_another_process_is_not() {
        let own = Pid::new(std::process::id()).unwrap();
        assert_eq!(order_of_memory(own, own).unwrap(), Ordering::Equal);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Pid::new(child.id()).unwrap();
        let order = order_of_memory(own, other).unwrap();
        assert_ne!(order, Ordering::Equal);
        assert_eq!(order_of_memory(other, own).unwrap(), order.reverse());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(order_of_memory(own, other).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
