//! Fields of bytes, as one frame on a stream: its length, then each field with its own.

use std::io::{self, Read, Write};

/// Many times the largest configuration file.
const LONGEST: u32 = 256 << 20;

/// Writes `fields` as one frame.
pub(crate) fn write(stream: &mut impl Write, fields: &[Vec<u8>]) -> io::Result<()> {
    let mut body = Vec::new();
    for field in fields {
        body.extend(length(field)?.to_ne_bytes());
        body.extend(field);
    }
    let mut frame = length(&body)?.to_ne_bytes().to_vec();
    frame.append(&mut body);
    stream.write_all(&frame)
}

fn length(bytes: &[u8]) -> io::Result<u32> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LONGEST);
    length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message is too long"))
}

/// Reads a frame; none at the end of the stream.
pub(crate) fn read(stream: &mut impl Read) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..])?;
    let length = u32::from_ne_bytes(length);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let mut body = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    fields(&body).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no message"))
}

fn fields(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut fields = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(usize::try_from(u32::from_ne_bytes(*length)).ok()?)?;
        fields.push(field.to_vec());
        body = rest;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(frames: Vec<Vec<Vec<u8>>>) {
            let mut stream = Vec::new();
            frames.iter().for_each(|fields| write(&mut stream, fields).unwrap());
            let mut stream = &stream[..];
            for fields in frames {
                prop_assert_eq!(read(&mut stream).unwrap(), Some(fields));
            }
            prop_assert_eq!(read(&mut stream).unwrap(), None);
        }

        #[test]
        fn nonsense_is_an_error_at_most(bytes: Vec<u8>) {
            let mut stream = &bytes[..];
            while let Ok(Some(_)) = read(&mut stream) {}
        }
    }
}
