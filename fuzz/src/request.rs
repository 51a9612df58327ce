//! The bytes of a request, however they arrive.

use crate::choice::Choice;
use crate::message;
use etmem_wire::{ErrorKind, Progress, REQUEST_MAX, Request, RequestError, RequestReader, Response};

/// Cuts that are drawn for each input.
const DRAWN_CUTS: usize = 4;

/// One input in this number is cut into single bytes as well, which takes long: each byte is a reading.
const SINGLE_BYTES_ONE_IN: u16 = 8;

/// Panics if a daemon that is sent `bytes` could be led astray.
pub fn check(bytes: &[u8]) {
    let whole = Request::decode(bytes);
    let mut choice = Choice::from_input(bytes);
    if choice.below(SINGLE_BYTES_ONE_IN) == 0 {
        check_single_bytes(bytes, &whole);
    }
    for _ in 0..DRAWN_CUTS {
        let longest = 1 + choice.below(200);
        check_pieces(bytes, &whole, || usize::from(1 + choice.below(longest)));
    }
    match &whole {
        Ok(request) => check_request(request),
        Err(error) => check_error(error),
    }
}

/// Once a reader is settled, it has the answer, and nothing that comes changes it.
fn check_single_bytes(bytes: &[u8], whole: &Result<Request, RequestError>) {
    let mut reader = RequestReader::default();
    let mut settled = false;
    for (at, byte) in bytes.iter().enumerate() {
        let progress = reader.feed(&[*byte]);
        assert!(!settled || progress == Progress::Settled, "unsettled again by byte {at}");
        if progress == Progress::Settled && !settled {
            settled = true;
            assert_eq!(&reader.finish(), whole, "settled too early, by byte {at}");
        }
        if progress == Progress::MayGrow {
            assert!(at < REQUEST_MAX, "waits for more than a request can have");
            assert!(
                !matches!(reader.finish(), Err(RequestError::Truncated(_))),
                "may be whole at byte {at}, and is cut short"
            );
        }
    }
    assert_eq!(&reader.finish(), whole);
}

/// Where the bytes were cut does not matter.
fn check_pieces(bytes: &[u8], whole: &Result<Request, RequestError>, mut size: impl FnMut() -> usize) {
    let mut reader = RequestReader::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(size().min(rest.len()));
        rest = behind;
        if reader.feed(piece) == Progress::Settled {
            break;
        }
    }
    assert_eq!(&reader.finish(), whole, "the cuts make a difference");
}

/// What was read can be said again, by this client and by one that ends its line.
fn check_request(request: &Request) {
    let line = request.encode();
    assert!(line.len() <= REQUEST_MAX, "{} bytes: {line}", line.len());
    message::check_characters(&line);
    for behind in ["", " ", "\0", "\n", "\r\n", " -", "\0proj_name"] {
        assert_eq!(Request::decode(format!("{line}{behind}").as_bytes()).as_ref(), Ok(request), "{behind:?}");
    }
}

/// What is wrong is said in one line, which the protocol can carry.
fn check_error(error: &RequestError) {
    let reason = error.to_string();
    message::check_characters(&reason);
    // A value of a request is repeated whole, and each of its bytes may need as many as "\u{10ffff}" has.
    assert!(reason.len() < 200 + 10 * REQUEST_MAX, "{} bytes: {reason}", reason.len());
    let response = Response::failure(ErrorKind::InvalidParameters, [&reason]);
    assert_eq!(response.text(), format!("error: invalid parameters\n{reason}"));
    let answer = response.encode();
    let ends = answer.iter().filter(|byte| [0xfe, 0xff].contains(*byte)).count();
    assert_eq!((answer.last(), ends), (Some(&0xfe), 1), "{answer:?}");
}
