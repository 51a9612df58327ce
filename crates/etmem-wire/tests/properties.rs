//! What holds for any request and any bytes.

use etmem_core::name::Name;
use etmem_wire::{
    CommandWord, ErrorKind, FilePath, MetricsForm, Progress, ProjectFilePath, REQUEST_MAX, Request,
    RequestReader, Response, Status, StrictFilePath, TaskForm, response_part,
};
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Name> {
    "[!-,.-~][!-~]{0,63}".prop_map(|text| Name::new(&text).expect("a name"))
}

fn request() -> impl Strategy<Value = Request> {
    let path = || "[^- \\pC][^ \\pC]{0,80}";
    let file = || path().prop_map(|text| FilePath::new(&text).expect("a path"));
    let strict_file = || path().prop_map(|text| StrictFilePath::new(&text).expect("a path"));
    let project_file = path().prop_map(|text| ProjectFilePath::new(&text).expect("a path"));
    let command = "[^- \\pC][^ \\pC]{0,60}".prop_map(|text| CommandWord::new(&text).expect("a word"));
    prop_oneof![
        file().prop_map(Request::ObjAdd),
        strict_file().prop_map(Request::ObjAddStrict),
        strict_file().prop_map(Request::ObjAddKeep),
        strict_file().prop_map(Request::ObjDiff),
        Just(Request::Reload),
        file().prop_map(Request::ObjDel),
        (name(), project_file).prop_map(|(name, file)| Request::ProjectAdd { name, file }),
        name().prop_map(Request::ProjectDel),
        name().prop_map(Request::ProjectStart),
        name().prop_map(Request::ProjectStop),
        (prop::option::of(name()), any::<bool>())
            .prop_map(|(name, verbose)| Request::ProjectShow { name, verbose }),
        (name(), prop::option::of(name()), any::<bool>()).prop_map(|(project, task, json)| {
            let form = if json { TaskForm::Json } else { TaskForm::Text };
            Request::TaskShow { project, task, form }
        }),
        prop_oneof![Just(MetricsForm::OpenMetrics), Just(MetricsForm::Prometheus)].prop_map(Request::Metrics),
        (name(), name(), command, prop::option::of(name())).prop_map(|(project, engine, command, task)| {
            Request::Engine { project, engine, command, task }
        }),
    ]
}

/// Bytes that look like a request, more or less: random ones alone would never get past the first key.
fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..600);
    let tail = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..4), noise.clone()];
    let value = "[-a \\n\\x00]{0,3}|-|[a-z]{1,70}|[a-z]{300,320}|é|[0-9]";
    let line = (value, value, "[0-7]|-|x", value, value, value).prop_map(|(p, f, c, e, w, t)| {
        format!("proj_name {p} file_name {f} cmd {c} eng_name {e} eng_cmd {w} task_name {t}").into_bytes()
    });
    let sound = request().prop_map(|request| request.encode().into_bytes());
    let joined = (prop_oneof![line, sound], tail).prop_map(|(line, tail)| [line, tail].concat());
    let cut = (joined, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut bytes, index, cut)| {
        if cut {
            bytes.truncate(index.index(bytes.len() + 1));
        }
        bytes
    });
    prop_oneof![1 => noise, 9 => cut]
}

/// `bytes` in pieces of the given sizes, in turn.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(*size));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #[test]
    fn a_request_survives_the_wire(request in request()) {
        let line = request.encode();
        prop_assert!(line.len() <= REQUEST_MAX);
        prop_assert_eq!(Request::decode(line.as_bytes()), Ok(request));
    }

    #[test]
    fn segments_do_not_matter(bytes in nearly_a_request(), sizes in prop::collection::vec(1_usize..200, 1..8)) {
        let mut reader = RequestReader::default();
        for piece in pieces(&bytes, &sizes) {
            if reader.feed(piece) == Progress::Settled {
                break;
            }
        }
        prop_assert_eq!(reader.finish(), Request::decode(&bytes));
    }

    #[test]
    fn no_request_is_taken_before_its_last_byte(request in request(), end in any::<prop::sample::Index>()) {
        let line = request.encode();
        let end = end.index(line.len());
        let mut reader = RequestReader::default();
        let progress = reader.feed(&line.as_bytes()[..end]);
        let task = line.rfind("task_name ").unwrap() + "task_name ".len();
        prop_assert_eq!(progress, if end > task { Progress::MayGrow } else { Progress::Incomplete });
    }

    #[test]
    fn an_answer_survives_the_wire(
        text in any::<String>(),
        kind in prop::option::of(Just(ErrorKind::Internal)),
        sizes in prop::collection::vec(1_usize..20, 1..8),
    ) {
        let response = match kind {
            Some(kind) => Response::failure(kind, [&text]),
            None => Response::success(&text),
        };
        let bytes = response.clone().encode();
        let mut received = Vec::new();
        let mut end = None;
        for piece in pieces(&bytes, &sizes) {
            prop_assert_eq!(end, None, "nothing follows the final byte");
            let (text, status) = response_part(piece);
            received.extend_from_slice(text);
            end = status;
        }
        prop_assert_eq!(received, response.text().as_bytes());
        prop_assert_eq!(end, Some(if kind.is_some() { Status::Failure } else { Status::Success }));
        prop_assert!(!response.text().contains('\0'));
    }
}
