//! Lines of `/proc/PID/maps` and `smaps` in, mappings with their names and flags out.
//!
//! `etmem-linux` splits the lines. The list of the daemon has no names, offsets and devices, which this one has.

use crate::failure::Failure;
use etmem_linux::mapping::line::{self, MapsLine};
use std::io::BufRead;

/// A mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Read, write, execute, share.
    pub(crate) stat: [bool; 4],
    pub(crate) offset: u64,
    pub(crate) inode: u64,
    pub(crate) path: Vec<u8>,
    pub(crate) major: Vec<u8>,
    pub(crate) minor: Vec<u8>,
}

impl Listed {
    fn is_anonymous(&self) -> bool {
        self.inode == 0 && !line::is_special(&self.path)
    }

    /// Reads the first line of a mapping; none for other lines.
    fn parse(text: &[u8]) -> Option<Self> {
        let parsed = MapsLine::parse(text)?;
        let colon = parsed.device.iter().position(|&byte| byte == b':')?;
        Some(Self {
            start: parsed.range.start,
            end: parsed.range.end,
            stat: [0, 1, 2, 3].map(|at| parsed.permissions[at] == b"rwxs"[at]),
            offset: line::number(parsed.offset, 16)?,
            inode: parsed.inode,
            path: parsed.name.to_vec(),
            major: parsed.device[..colon].to_vec(),
            minor: parsed.device[colon + 1..].to_vec(),
        })
    }
}

/// Reads a whole list. With `wanted`, the list is `smaps`, and each mapping must have all these flags.
pub(crate) fn read(
    lines: &mut dyn BufRead,
    wanted: &[[u8; 2]],
    anonymous_only: bool,
) -> Result<Vec<Listed>, Failure> {
    let mut out = Vec::new();
    let mut pending = None::<Listed>;
    let mut text = Vec::new();
    let mut number = 0;
    while lines.read_until(b'\n', &mut text)? > 0 {
        number += 1;
        if let Some(set) = line::flags(&text) {
            let has_all = wanted.iter().all(|letters| line::has_flag(set, *letters));
            out.extend(pending.take().filter(|_| has_all));
        } else if wanted.is_empty() || !line::is_detail(&text) {
            let listed = Listed::parse(&text).ok_or(Failure::Line(number))?;
            let listed = Some(listed).filter(|listed| !anonymous_only || listed.is_anonymous());
            if wanted.is_empty() { out.extend(listed) } else { pending = listed }
        }
        text.clear();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAPS: &str = "\
        00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/a b\n\
        00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n\
        7f0000000000-7f0000001000 rw-s 00000000 00:01 77 /dev/zero (deleted)\n\
        7f0000002000-7f0000003000 rw-p 00000000 00:00 0 \n\
        7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0           [vdso]\n";

    fn starts(text: &str, wanted: &[[u8; 2]], anonymous_only: bool) -> Vec<u64> {
        let listed = read(&mut text.as_bytes(), wanted, anonymous_only).unwrap();
        listed.iter().map(|listed| listed.start).collect()
    }

    #[test]
    fn mappings_are_read_with_all_fields() {
        let listed = read(&mut MAPS.as_bytes(), &[], false).unwrap();
        assert_eq!(listed.len(), 5);
        let want = Listed {
            start: 0x40_0000,
            end: 0x45_2000,
            stat: [true, false, true, false],
            offset: 0x1000,
            inode: 173_521,
            path: b"/usr/bin/a b".into(),
            major: b"08".into(),
            minor: b"02".into(),
        };
        assert_eq!(listed[0], want);
        assert_eq!((listed[2].stat, &listed[3].path[..]), ([true, true, false, true], &b""[..]));
        assert_eq!(starts(MAPS, &[], true), [0xe0_3000, 0x7f00_0000_2000]);
    }

    #[test]
    fn mapping_needs_all_wanted_flags() {
        let text = "1000-2000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr mr ht \n\
                    3000-4000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr hg\n\
                    5000-6000 r--p 00000000 08:01 9 /x: y\nRss: 4 kB\nVmFlags: rd ht\n\
                    7000-8000 rw-p 00000000 00:00 0 \nRss: 4 kB\n";
        for (wanted, anonymous_only, want) in [
            (&[*b"rd"][..], false, &[0x1000, 0x3000, 0x5000][..]),
            (&[*b"rd", *b"ht"], false, &[0x1000, 0x5000]),
            (&[*b"ht"], true, &[0x1000]),
            (&[*b"rd", *b"zz"], false, &[]),
            (&[*b"kB"], false, &[]),
        ] {
            assert_eq!(starts(text, wanted, anonymous_only), want);
        }
    }

    #[test]
    fn malformed_line_is_reported_with_its_number() {
        for bad in ["x", "", "1000-2000 rw-p", "2000-1000 rw-p 0 0:0 0 ", "1000-2000 rw- 0 0:0 0 "] {
            let text = format!("1000-2000 rw-p 0 00:00 0 \n{bad}\n");
            assert!(matches!(read(&mut text.as_bytes(), &[], false), Err(Failure::Line(2))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text: Vec<u8>, flagged: bool) {
            let wanted: &[[u8; 2]] = if flagged { &[*b"rd"] } else { &[] };
            if let Ok(listed) = read(&mut &text[..], wanted, false) {
                prop_assert!(listed.iter().all(|listed| listed.start < listed.end));
            }
        }
    }
}
