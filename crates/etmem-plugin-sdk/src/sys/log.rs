//! A line for the administrator: to syslog, as the scan library does, or to standard error if the daemon logs there.
#![expect(unsafe_code, reason = "syslog(3)")]

use std::env;
use std::ffi::CString;

/// The environment variable that says where the daemon logs.
const LOG_PLACE: &str = "ETMEMD_LOG";

/// Logs `text` as one line, where the daemon logs.
pub fn log(text: &str) {
    let line = format!("policy: {}", text.replace(char::is_control, "\u{fffd}"));
    if env::var_os(LOG_PLACE).is_some_and(|place| place == "stderr") {
        eprintln!("{line}");
    } else if let Ok(line) = CString::new(line) {
        // SAFETY: both are strings that end in zero, and the format takes exactly one.
        unsafe { libc::syslog(libc::LOG_DAEMON | libc::LOG_WARNING, c"%s".as_ptr(), line.as_ptr()) };
    }
}
