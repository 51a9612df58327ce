//! Lines of `/proc/PID/maps` and `smaps` in, mappings with their names and flags out.
//!
//! `etmem-linux` has a reader of its own, for the daemon, which has no use for names, offsets and devices.

use crate::failure::Failure;
use std::io::BufRead;

/// Names of mappings that the kernel makes for itself: without an inode, and no anonymous memory.
const SPECIAL: [&[u8]; 6] = [b"[vvar", b"[vdso]", b"[vsyscall]", b"[vectors]", b"[sigpage]", b"[uprobes]"];

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
        self.inode == 0 && !SPECIAL.iter().any(|name| self.path.starts_with(name))
    }

    /// A line of `maps`: `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE NAME`; none for other lines.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let (start, end) = split_at_byte(fields.next()?, b'-')?;
        let permissions: &[u8; 4] = fields.next()?.try_into().ok()?;
        let offset = number(fields.next()?, 16)?;
        let (major, minor) = split_at_byte(fields.next()?, b':')?;
        let inode = number(fields.next()?.trim_ascii_end(), 10)?;
        let listed = Self {
            start: number(start, 16)?,
            end: number(end, 16)?,
            stat: [0, 1, 2, 3].map(|at| permissions[at] == b"rwxs"[at]),
            offset,
            inode,
            path: fields.next().unwrap_or_default().trim_ascii().to_vec(),
            major: major.to_vec(),
            minor: minor.to_vec(),
        };
        (listed.start < listed.end).then_some(listed)
    }
}

fn split_at_byte(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

fn number(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &byte| {
        sum.checked_mul(radix.into())?.checked_add(char::from(byte).to_digit(radix)?.into())
    })
}

/// The flags of a mapping's last line in `smaps`; none for every other line.
fn flags(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"VmFlags:")
}

/// A line `Name: value` of `smaps`.
fn is_detail(line: &[u8]) -> bool {
    line.iter().position(|&byte| byte == b':').is_some_and(|at| !line[..at].contains(&b' '))
}

/// Reads a list whole. With `wanted`, it is that of `smaps`, and a mapping has to have every one of these flags.
pub(crate) fn read(
    lines: &mut dyn BufRead,
    wanted: &[[u8; 2]],
    anonymous_only: bool,
) -> Result<Vec<Listed>, Failure> {
    let mut out = Vec::new();
    let mut pending = None::<Listed>;
    let mut line = Vec::new();
    let mut number = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if let Some(set) = flags(&line) {
            let has = |flag: &[u8; 2]| set.split(u8::is_ascii_whitespace).any(|word| word == flag);
            out.extend(pending.take().filter(|_| wanted.iter().all(has)));
        } else if wanted.is_empty() || !is_detail(&line) {
            let listed = Listed::parse(&line).ok_or(Failure::Line(number))?;
            let listed = Some(listed).filter(|listed| !anonymous_only || listed.is_anonymous());
            if wanted.is_empty() { out.extend(listed) } else { pending = listed }
        }
        line.clear();
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
    fn maps() {
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
    fn flags_have_to_be_there_all() {
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
    fn nonsense_is_told_with_its_line() {
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
