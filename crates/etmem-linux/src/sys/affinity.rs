//! Which processors the calling thread may run on (sched_setaffinity(2)).

use std::io;

/// Words of 64 processors: 8192 of them, the most that Linux is built for (`NR_CPUS`, x86-64).
const WORDS: usize = 128;

/// A set of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessorSet([u64; WORDS]);

impl ProcessorSet {
    /// Those with these numbers; numbers beyond what Linux knows are left out.
    pub(crate) fn of(numbers: impl IntoIterator<Item = usize>) -> Self {
        let mut words = [0; WORDS];
        for number in numbers {
            if let Some(word) = words.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
        Self(words)
    }

    /// Those that the calling thread may run on.
    ///
    /// # Errors
    /// What sched_getaffinity(2) answers.
    pub(crate) fn allowed() -> io::Result<Self> {
        let mut words = [0; WORDS];
        // SAFETY: the kernel writes at most as many bytes as the call names, from the pointer on.
        let answer =
            unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&words), words.as_mut_ptr()) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(words)) }
    }

    /// Lets the calling thread run on these alone.
    ///
    /// # Errors
    /// What sched_setaffinity(2) answers: EINVAL where none of them is there.
    pub(crate) fn allow(&self) -> io::Result<()> {
        // SAFETY: the kernel reads as many bytes as the call names, from the pointer on.
        let answer =
            unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&self.0), self.0.as_ptr()) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_and_put_back() {
        let before = ProcessorSet::allowed().unwrap();
        let first = (0..64 * WORDS).find(|number| before.0[number / 64] >> (number % 64) & 1 == 1).unwrap();
        let one = ProcessorSet::of([first]);
        one.allow().unwrap();
        assert_eq!(ProcessorSet::allowed().unwrap(), one);
        before.allow().unwrap();
        assert_eq!(ProcessorSet::allowed().unwrap(), before);
        assert!(ProcessorSet::of([]).allow().is_err());
        assert_eq!(ProcessorSet::of([usize::MAX]), ProcessorSet::of([]));
    }
}
