//! `etmem metrics`: the figures of all tasks, for Prometheus and its kin.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::Help;
use etmem_wire::MetricsForm;

use crate::arguments::{Asked, Object};
use crate::failure::Failure;
use crate::metrics::Metrics;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem metrics -s etmemd_socket",
        "etmem metrics --file /var/lib/prometheus/node-exporter/etmem.prom -s etmemd_socket",
    ]),
};

const OPENMETRICS: &str = "openmetrics";
const PROMETHEUS: &str = "prometheus";

fn command() -> Command {
    Command::new("metrics")
        .about("Print the figures of all tasks for monitoring, or write them to a file")
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .help(
                    "openmetrics, or prometheus: the older text format, which node_exporter's textfile collector reads \
                     [default: openmetrics; with --file, prometheus]",
                )
                .hide_possible_values(true)
                .value_parser(PossibleValuesParser::new([OPENMETRICS, PROMETHEUS])),
        )
        .arg(
            Arg::new("file")
                .long("file")
                .value_name("FILE")
                .help("Write to FILE, which is replaced in one step")
                .value_parser(value_parser!(PathBuf)),
        )
        .override_usage("etmem metrics [--format FORMAT] [--file FILE] [-s SOCKET]")
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    let file = matches.get_one::<PathBuf>("file").cloned();
    let form = match matches.get_one::<String>("format") {
        Some(format) if format == PROMETHEUS => MetricsForm::Prometheus,
        None if file.is_some() => MetricsForm::Prometheus,
        Some(_) | None => MetricsForm::OpenMetrics,
    };
    Ok(Asked::Metrics(Metrics { form, file }))
}
