//! Metric families as text, in one of the two forms.

use etmem_wire::MetricsForm;
use std::fmt::Write;

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// They only grow, until the task is started again.
    Counter,
    Gauge,
    /// Always 1; the labels say it.
    Info,
}

/// A family of samples.
#[derive(Debug)]
pub(super) struct Family<'a> {
    /// Without the ending that its kind asks for.
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    /// The unit, with which the name ends; empty for none.
    pub(super) unit: &'a str,
    pub(super) help: &'a str,
}

/// The labels of a sample, as they are written.
#[derive(Debug, Clone)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) fn of(labels: &[(&str, &str)]) -> Self {
        labels.iter().fold(Self(String::new()), |all, (name, value)| all.and(name, value))
    }

    /// These, and one more.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        // A String takes whatever is written to it.
        let _ = write!(self.0, "{comma}{name}=\"{}\"", escaped(value));
        self
    }
}

/// The text.
#[derive(Debug)]
pub(super) struct Families {
    form: MetricsForm,
    text: String,
}

impl Families {
    pub(super) const fn new(form: MetricsForm) -> Self {
        Self { form, text: String::new() }
    }

    /// Adds a family with its samples; one without any is left out.
    pub(super) fn add(&mut self, family: &Family<'_>, samples: impl IntoIterator<Item = (Labels, String)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let Family { name, kind, unit, help } = *family;
        let ending = match kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Info => "_info",
        };
        // OpenMetrics names the family, the older form each of its samples.
        let (named, kind) = match (self.form, kind) {
            (MetricsForm::OpenMetrics, Kind::Info) => (name.to_owned(), "info"),
            (MetricsForm::OpenMetrics, Kind::Counter) => (name.to_owned(), "counter"),
            (MetricsForm::Prometheus, Kind::Counter) => (format!("{name}{ending}"), "counter"),
            (MetricsForm::Prometheus, Kind::Info) => (format!("{name}{ending}"), "gauge"),
            (_, Kind::Gauge) => (name.to_owned(), "gauge"),
        };
        let help = match self.form {
            MetricsForm::OpenMetrics => escaped(help),
            MetricsForm::Prometheus => help.replace('\\', "\\\\").replace('\n', "\\n"),
        };
        // A String takes whatever is written to it.
        let _ = writeln!(self.text, "# TYPE {named} {kind}");
        if self.form == MetricsForm::OpenMetrics && !unit.is_empty() {
            let _ = writeln!(self.text, "# UNIT {named} {unit}");
        }
        let _ = writeln!(self.text, "# HELP {named} {help}");
        for (Labels(labels), value) in samples {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(self.text, "{name}{ending}{labels} {value}");
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.form == MetricsForm::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The value of a label in both forms; in OpenMetrics, a help as well.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
