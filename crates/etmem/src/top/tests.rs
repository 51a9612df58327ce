//! Screens as text, from a fixed answer. `ETMEM_WRITE_GOLDEN=1 cargo test -p etmem top` writes them again.

use super::answer::tasks;
use super::ask::Answer;
use super::machine::machine;
use super::plain::table;
use super::rows::rows;
use super::screen::Shown;
use super::view::{Sort, View};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use std::fs;
use std::path::Path;

fn answer() -> Answer {
    let folder = golden("");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let tasks = tasks(&read("tasks.json")).unwrap();
    Answer { machine: machine(&read("metrics.txt")), tasks }
}

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/top").join(name)
}

fn compare(name: &str, text: &str) {
    let path = golden(name);
    if std::env::var_os("ETMEM_WRITE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "{name} differs; it is now:\n{text}\nand was:\n{wanted}");
}

fn drawn(
    answer: &Answer,
    view: &View,
    trouble: Option<&str>,
    (width, height): (u16, u16),
) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let shown = Shown { socket: "etmemd_socket", answer, cpu: Some(0.0123), trouble, view, colours: true };
    terminal.draw(|frame| shown.draw(frame)).unwrap();
    terminal
}

fn text(terminal: &Terminal<TestBackend>) -> String {
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(buffer.area.width.into());
    let lines = lines.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn screens() {
    let answer = answer();
    let view = View::default();
    for (name, view, trouble, size) in [
        ("80x24.txt", view.clone(), None, (80, 24)),
        ("200x50.txt", view.clone(), None, (200, 50)),
        ("80x24-help.txt", View { help: true, ..view.clone() }, None, (80, 24)),
        (
            "80x24-filtered.txt",
            View { filter: "redis".into(), sort: Sort::Cold, paused: true, ..view.clone() },
            None,
            (80, 24),
        ),
        (
            "80x24-gone.txt",
            View { selected: 2, ..view.clone() },
            Some("cannot connect to etmemd at socket etmemd_socket: no etmemd listens there"),
            (80, 24),
        ),
        ("80x12-scrolled.txt", View { selected: 6, ..view.clone() }, None, (80, 12)),
    ] {
        compare(name, &text(&drawn(&answer, &view, trouble, size)));
    }
    let empty = Answer::default();
    compare("80x24-empty.txt", &text(&drawn(&empty, &view, None, (80, 24))));
}

#[test]
fn the_plain_table() {
    let (title, lines) = table(&rows(&answer().tasks, &View::default()), 200);
    compare("plain.txt", &format!("{title}\n{}\n", lines.join("\n")));
}

#[test]
fn any_size_and_any_row_is_drawn() {
    let answer = answer();
    for size in [(1, 1), (2, 5), (10, 3), (79, 23), (300, 100)] {
        for selected in [0, 3, 1000] {
            let view = View { selected, ..View::default() };
            assert!(!text(&drawn(&answer, &view, Some("trouble"), size)).is_empty());
        }
    }
}

#[test]
fn too_many_refaults_are_red_unless_colours_are_off() {
    let answer = answer();
    let view = View { selected: 6, ..View::default() };
    let reds = |colours| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let shown = Shown { socket: "s", answer: &answer, cpu: None, trouble: None, view: &view, colours };
        terminal.draw(|frame| shown.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        buffer.content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!((reds(true), reds(false)), (80, 0));
}

#[test]
fn keys() {
    let press = |view: &mut View, code| view.press(KeyEvent::new(code, KeyModifiers::NONE), 5);
    let mut view = View::default();
    for letter in "/re\u{7}dis".chars() {
        assert!(press(&mut view, KeyCode::Char(letter)));
    }
    assert!(view.typing && view.filter == "redis", "{view:?}");
    press(&mut view, KeyCode::Backspace);
    press(&mut view, KeyCode::Enter);
    assert!(!view.typing && view.filter == "redi", "{view:?}");
    press(&mut view, KeyCode::Esc);
    assert_eq!(view, View::default());
    for (_, letter, _) in Sort::ALL {
        press(&mut view, KeyCode::Char(letter));
    }
    assert_eq!(view.sort, Sort::Price);
    for (code, selected) in [
        (KeyCode::Up, 0),
        (KeyCode::Down, 1),
        (KeyCode::Char('j'), 2),
        (KeyCode::PageDown, 4),
        (KeyCode::End, 4),
        (KeyCode::Char('k'), 3),
        (KeyCode::Home, 0),
    ] {
        press(&mut view, code);
        assert_eq!(view.selected, selected, "{code:?}");
    }
    press(&mut view, KeyCode::Char(' '));
    press(&mut view, KeyCode::Char('?'));
    assert!(view.paused && view.help);
    press(&mut view, KeyCode::Char('x'));
    assert!(!view.help);
    assert!(!press(&mut view, KeyCode::Char('q')));
    assert!(!view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL), 0));
}

#[test]
fn an_answer_of_another_version_is_read() {
    let tasks =
        tasks("{\"project\":\"p\",\"new_field\":[1],\"last_cycle\":{\"processes\":[{\"pid\":7}]}}\n\n")
            .unwrap();
    let rows = rows(&tasks, &View::default());
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["p/", "7"]);
    assert!(super::answer::tasks("project: p\n").is_err());
    assert!(super::answer::tasks("{\"project\":7}\n").is_err());
}
