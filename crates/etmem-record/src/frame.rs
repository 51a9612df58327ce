//! Frames: pieces of a record that are whole or not there. One is appended at once, so a record that was cut off at any moment is whole
//! up to its last frame.
//!
//! ```text
//! frame := kind (1 byte) | length of the payload (4 bytes, little-endian) | checksum of kind and payload (4 bytes) | payload (zstd)
//! ```

use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::{self, Read, Write};

/// Most bytes of a payload once it is decompressed: a look at [`BLOCKS_MAX`](crate::memory::BLOCKS_MAX) blocks of the worst kind.
const PAYLOAD_MAX: u64 = 256 << 20;

/// Bytes before the payload.
const HEAD: usize = 9;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Process,
    Mappings,
    Look,
    Ended,
}

const KINDS: [(Kind, u8); 4] =
    [(Kind::Process, b'P'), (Kind::Mappings, b'M'), (Kind::Look, b'L'), (Kind::Ended, b'E')];

impl Kind {
    fn byte(self) -> u8 {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, byte)| *byte)
    }
}

/// The remainders by the polynomial of CRC-32 (IEEE 802.3), for each byte.
const REMAINDERS: [u32; 256] = {
    let mut table = [0; 256];
    let mut number = 0;
    while number < table.len() {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut remainder = number as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 { 0xedb8_8320 ^ (remainder >> 1) } else { remainder >> 1 };
            bit += 1;
        }
        table[number] = remainder;
        number += 1;
    }
    table
};

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| REMAINDERS[usize::from((sum.to_le_bytes()[0]) ^ byte)] ^ (sum >> 8);
    !payload.iter().fold(step(u32::MAX, &kind), step)
}

/// Appends a frame; returns how many bytes it takes.
pub(crate) fn write(out: &mut impl Write, kind: Kind, payload: &[u8]) -> io::Result<usize> {
    let packed = compress_to_vec(payload, CompressionLevel::Fastest);
    let length = u32::try_from(packed.len()).map_err(|_| io::Error::other("a frame is above 4 GiB"))?;
    let mut frame = Vec::with_capacity(HEAD + packed.len());
    frame.push(kind.byte());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(kind.byte(), &packed).to_le_bytes());
    frame.extend_from_slice(&packed);
    out.write_all(&frame)?;
    out.flush()?;
    Ok(frame.len())
}

/// What comes next in a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Frame(Kind, Vec<u8>),
    End,
    /// No whole frame, for this reason.
    Cut(&'static str),
}

/// Reads a frame.
///
/// # Errors
/// When `input` cannot be read.
pub(crate) fn read(input: &mut impl Read) -> io::Result<Next> {
    let mut head = Vec::with_capacity(HEAD);
    input.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(Next::End);
    }
    let Some((kind, [a, b, c, d, e, f, g, h])) = head.split_first().and_then(|(kind, rest)| {
        let rest: [u8; HEAD - 1] = rest.try_into().ok()?;
        Some((*kind, rest))
    }) else {
        return Ok(Next::Cut("its last frame is cut off"));
    };
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    let mut packed = Vec::new();
    input.by_ref().take(length).read_to_end(&mut packed)?;
    if (packed.len() as u64) < length {
        return Ok(Next::Cut("its last frame is cut off"));
    }
    if checksum(kind, &packed) != u32::from_le_bytes([e, f, g, h]) {
        return Ok(Next::Cut("a frame is damaged: its checksum is wrong"));
    }
    let Some((kind, _)) = KINDS.iter().find(|(_, byte)| *byte == kind) else {
        return Ok(Next::Cut("a frame is of a kind that this version does not know"));
    };
    Ok(unpack(&packed)
        .map_or(Next::Cut("a frame cannot be decompressed"), |payload| Next::Frame(*kind, payload)))
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::new();
    let decoder = StreamingDecoder::new(packed).ok()?;
    decoder.take(PAYLOAD_MAX + 1).read_to_end(&mut payload).ok()?;
    (payload.len() as u64 <= PAYLOAD_MAX).then_some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_other_programs() {
        assert_eq!(checksum(b'1', b"23456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_frame_is_whole_or_not_there() {
        let mut file = Vec::new();
        let payload = b"again and again and again".repeat(9);
        write(&mut file, Kind::Look, &payload).unwrap();
        assert_eq!(read(&mut &file[..]).unwrap(), Next::Frame(Kind::Look, payload));
        assert_eq!(read(&mut &file[..0]).unwrap(), Next::End);
        for length in 1..file.len() {
            assert_eq!(read(&mut &file[..length]).unwrap(), Next::Cut("its last frame is cut off"));
        }
        for byte in [0, 6, HEAD, file.len() - 1] {
            let mut other = file.clone();
            other[byte] ^= 1;
            assert!(matches!(read(&mut &other[..]).unwrap(), Next::Cut(why) if why.contains("damaged")));
        }
    }
}
