//! Messages on a stream, each after its length.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};

/// Far more than the largest configuration file.
const LONGEST: u32 = 256 << 20;

/// Writes `message`.
pub(super) fn write(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= LONGEST);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message is too long"))?;
    stream.write_all(&[&length.to_ne_bytes()[..], &body].concat())
}

/// Reads a message; none at the end of the stream.
pub(super) fn read<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
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
    let message = postcard::from_bytes(&body);
    message.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::super::message::{Numbered, Reply, Request};
    use super::*;
    use etmem_config::FaultClass;
    use etmem_engine::Refusal;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let limit = Duration::from_micros(7_000_001);
        let (task, command) = (Some("t".to_owned()), "ž".to_owned());
        let requests = [
            (1, Request::Start { task: "t".into(), processes: vec![(7, u64::MAX), (9, 0)], limit }),
            (0, Request::Runs { runs: true }),
            (0, Request::Close),
            (u64::MAX, Request::Ask { task, command }),
        ];
        let mut stream = Vec::new();
        requests.iter().for_each(|request| write(&mut stream, request).unwrap());
        let mut stream = &stream[..];
        for request in requests {
            assert_eq!(read::<Numbered>(&mut stream).unwrap(), Some(request));
        }
        assert_eq!(read::<Numbered>(&mut stream).unwrap(), None);
    }

    #[test]
    fn replies_keep_the_class_of_a_refusal() {
        let refusal = |class| Err(Refusal { reason: "no".to_owned(), class });
        let results = [
            Ok(None),
            Ok(Some("x\n".to_owned())),
            refusal(FaultClass::Internal),
            refusal(FaultClass::InvalidParameters),
        ];
        for result in results {
            let mut stream = Vec::new();
            write(&mut stream, &Reply::new(3, result.clone())).unwrap();
            let reply: Reply = read(&mut &stream[..]).unwrap().unwrap();
            assert_eq!((reply.number, reply.into_result()), (3, result));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_at_most(bytes: Vec<u8>) {
            let mut stream = &bytes[..];
            while let Ok(Some(_)) = read::<Numbered>(&mut stream) {}
        }

        #[test]
        fn any_body_is_an_error_at_most(body: Vec<u8>) {
            let length = u32::try_from(body.len()).unwrap();
            let stream = [&length.to_ne_bytes()[..], &body].concat();
            let _ = read::<Numbered>(&mut &stream[..]);
            let _ = read::<Reply>(&mut &stream[..]);
        }
    }
}
