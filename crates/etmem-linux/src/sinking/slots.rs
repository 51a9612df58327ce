//! `block_state` of a zram device: a line for each slot that is in use, with the time of its last access and its flags
//! (`read_block_state`, drivers/block/zram/zram_drv.c).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a read: the kernel makes as many whole lines as fit.
const READ_BYTES: usize = 256 << 10;

/// A slot that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its number: the offset of the page in the device, in pages.
    pub(crate) number: u32,
    /// When its page was written or read last, in microseconds since the machine was started.
    pub(crate) touched: u64,
    /// The page is one repeated value, and takes no memory.
    pub(crate) same: bool,
    /// The page is on the disk behind the device.
    pub(crate) on_disk: bool,
}

impl Slot {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (number, time, flags) = (words.next()?, words.next()?, words.next()?);
        let (seconds, fraction) = match time.iter().position(|byte| *byte == b'.') {
            Some(point) => (&time[..point], &time[point + 1..]),
            // Of kernels that know it by the second.
            None => (time, &b"0"[..]),
        };
        let touched = decimal(seconds)?.checked_mul(1_000_000)?.checked_add(decimal(fraction)?)?;
        let has = |flag| flags.contains(&flag);
        Some(Self {
            number: u32::try_from(decimal(number)?).ok()?,
            touched,
            same: has(b's'),
            on_disk: has(b'w'),
        })
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// Calls `see` for each slot of the list at `path`; lines that are no slots are left out.
///
/// # Errors
/// What the kernel answers.
pub(crate) fn each(path: &Path, mut see: impl FnMut(Slot)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut text = vec![0; READ_BYTES];
    let mut length = 0;
    loop {
        let read = match file.read(&mut text[length..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        length += read;
        let end = match text[..length].iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            // The rest without a newline, or a line that no kernel writes.
            None if read == 0 || length == text.len() => length,
            None => continue,
        };
        text[..end].split(|byte| *byte == b'\n').filter_map(Slot::parse).for_each(&mut see);
        text.copy_within(end..length, 0);
        length -= end;
        if read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn lines_as_kernels_write_them() {
        let slot = |number, touched, same, on_disk| Some(Slot { number, touched, same, on_disk });
        for (line, want) in [
            // Linux 6.12.
            (&b"           7           75.033841 .w...."[..], slot(7, 75_033_841, false, true)),
            (b"         300           63.806904 s.....", slot(300, 63_806_904, true, false)),
            (b"  4294967295  1000000.000001 ..hi..", slot(u32::MAX, 1_000_000_000_001, false, false)),
            (b"1 5 ......", slot(1, 5_000_000, false, false)),
            (b"", None),
            (b"1 2", None),
            (b"x 1.0 ...", None),
            (b"1 1.x ...", None),
            (b"1 . ...", None),
            (b"4294967296 1.0 ...", None),
            (b"1 99999999999999999999.0 ...", None),
        ] {
            assert_eq!(Slot::parse(line), want, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_list_of_any_length_is_read_to_its_end() {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join("block_state");
        for (slots, newline) in [(0, ""), (1, ""), (1, "\n"), (30_000, "\n"), (30_001, "")] {
            let mut text = String::new();
            for number in 0..slots {
                let end = if number + 1 == slots { newline } else { "\n" };
                write!(text, "{number:12} {:12}.{:06} ......{end}", number / 7, number % 7).unwrap();
            }
            std::fs::write(&path, text).unwrap();
            let mut seen = Vec::new();
            each(&path, |slot| seen.push(slot)).unwrap();
            let want = (0..slots).map(|number: u32| Slot {
                number,
                touched: u64::from(number / 7) * 1_000_000 + u64::from(number % 7),
                same: false,
                on_disk: false,
            });
            assert_eq!(seen, want.collect::<Vec<_>>());
        }
        std::fs::write(&path, vec![b'x'; 3 * READ_BYTES]).unwrap();
        each(&path, |slot| panic!("{slot:?}")).unwrap();
        assert!(each(&tree.path().join("none"), |_| ()).is_err());
    }
}
