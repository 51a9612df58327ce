//! The wire to the byte, as the original's programs speak it.

use etmem_core::name::{Name, NameError};
use etmem_wire::{
    CommandWord, ErrorKind, FilePath, Key, MetricsForm, Progress, ProjectFilePath, Request, RequestError,
    RequestReader, Response, ShownEngine, ShownProject, ShownTask, Status, StrictFilePath, TaskForm,
    WordError, project_show, response_part,
};

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn engine(task: Option<&str>) -> Request {
    Request::Engine {
        project: name("test"),
        engine: name("cslide"),
        command: CommandWord::new("showtaskpages").expect("a word"),
        task: task.map(name),
    }
}

fn tasks() -> Request {
    Request::TaskShow { project: name("test"), task: Some(name("bg")), form: TaskForm::Json }
}

fn requests() -> Vec<(Request, &'static str)> {
    let file = || FilePath::new("/etc/etmem/slide.yaml").expect("a path");
    vec![
        (
            Request::ObjAdd(file()),
            "proj_name - file_name /etc/etmem/slide.yaml cmd 0 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ObjDel(file()),
            "proj_name - file_name /etc/etmem/slide.yaml cmd 1 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ObjAddStrict(StrictFilePath::new("/f").expect("a path")),
            "proj_name - file_name /f cmd 0 eng_name - eng_cmd strict task_name -",
        ),
        (
            Request::ObjAddKeep(StrictFilePath::new("/f").expect("a path")),
            "proj_name - file_name /f cmd 0 eng_name - eng_cmd keep task_name -",
        ),
        (
            Request::ObjDiff(StrictFilePath::new("/f").expect("a path")),
            "proj_name - file_name /f cmd 0 eng_name - eng_cmd diff task_name -",
        ),
        (Request::Reload, "proj_name - file_name - cmd 0 eng_name - eng_cmd reload task_name -"),
        (
            Request::ProjectAdd { name: name("test"), file: ProjectFilePath::new("/f").expect("a path") },
            "proj_name test file_name /f cmd 0 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectDel(name("test")),
            "proj_name test file_name - cmd 1 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectStart(name("test")),
            "proj_name test file_name - cmd 2 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectStop(name("test")),
            "proj_name test file_name - cmd 3 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectShow { name: None, verbose: false },
            "proj_name - file_name - cmd 4 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectShow { name: Some(name("test")), verbose: false },
            "proj_name test file_name - cmd 4 eng_name - eng_cmd - task_name -",
        ),
        (
            Request::ProjectShow { name: Some(name("test")), verbose: true },
            "proj_name test file_name - cmd 4 eng_name - eng_cmd verbose task_name -",
        ),
        (
            Request::TaskShow { project: name("test"), task: None, form: TaskForm::Text },
            "proj_name test file_name - cmd 4 eng_name - eng_cmd tasks task_name -",
        ),
        (tasks(), "proj_name test file_name - cmd 4 eng_name - eng_cmd tasks-json task_name bg"),
        (
            Request::Metrics(MetricsForm::OpenMetrics),
            "proj_name - file_name - cmd 4 eng_name - eng_cmd metrics task_name -",
        ),
        (
            Request::Metrics(MetricsForm::Prometheus),
            "proj_name - file_name - cmd 4 eng_name - eng_cmd metrics-prometheus task_name -",
        ),
        (engine(None), "proj_name test file_name - cmd 5 eng_name cslide eng_cmd showtaskpages task_name -"),
        (
            engine(Some("bg")),
            "proj_name test file_name - cmd 5 eng_name cslide eng_cmd showtaskpages task_name bg",
        ),
    ]
}

#[test]
fn every_request() {
    for (request, line) in requests() {
        assert_eq!(request.encode(), line);
        assert_eq!(Request::decode(line.as_bytes()), Ok(request), "{line}");
    }
}

#[test]
fn what_follows_the_line_is_ignored() {
    for (request, line) in requests() {
        for tail in ["\n", "\r\n", "\0", "\0\0garbage", " ", " x", &" ".repeat(600)] {
            let bytes = format!("{line}{tail}");
            assert_eq!(Request::decode(bytes.as_bytes()), Ok(request.clone()), "{bytes:?}");
        }
    }
}

#[test]
fn values_that_begin_with_a_dash_are_absent() {
    let line = b"proj_name -x file_name --- cmd 4 eng_name -1 eng_cmd -- task_name -gone";
    assert_eq!(Request::decode(line), Ok(Request::ProjectShow { name: None, verbose: false }));
}

#[test]
fn values_that_are_not_needed_are_not_looked_at() {
    let line = b"proj_name - file_name /f cmd 00 eng_name a\nb eng_cmd \xff task_name \x01";
    assert_eq!(Request::decode(line), Ok(Request::ObjAdd(FilePath::new("/f").unwrap())));
    let line = b"proj_name \xff file_name /f cmd 1 eng_name a\nb eng_cmd strict task_name \x01";
    assert_eq!(Request::decode(line), Ok(Request::ObjDel(FilePath::new("/f").unwrap())));
}

#[test]
fn only_a_task_may_grow() {
    for (request, line) in requests() {
        let mut reader = RequestReader::default();
        let (most, last) = line.as_bytes().split_at(line.len() - 1);
        for byte in most {
            assert_ne!(reader.feed(&[*byte]), Progress::Settled);
        }
        let may_grow = [engine(Some("bg")), tasks()].contains(&request);
        let want = if may_grow { Progress::MayGrow } else { Progress::Settled };
        assert_eq!(reader.feed(last), want, "{line}");
        assert_eq!(reader.feed(b"\n"), Progress::Settled, "{line}");
        assert_eq!(reader.finish(), Ok(request));
    }
}

#[test]
fn a_request_has_at_most_512_bytes() {
    let line = |bytes| {
        let frame = "proj_name p file_name - cmd 5 eng_name e eng_cmd  task_name bg".len();
        format!("proj_name p file_name - cmd 5 eng_name e eng_cmd {} task_name bg", "c".repeat(bytes - frame))
    };
    let too_long_a_word = |result| {
        matches!(
            result,
            Err(RequestError::Word { key: Key::EngineCommand, source: WordError::TooLong { .. }, .. })
        )
    };
    assert!(too_long_a_word(Request::decode(line(512).as_bytes())));
    assert!(too_long_a_word(Request::decode(format!("{}\n", line(512)).as_bytes())));
    assert_eq!(Request::decode(line(513).as_bytes()), Err(RequestError::TooLong));

    let mut reader = RequestReader::default();
    assert_eq!(reader.feed(line(512).as_bytes()), Progress::MayGrow);
    assert_eq!(reader.feed(b"x"), Progress::Settled);
    assert_eq!(reader.finish(), Err(RequestError::TooLong));

    let mut reader = RequestReader::default();
    assert_eq!(reader.feed(&line(520).as_bytes()[..511]), Progress::Incomplete);
    assert_eq!(
        reader.feed(&line(520).as_bytes()[511..512]),
        Progress::Settled,
        "no room is left for the task"
    );
    assert_eq!(reader.finish(), Err(RequestError::TooLong));
}

#[test]
fn what_is_wrong_is_said() {
    let rule = "a request is \"proj_name V file_name V cmd N eng_name V eng_cmd V task_name V\"";
    for (line, error, text) in [
        (
            "GET / HTTP/1.1",
            RequestError::WrongKey { key: Key::Project, at: 0 },
            format!("the request does not have the key proj_name at byte 0; {rule}"),
        ),
        (
            "proj_name a  file_name -",
            RequestError::WrongKey { key: Key::File, at: 12 },
            format!("the request does not have the key file_name at byte 12; {rule}"),
        ),
        (
            "proj_name a file_name - cmd 2 eng_cmd - eng_name - task_name -",
            RequestError::WrongKey { key: Key::Engine, at: 30 },
            format!("the request does not have the key eng_name at byte 30; {rule}"),
        ),
        (
            "proj_name  file_name -",
            RequestError::Empty(Key::Project),
            "the request has no value behind proj_name; an absent value is written '-'".to_owned(),
        ),
        (
            "proj_name a file_name - cmd 2 eng_name - eng_cmd - task_name \n",
            RequestError::Empty(Key::Task),
            "the request has no value behind task_name; an absent value is written '-'".to_owned(),
        ),
        (
            "",
            RequestError::Truncated(Key::Project),
            "the request ends before the value of proj_name does".to_owned(),
        ),
        (
            "proj_name a file_name - cmd 2 eng_name - eng_cmd - task_name ",
            RequestError::Truncated(Key::Task),
            "the request ends before the value of task_name does".to_owned(),
        ),
        (
            "proj_name a file_name - cmd 6 eng_name - eng_cmd - task_name -",
            RequestError::UnknownCommand("6".to_owned()),
            "cmd is \"6\"; it is a number from 0 to 5".to_owned(),
        ),
        (
            "proj_name a file_name - cmd - eng_name - eng_cmd - task_name -",
            RequestError::UnknownCommand("-".to_owned()),
            "cmd is \"-\"; it is a number from 0 to 5".to_owned(),
        ),
        (
            "proj_name - file_name - cmd 2 eng_name - eng_cmd - task_name -",
            RequestError::Missing { key: Key::Project, words: "project start" },
            "proj_name is absent, and \"project start\" needs it".to_owned(),
        ),
        (
            "proj_name - file_name - cmd 1 eng_name - eng_cmd - task_name -",
            RequestError::Missing { key: Key::File, words: "obj del" },
            "file_name is absent, and \"obj del\" needs it".to_owned(),
        ),
        (
            "proj_name a file_name - cmd 0 eng_name - eng_cmd - task_name -",
            RequestError::Missing { key: Key::File, words: "obj add" },
            "file_name is absent, and \"obj add\" needs it".to_owned(),
        ),
        (
            "proj_name a\nb file_name - cmd 4 eng_name - eng_cmd - task_name -",
            RequestError::Name {
                key: Key::Project,
                value: "a\nb".to_owned(),
                source: NameError::Character('\n'),
            },
            "proj_name \"a\\nb\" has the character '\\n'; a name is printable ASCII without spaces".to_owned(),
        ),
        (
            "proj_name - file_name /\u{7} cmd 0 eng_name - eng_cmd - task_name -",
            RequestError::Word {
                key: Key::File,
                value: "/\u{7}".to_owned(),
                source: WordError::Character('\u{7}'),
            },
            "file_name \"/\\u{7}\" has the character '\\u{7}'; the protocol carries no spaces and no control \
             characters"
                .to_owned(),
        ),
    ] {
        assert_eq!(Request::decode(line.as_bytes()), Err(error.clone()), "{line:?}");
        assert_eq!(error.to_string(), text);
    }
    let not_utf8 = b"proj_name - file_name /\xff cmd 1 eng_name - eng_cmd - task_name -";
    assert_eq!(Request::decode(not_utf8).unwrap_err().to_string(), "file_name \"/\u{fffd}\" is not UTF-8");
}

#[test]
fn every_result() {
    for (kind, bytes) in [
        (ErrorKind::InvalidParameters, &b"error: invalid parameters\xfe"[..]),
        (ErrorKind::ProjectExists, b"error: project has been existed\xfe"),
        (ErrorKind::NoSuchProject, b"error: project is not exist\xfe"),
        (ErrorKind::ProjectStarted, b"error: project has been started\xfe"),
        (ErrorKind::ProjectStopped, b"error: project has been stopped\xfe"),
        (ErrorKind::EngineExists, b"error: engine has been existed\xfe"),
        (ErrorKind::NoSuchEngine, b"error: engine is not exist\xfe"),
        (ErrorKind::TaskExists, b"error: task has been existed\xfe"),
        (ErrorKind::NoSuchTask, b"error: task is not exist\xfe"),
        (ErrorKind::Internal, b"error: etmemd has internal error, see reason details in messages\xfe"),
    ] {
        assert_eq!(Response::failure(kind, [""; 0]).encode(), bytes);
    }
    assert_eq!(Response::success("").encode(), b"\xff");
    assert_eq!(Response::success("task bg: waiting").encode(), b"task bg: waiting\n\xff");
    assert_eq!(Response::success("no project exists\n\n").encode(), b"no project exists\n\n\xff");
    assert_eq!(
        Response::failure(ErrorKind::InvalidParameters, ["/f: loop=0: 1 to 120", "/f: sleep: missing\n"])
            .encode(),
        b"error: invalid parameters\n/f: loop=0: 1 to 120\n/f: sleep: missing\xfe"
    );
}

#[test]
fn nothing_harmful_goes_out() {
    let reason = "no process \0named \u{1b}[2J\tx";
    let want = "no process \u{fffd}named \u{fffd}[2J\tx";
    assert_eq!(Response::success(reason).text(), format!("{want}\n"));
    assert_eq!(
        Response::failure(ErrorKind::NoSuchTask, [reason]).text(),
        format!("error: task is not exist\n{want}")
    );
}

#[test]
fn segments_of_an_answer() {
    for (segment, text, status) in [
        (&b"project: a\nnum"[..], &b"project: a\nnum"[..], None),
        (b"ber\n\xff", b"ber\n", Some(Status::Success)),
        (b"\xff", b"", Some(Status::Success)),
        (b"error: x\xfe", b"error: x", Some(Status::Failure)),
        (b"a\xfe b\xff", b"a", Some(Status::Failure)),
        (b"", b"", None),
    ] {
        assert_eq!(response_part(segment), (text, status), "{segment:?}");
    }
}

#[test]
fn project_show_to_the_byte() {
    let names =
        ["test", "long", "empty", "cslide", "slide", "an_engine_of_18_by", "vm", "background_slide", "bg"];
    let names: Vec<Name> = names.into_iter().chain(["a_task_of_17_byte"]).map(name).collect();
    let name = |wanted: &str| names.iter().find(|name| name.as_str() == wanted).unwrap();
    let task = |kind, value: &str, task| ShownTask { kind, value: value.to_owned(), name: name(task) };
    let test = ShownProject {
        name: name("test"),
        started: true,
        engines: vec![
            ShownEngine { name: name("cslide"), tasks: vec![task("name", "qemu", "vm")] },
            ShownEngine {
                name: name("slide"),
                tasks: vec![task("pid", "12345", "background_slide"), task("name", "mysqld", "bg")],
            },
        ],
        remarks: Vec::new(),
    };
    let long = ShownProject {
        name: name("long"),
        started: false,
        engines: vec![ShownEngine {
            name: name("an_engine_of_18_by"),
            tasks: vec![task("cgroup9_b", "a/value/of/18/byte", "a_task_of_17_byte")],
        }],
        remarks: vec!["task a_task_of_17_byte: not started".to_owned()],
    };
    let empty = ShownProject { name: name("empty"), started: false, engines: vec![], remarks: vec![] };
    assert_eq!(
        project_show(&[test, long, empty], None),
        "project: test\n\
         number   type     value            name             engine           started \n\
         1        name     qemu             vm               cslide           true    \n\
         1        pid      12345            background_slide slide            true    \n\
         2        name     mysqld           bg               slide            true    \n\
         project: long\n\
         number   type     value            name             engine           started \n\
         1        cgroup9_b a/value/of/18/byte a_task_of_17_byte an_engine_of_18_by false   \n\
         task a_task_of_17_byte: not started\n\
         project: empty\n\
         number   type     value            name             engine           started \n"
    );
    assert_eq!(project_show(&[], None), "no project exists\n\n");
    assert_eq!(project_show(&[], Some(name("bg"))), "project: project bg is not existed\n\n");
}
