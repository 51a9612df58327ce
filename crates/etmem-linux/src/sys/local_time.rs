//! The time of day in this machine's time zone.

use etmem_core::local_time::LocalTime;
use std::mem::MaybeUninit;
use std::ptr;

/// The time now, in the machine's time zone; `None` if the C library cannot say.
pub(crate) fn now() -> Option<LocalTime> {
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: `time` takes a null pointer; `localtime_r` reads the one number and writes the one structure. It reads
    // the environment (TZ), which nothing in this workspace changes.
    let filled = unsafe {
        let seconds = libc::time(ptr::null_mut());
        libc::localtime_r(&raw const seconds, broken_down.as_mut_ptr())
    };
    if filled.is_null() {
        return None;
    }
    // SAFETY: a pointer other than null says that the structure was written.
    let broken_down = unsafe { broken_down.assume_init() };
    let number = |field: libc::c_int| u8::try_from(field).ok();
    Some(LocalTime {
        year: broken_down.tm_year.checked_add(1900)?,
        month: number(broken_down.tm_mon)?,
        day: number(broken_down.tm_mday)?,
        weekday: number(broken_down.tm_wday)?,
        hour: number(broken_down.tm_hour)?,
        minute: number(broken_down.tm_min)?,
        second: number(broken_down.tm_sec)?,
    })
}
