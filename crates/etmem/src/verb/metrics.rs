//! `etmem metrics`: the figures of all tasks, for Prometheus and its kin.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use etmem_manual::Help;
use etmem_wire::MetricsForm;

use crate::arguments::{Asked, Object};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::metrics::listen::Listen;

pub(crate) const OBJECT: Object = Object {
    command,
    asked,
    help: Help::examples(&[
        "etmem metrics -s etmemd_socket",
        "etmem metrics --file /var/lib/prometheus/node-exporter/etmem.prom -s etmemd_socket",
        "etmem metrics --listen 127.0.0.1:9464 --from /run/etmem/etmem.prom",
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
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS:PORT")
                .help("Answer Prometheus at http://ADDRESS:PORT/metrics until Ctrl-C, without encryption and for all who reach it")
                .conflicts_with_all(["file", "format"])
                .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("FILE")
                .help("With --listen: answer with FILE, which etmemd --metrics-file writes, and not as root")
                .requires("listen")
                .value_parser(value_parser!(PathBuf)),
        )
        .override_usage(
            "etmem metrics [--format FORMAT] [--file FILE] [-s SOCKET]\n       \
             etmem metrics --listen ADDRESS:PORT [--from FILE | -s SOCKET]",
        )
}

fn asked(matches: &ArgMatches) -> Result<Asked, Failure> {
    if let Some(address) = matches.get_one::<SocketAddr>("listen") {
        let from = matches.get_one::<PathBuf>("from").cloned();
        return Ok(Asked::Listen(Listen { address: *address, from }));
    }
    let file = matches.get_one::<PathBuf>("file").cloned();
    let form = match matches.get_one::<String>("format") {
        Some(format) if format == PROMETHEUS => MetricsForm::Prometheus,
        None if file.is_some() => MetricsForm::Prometheus,
        Some(_) | None => MetricsForm::OpenMetrics,
    };
    Ok(Asked::Metrics(Metrics { form, file }))
}
