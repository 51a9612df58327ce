//! Files of lines like `VmRSS:     1234 kB`: `/proc/meminfo` and `/proc/PID/status`.

/// The figure called `name` in `text`, in bytes; `None` if there is no such line or it is not in kB.
pub(crate) fn bytes_of(text: &[u8], name: &str) -> Option<u64> {
    let line = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b":")))?;
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.trim().strip_suffix("kB")?.trim_end();
    digits.parse::<u64>().ok()?.checked_mul(1024)
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
