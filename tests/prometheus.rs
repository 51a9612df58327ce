//! Metrics as Prometheus takes them: promtool and a real Prometheus on the loopback device, and what is in `contrib`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::FakeProc;
use etmem_testkit::fake::proc::script::{Life, PAGE, Script, ScriptedMapping, ScriptedProcess, Segment};
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Running, run};
use etmem_testkit::stage::LIMIT;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use serde_json::Value;

/// Where scripted processes begin: far from the machine's own pids.
const PID: u32 = 3_000_000;
const PAGES: u64 = 1000;
const PROMTOOL: Need = Need::Program("promtool");

fn main() -> ExitCode {
    run_in_turn(vec![
        trial_or_skip("promtool_accepts_metrics", &[Need::Root, Need::FakeProc, PROMTOOL], accepted),
        trial_or_skip("promtool_accepts_the_rules", &[PROMTOOL], rules),
        trial_or_skip("rules_and_dashboard_name_metrics_that_exist", &[], names),
        trial_or_skip("the_file_is_kept_up_to_date_and_removed", &[Need::Root, Need::FakeProc], file),
        trial_or_skip("the_listener_answers_and_refuses", &[Need::Root, Need::FakeProc], listener),
        trial_or_skip(
            "prometheus_scrapes_the_listener_and_the_file",
            &[Need::Root, Need::FakeProc, Need::Program("prometheus")],
            scraped,
        ),
    ])
}

/// A daemon with a task that has moved what is cold, and writes `file`.
fn stage() -> Result<(FakeProc, Daemon, PathBuf)> {
    let segments = vec![Segment::solid(PAGES, Life::cold()), Segment::solid(PAGES, Life::hot())];
    let process =
        ScriptedProcess::new(PID, "scripted", vec![ScriptedMapping::private(0x7000_0000_0000, segments)]);
    let fake = FakeProc::mount(Script::new(vec![process]))?;
    let folder = tempfile::tempdir()?.keep();
    let file = folder.join("etmem.prom");
    let root = fake.root().to_str().context("UTF-8")?;
    let words =
        ["--proc-root", root, "--metrics-file", file.to_str().context("UTF-8")?, "--metrics-interval", "1"];
    let daemon = Daemon::start_with(Binaries::build()?, &words)?;
    daemon.add(&ProjectFile::new("p").task("t", TaskKind::Pid(PID)).to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    daemon.wait_for_cycles(LIMIT, "p", 1)?;
    Ok((fake, daemon, file))
}

fn moved() -> String {
    format!("etmem_moved_bytes_total{{project=\"p\",engine=\"slide\",task=\"t\"}} {}\n", PAGES * PAGE)
}

fn check_metrics(file: &Path) -> Result<()> {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(File::open(file)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = command.output()?;
    let said = [ran.stdout, ran.stderr].concat();
    ensure!(ran.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}

fn accepted() -> Result<()> {
    let (_fake, daemon, file) = stage()?;
    let answer = daemon.folder().join("answer");
    fs::write(&answer, daemon.must(&["metrics", "--format", "prometheus"])?)?;
    check_metrics(&answer)?;
    check_metrics(&file)
}

fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib").join(file)
}

fn rules() -> Result<()> {
    for words in [["check", "rules", "etmem.rules.yml"], ["test", "rules", "etmem.rules.test.yml"]] {
        let ran = run(Command::new("promtool").args(words).current_dir(contrib("prometheus")), LIMIT)?;
        ensure!(ran.status == 0 && ran.stdout.contains("SUCCESS"), "{ran:?}");
    }
    Ok(())
}

/// The words of `text` that begin with `etmem_`.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("etmem_")).collect()
}

fn names() -> Result<()> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for row in
        etmem_engine::figures::ROWS.iter().chain(etmem_engine::KINDS.iter().flat_map(|kind| kind.figures))
    {
        known.extend([format!("etmem_{}_total", row.name), format!("etmem_last_cycle_{}", row.name)]);
    }
    let docs = fs::read_to_string(contrib("../docs/monitoring.md"))?;
    known.extend(metrics_in(&docs).into_iter().map(str::to_owned));
    for file in ["prometheus/etmem.rules.yml", "grafana/etmem.json"] {
        let text = fs::read_to_string(contrib(file))?;
        // What a rule records begins otherwise.
        let text = text.replace("instance:etmem_saved_bytes:sum", "");
        let named = metrics_in(&text);
        ensure!(named.len() > 8, "{file} names {named:?} only");
        let unknown: Vec<_> = named.into_iter().filter(|name| !known.contains(*name)).collect();
        ensure!(unknown.is_empty(), "{file} names {unknown:?}, which docs/monitoring.md does not have");
    }
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(contrib("grafana/etmem.json"))?)?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    ensure!(panels.len() >= 8 && panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
    Ok(())
}

fn file() -> Result<()> {
    let (_fake, daemon, file) = stage()?;
    WallClock::new().wait_until(LIMIT, "the file says what moved", || {
        Ok(fs::read_to_string(&file)?.contains(&moved()))
    })?;
    let text = fs::read_to_string(&file)?;
    ensure!(text.contains("etmem_daemon_resident_bytes ") && !text.contains("# EOF"), "{text}");
    ensure!(fs::metadata(&file)?.permissions().mode() & 0o777 == 0o644);
    let folder = file.parent().context("a folder")?;
    ensure!(fs::read_dir(folder)?.count() == 1, "nothing else is left");
    // The folder goes and comes back: said once each.
    let away = folder.with_extension("away");
    fs::rename(folder, &away)?;
    let log_has = |words: &str| -> Result<bool> { Ok(daemon.log().contains(words)) };
    WallClock::new().wait_until(LIMIT, "that is said", || log_has("cannot write metrics to"))?;
    fs::rename(&away, folder)?;
    WallClock::new().wait_until(LIMIT, "that is said, too", || log_has("are written to"))?;
    ensure!(daemon.log().matches("cannot write metrics to").count() == 1, "{}", daemon.log());
    ensure!(daemon.terminate()?.status == 0);
    ensure!(!file.exists(), "figures of a daemon that is gone");
    Ok(fs::remove_dir_all(folder)?)
}

/// A listener, and the address that it says.
fn listen(words: &[&str]) -> Result<(Running, String)> {
    let mut command = Command::new(&Binaries::build()?.etmem);
    command.args(["metrics", "--listen", "127.0.0.1:0"]).args(words).stdout(Stdio::piped());
    let (running, pipes) = Running::start(&mut command)?;
    let mut line = String::new();
    BufReader::new(pipes.output.context("a pipe")?).read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("etmem: metrics are at http://")
        .and_then(|rest| rest.strip_suffix("/metrics"));
    Ok((running, address.with_context(|| format!("it says {line:?}"))?.to_owned()))
}

/// What is answered to `request`.
fn asked(address: &str, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn listener() -> Result<()> {
    let (_fake, daemon, file) = stage()?;
    let path = file.to_str().context("UTF-8")?;
    for (words, kept) in [(&["-s", daemon.socket()], false), (&["--from", path], true)] {
        let (running, address) = listen(words)?;
        let get = |page: &str, more: &str| {
            asked(&address, &format!("GET {page} HTTP/1.1\r\nHost: x\r\n{more}\r\n"))
        };
        WallClock::new()
            .wait_until(LIMIT, "it has what moved", || Ok(get("/metrics", "")?.contains(&moved())))?;
        let older = get("/metrics", "")?;
        ensure!(older.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{older}");
        ensure!(older.contains("\netmem_metrics_file_mtime_seconds ") == kept, "{older}");
        let open = get("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n")?;
        ensure!(open.ends_with("# EOF\n") != kept, "{open}");
        ensure!(get("/", "")?.starts_with("HTTP/1.1 404 "));
        ensure!(asked(&address, "POST /metrics HTTP/1.1\r\n\r\n")?.starts_with("HTTP/1.1 405 "));
        ensure!(asked(&address, "nonsense\r\n\r\n")?.starts_with("HTTP/1.1 400 "));
        let head = asked(&address, "HEAD /metrics HTTP/1.1\r\n\r\n")?;
        ensure!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
        // A client that says nothing holds up no other.
        let silent = TcpStream::connect(&address)?;
        ensure!(get("/metrics", "")?.contains(&moved()));
        drop(silent);
        ensure!(running.ended()?.is_none(), "it ended");
    }
    // Without a daemon it says so, and goes on.
    let (_running, address) = listen(&["-s", "etmem-there-is-none"])?;
    let answer = asked(&address, "GET /metrics HTTP/1.1\r\n\r\n")?;
    ensure!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no etmemd listens there"), "{answer}");
    let taken = daemon_less(&["metrics", "--listen", &address, "--from", path])?;
    ensure!(taken.status == 5 && taken.stderr.contains("a port that is free"), "{taken:?}");
    Ok(())
}

fn daemon_less(words: &[&str]) -> Result<etmem_testkit::process::Ran> {
    run(Command::new(&Binaries::build()?.etmem).args(words), LIMIT)
}

/// A port that is free now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn scraped() -> Result<()> {
    let (_fake, daemon, file) = stage()?;
    let (_over_socket, open) = listen(&["-s", daemon.socket()])?;
    let (_over_file, older) = listen(&["--from", file.to_str().context("UTF-8")?])?;
    let config = daemon.write(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
             - {{job_name: listener, static_configs: [{{targets: ['{open}']}}]}}\n\
             - {{job_name: textfile, static_configs: [{{targets: ['{older}']}}]}}\n",
            contrib("prometheus/etmem.rules.yml").display()
        ),
    )?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let log = File::create(daemon.folder().join("prometheus.log"))?;
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", daemon.folder().join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let (prometheus, _) = Running::start(&mut command)?;
    let query = |expression: &str| -> Result<Value> {
        let request = format!("GET /api/v1/query?query={expression} HTTP/1.0\r\nHost: x\r\n\r\n");
        let answer = asked(&address, &request)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok(serde_json::from_str::<Value>(body).with_context(|| answer.clone())?["data"]["result"].clone())
    };
    let value = Value::from((PAGES * PAGE).to_string());
    let both = || {
        ensure!(
            prometheus.ended()?.is_none(),
            "{}",
            fs::read_to_string(daemon.folder().join("prometheus.log"))?
        );
        // Until it listens, no one answers.
        let Ok(result) = query("etmem_moved_bytes_total") else { return Ok(false) };
        let found: BTreeSet<&str> = result
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["value"][1] == value)
            .filter_map(|one| one["metric"]["job"].as_str())
            .collect();
        Ok(found == BTreeSet::from(["listener", "textfile"]))
    };
    WallClock::new().wait_until(Duration::from_secs(60), "both are scraped", both)?;
    let up = query("sum(up)")?;
    ensure!(up[0]["value"][1] == "2", "{up}");
    let figures = query("count(count%20by%20(__name__)({job='listener'}))")?;
    let figures: u32 = figures[0]["value"][1].as_str().context("a number")?.parse()?;
    ensure!(figures > 60, "{figures} metrics");
    Ok(())
}
