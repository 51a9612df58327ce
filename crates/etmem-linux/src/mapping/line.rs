//! Lines of `/proc/PID/maps` and `smaps`, taken apart and not yet weighed: what each reader of them has in common.

use etmem_core::address::AddressRange;

/// Names of mappings that the kernel makes for itself in a process (`arch/*/entry/vdso`, `kernel/events/uprobes.c`);
/// `[vvar` and its like stand for all names that begin so.
const SPECIAL: [&[u8]; 6] = [b"[vvar", b"[vdso]", b"[vsyscall]", b"[vectors]", b"[sigpage]", b"[uprobes]"];

/// A mapping's line in either file: `START-END PERMISSIONS OFFSET MAJOR:MINOR INODE NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapsLine<'a> {
    /// Where the mapping lies; never empty.
    pub range: AddressRange,
    /// Such as `rw-p`.
    pub permissions: [u8; 4],
    /// As written, in base 16.
    pub offset: &'a [u8],
    /// As written: two numbers in base 16 and a colon.
    pub device: &'a [u8],
    /// 0 for anonymous memory.
    pub inode: u64,
    /// May be empty.
    pub name: &'a [u8],
}

impl<'a> MapsLine<'a> {
    /// Takes `line` apart; `None` if it is not a mapping's.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |&byte| byte == b' ');
        let mut addresses = fields.next()?.splitn(2, |&byte| byte == b'-');
        let range = AddressRange::new(number(addresses.next()?, 16)?, number(addresses.next()?, 16)?);
        let permissions = fields.next()?.try_into().ok()?;
        let (offset, device) = (fields.next()?, fields.next()?);
        let inode = number(fields.next()?.trim_ascii_end(), 10)?;
        let name = fields.next().unwrap_or_default().trim_ascii();
        (!range.is_empty()).then_some(Self { range, permissions, offset, device, inode, name })
    }
}

/// Whether a mapping called `name` is one that the kernel makes for itself, never to be paged out.
#[must_use]
pub fn is_special(name: &[u8]) -> bool {
    name.first() == Some(&b'[') && SPECIAL.iter().any(|special| name.starts_with(special))
}

/// The number that `text` writes in base `radix`, without a sign.
#[must_use]
pub fn number(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

/// Whether a line of `smaps` is a detail of a mapping, such as `Rss:   4 kB`: a mapping's own line begins with an
/// address, which has no colon.
#[must_use]
pub fn is_detail(line: &[u8]) -> bool {
    line.split(|&byte| byte == b' ').next().is_some_and(|word| word.contains(&b':'))
}

/// What a mapping's last line in `smaps` lists as its flags; `None` for every other line.
#[must_use]
pub fn flags(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"VmFlags:")
}

/// Whether the two `letters` of a flag are among those that [`flags`] gave.
#[must_use]
pub fn has_flag(flags: &[u8], letters: [u8; 2]) -> bool {
    flags.split(u8::is_ascii_whitespace).any(|word| word == letters)
}
