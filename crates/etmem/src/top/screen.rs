//! The screen: the daemon and the levels above, rows in the middle, the selected row and the keys below.

use super::ask::Answer;
use super::machine::Level;
use super::plain::{cut, table};
use super::rows::{Row, rows};
use super::size::{percent, size};
use super::view::{Sort, View};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Text};

/// All that a screen is made of.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) socket: &'a str,
    pub(super) answer: &'a Answer,
    /// What the daemon takes of a processor; none if it is not known.
    pub(super) cpu: Option<f64>,
    /// Why there is no newer answer.
    pub(super) trouble: Option<&'a str>,
    pub(super) view: &'a View,
    /// Without it, rows differ by weight only.
    pub(super) colours: bool,
}

/// Most levels that are shown.
const LEVELS: usize = 4;

/// Columns of a level's bar.
const BAR: u64 = 20;

impl Shown<'_> {
    /// The rows, as filtered and sorted.
    pub(super) fn rows(&self) -> Vec<Row> {
        rows(&self.answer.tasks, self.view)
    }

    /// Draws all of it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let width = usize::from(area.width);
        let lines = if self.view.help { help() } else { self.lines(width, usize::from(area.height)) };
        let lines = lines.into_iter().take(area.height.into());
        let lines: Vec<Line<'_>> =
            lines.map(|(text, style)| Line::styled(cut(&text, width), style)).collect();
        frame.render_widget(Text::from(lines), Rect { x: 0, y: 0, ..area });
    }

    fn lines(&self, width: usize, height: usize) -> Vec<(String, Style)> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut lines = self.head();
        let rows = self.rows();
        let (title, texts) = table(&rows, width);
        lines.push((title, bold.add_modifier(Modifier::UNDERLINED)));
        // The reason of the selected row, and the keys.
        let room = height.saturating_sub(lines.len() + 3);
        let selected = self.view.selected.min(rows.len().saturating_sub(1));
        let first = (selected + 1).saturating_sub(room);
        let visible = rows.iter().zip(texts).enumerate().skip(first).take(room);
        let mut shown = 0;
        for (index, (row, text)) in visible {
            let mut style = if row.of_task { bold } else { Style::new() };
            if self.colours && row.refaults.is_some_and(|(now, bound)| bound.is_some_and(|bound| now > bound))
            {
                style = style.fg(Color::Red);
            }
            if index == selected {
                style = style.add_modifier(Modifier::REVERSED);
            }
            lines.push((format!("{text:<width$}"), style));
            shown += 1;
        }
        lines.extend(std::iter::repeat_n((String::new(), Style::new()), room.saturating_sub(shown)));
        lines.extend(self.foot(rows.get(selected), width));
        lines
    }

    fn head(&self) -> Vec<(String, Style)> {
        let Self { answer, view, .. } = self;
        let processes: usize =
            answer.tasks.iter().filter_map(|task| Some(task.last_cycle.as_ref()?.processes.len())).sum();
        let mut first = format!(
            "etmem top: {}, {}, {}, sorted by {}",
            self.socket,
            counted(answer.tasks.len(), "task"),
            if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") },
            view.sort.word()
        );
        if view.reversed {
            first.push_str(" in reverse");
        }
        if view.paused {
            first.push_str(", PAUSED");
        }
        let mut lines =
            vec![(first, Style::new().add_modifier(Modifier::BOLD)), (self.price(), Style::new())];
        if let Some((holds, pool)) = answer.machine.zswap {
            lines.push((format!("zswap: {} that take {}", size(holds), size(pool)), Style::new()));
        }
        let levels = answer.machine.levels.iter().take(LEVELS);
        lines.extend(levels.map(|(name, level)| (level_line(name, *level), Style::new())));
        if answer.machine.levels.is_empty() {
            lines.push(("swap: none, so nothing can move out".to_owned(), Style::new()));
        }
        if let Some(trouble) = self.trouble {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            lines.push((format!("asking again: {trouble}"), style));
        }
        lines
    }

    fn price(&self) -> String {
        let cpu = self.cpu.map_or_else(|| "?".to_owned(), percent);
        let memory = self.answer.machine.resident.map_or_else(|| "?".to_owned(), size);
        format!("etmemd itself: {cpu} of a processor, {memory} of memory")
    }

    fn foot(&self, selected: Option<&Row>, width: usize) -> Vec<(String, Style)> {
        let view = self.view;
        let said = match selected {
            None if view.filter.is_empty() => "no task; add one: etmem obj add -f FILE".to_owned(),
            None => format!("nothing has \"{}\" in its name or reason", view.filter),
            Some(Row { name, state, why, .. }) => {
                let parts = [name, state, why].into_iter().filter(|part| !part.is_empty());
                parts.map(String::as_str).collect::<Vec<_>>().join(": ")
            }
        };
        // In two lines, as far as it goes.
        let first: String = said.chars().take(width).collect();
        let second: String = said.chars().skip(width).collect();
        let keys = if view.typing {
            format!("/{}_   Enter keeps the filter, Esc clears it", view.filter)
        } else {
            let filter =
                if view.filter.is_empty() { String::new() } else { format!("  filter \"{}\"", view.filter) };
            format!("q quit  ? help  / filter  space pause  t parts  n r h w c o f p sort{filter}")
        };
        let plain = Style::new();
        vec![(first, plain), (second, plain), (keys, plain.add_modifier(Modifier::BOLD))]
    }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn level_line(name: &str, Level { size: all, used, takes }: Level) -> String {
    let filled = (u128::from(used) * u128::from(BAR)).div_ceil(u128::from(all.max(1))).min(BAR.into());
    let filled = usize::try_from(filled).unwrap_or_default();
    let rest = usize::try_from(BAR).unwrap_or_default().saturating_sub(filled);
    let takes = takes.map(|bytes| format!(" that take {}", size(bytes))).unwrap_or_default();
    let (bar, dots) = ("#".repeat(filled), ".".repeat(rest));
    format!("{:<12} [{bar}{dots}] {} of {}{takes}", cut(name, 12), size(used), size(all))
}

fn help() -> Vec<(String, Style)> {
    let sorts = |some: &[(Sort, char, &str)]| {
        some.iter().map(|(_, key, word)| format!("{key} {word}")).collect::<Vec<_>>().join(", ")
    };
    let (some, others) = Sort::ALL.split_at(Sort::ALL.len() / 2);
    let (some, others) = (sorts(some), sorts(others));
    let text = format!(
        "etmem top: tasks, and their processes and control groups

  q, Ctrl-C    end
  space        pause, and go on
  /            filter by name and reason: Enter keeps it, Esc clears it
  sort by      {some},
               {others}
  v            the other way round
  t            tasks alone, or with their processes
  arrows, j k  choose the row that is explained below

  RESIDENT     in memory
  HOT          touched in the last two minutes
  WARM         neither hot nor cold
  COLD         what was to leave in the last cycle
  OUT          moved out, and still out
  SAVED        of that, what is free for others
  REFAULT/MIN  refaults of the last minute, and what may, of the working set
  CPU          what looking and moving takes of a processor, since the start

K, M, G: KiB, MiB, GiB. Any key goes back."
    );
    text.lines().map(|line| (line.to_owned(), Style::new())).collect()
}
