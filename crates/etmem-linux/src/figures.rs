//! Figures in files of the kernel: lines like `VmRSS:     1234 kB` (`/proc/meminfo`, `/proc/PID/status`), counters (`/proc/vmstat`), and
//! what is swap (`/proc/swaps`).

/// The figure called `name` in `text`, in bytes; `None` if there is no such line or it is not in kB.
pub(crate) fn bytes_of(text: &[u8], name: &str) -> Option<u64> {
    let line = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":")))?;
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.trim().strip_suffix("kB")?.trim_end();
    digits.parse::<u64>().ok()?.checked_mul(1024)
}

/// Lines of a name and a number, such as those of `/proc/vmstat`; others are left out.
pub(crate) fn counters(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((name, number.trim().parse().ok()?))
    })
}

/// The counter called `name` of `text`.
pub(crate) fn counter(text: &str, name: &str) -> Option<u64> {
    counters(text).find(|(found, _)| *found == name).map(|(_, number)| number)
}

/// A device or file of `/proc/swaps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SwapDevice<'a> {
    /// Its name below `/dev`, or its path, as the kernel escapes it.
    pub(crate) name: &'a str,
    /// Bytes that fit in it, as far as the line is as expected.
    pub(crate) size: Option<u64>,
    /// Bytes that are in use.
    pub(crate) used: Option<u64>,
    /// Pages go to the device of the highest priority that has room.
    pub(crate) priority: Option<i32>,
}

/// The devices and files by `text`, what `/proc/swaps` says.
pub(crate) fn swap_devices(text: &str) -> impl Iterator<Item = SwapDevice<'_>> {
    text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let path = words.next()?;
        let mut words = words.skip(1);
        let bytes = |kib: Option<&str>| kib?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024));
        let (size, used) = (bytes(words.next()), bytes(words.next()));
        let priority = words.next().and_then(|number| number.parse().ok());
        Some(SwapDevice { name: path.strip_prefix("/dev/").unwrap_or(path), size, used, priority })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = b"Name:\t\xff\nVmRSSx:\t  1 kB\nVmRSS:\t  1234 kB\nVmSwap:\t       0 kB\nThreads:\t1\n\
            Huge: 18446744073709551615 kB\nBad: x kB\n";
        assert_eq!(bytes_of(text, "VmRSS"), Some(1234 * 1024));
        assert_eq!(bytes_of(text, "VmSwap"), Some(0));
        for missing in ["VmSize", "Threads", "Huge", "Bad", "Vm", "Name"] {
            assert_eq!(bytes_of(text, missing), None, "{missing}");
        }
    }
}
