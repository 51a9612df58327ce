//! PostgreSQL, as much of its server and of its protocol as a load needs.
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>: messages of a letter, a length, and content.)

use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use etmem_testkit::clock::WallClock;
use etmem_testkit::machine::find_program;
use etmem_testkit::process::Running;
use etmem_testkit::redis::start_listening;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::LIMIT;

use crate::stores::insert;

/// What it is started by, and what makes its folder.
pub(crate) const PROGRAMS: &[&str] = &["postgres", "initdb"];
/// Who it runs as, as it refuses to be root.
const OWNER: u32 = 65534;
/// Where Debian keeps each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A program of the newest version that is installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let files = versions.map(|version| version.path().join("bin").join(name));
    files.filter(|file| file.is_file()).max().or_else(|| find_program(name))
}

fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(program(name).with_context(|| format!("there is no {name}"))?);
    command.uid(OWNER).gid(OWNER);
    Ok(command)
}

/// The server, and where it listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) running: Running,
    socket: PathBuf,
}

impl Server {
    /// Starts one with its tables in `folder`, all of which have room in its buffers.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let own = folder.join("own");
        fs::create_dir(&own)?;
        chown(&own, Some(OWNER), Some(OWNER))?;
        let data = own.join("data");
        let mut make = command("initdb")?;
        make.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
        let made = make.current_dir(&own).arg("--pgdata").arg(&data).output().context("initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut command = command("postgres")?;
        command.current_dir(&own).arg("-D").arg(&data).arg("-k").arg(&own);
        for setting in [
            "listen_addresses=",
            "shared_buffers=1536MB",
            "max_wal_size=4GB",
            "fsync=off",
            "synchronous_commit=off",
            "autovacuum=off",
            "log_min_messages=panic",
        ] {
            command.arg("-c").arg(setting);
        }
        let socket = own.join(".s.PGSQL.5432");
        let server = Self { running: start_listening(&mut command, &socket)?, socket };
        // It listens before it takes requests.
        WallClock::new().wait_until(LIMIT, "PostgreSQL answers", || Ok(server.connect().is_ok()))?;
        server.connect()?.run("CREATE TABLE t (k INT PRIMARY KEY, v BYTEA)")?;
        Ok(server)
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Client::new(&self.socket)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client(BufReader<UnixStream>);

const PROTOCOL: u32 = 3 << 16;
const QUERY: u8 = b'Q';
const ROW: u8 = b'D';
const READY: u8 = b'Z';
const ERROR: u8 = b'E';

impl Client {
    fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut client = Self(BufReader::with_capacity(MIB, stream));
        let names = b"user\0postgres\0database\0postgres\0\0";
        client.send(&[&PROTOCOL.to_be_bytes()[..], names].concat())?;
        client.row_bytes()?;
        Ok(client)
    }

    /// Sends `content` with its length before it.
    fn send(&mut self, content: &[u8]) -> Result<()> {
        let length = u32::try_from(content.len() + 4)?.to_be_bytes();
        Ok(self.0.get_mut().write_all(&[&length[..], content].concat())?)
    }

    fn ask(&mut self, query: &str) -> Result<()> {
        self.0.get_mut().write_all(&[QUERY])?;
        self.send(&[query.as_bytes(), b"\0"].concat())
    }

    /// Reads answers until the server is ready: how long their rows are.
    fn row_bytes(&mut self) -> Result<usize> {
        let mut bytes = 0;
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).context("PostgreSQL does not answer")?;
            let [kind, length @ ..] = head;
            let mut content = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
            self.0.read_exact(&mut content)?;
            match kind {
                READY => return Ok(bytes),
                ROW => bytes += content.len(),
                ERROR => bail!("PostgreSQL refuses: {}", String::from_utf8_lossy(&content)),
                _ => {}
            }
        }
    }

    pub(crate) fn run(&mut self, query: &str) -> Result<()> {
        self.ask(query)?;
        self.row_bytes().map(drop)
    }

    /// Writes rows: a key and what it stands for.
    pub(crate) fn write(&mut self, rows: impl Iterator<Item = (usize, Vec<u8>)>) -> Result<()> {
        self.run(&insert(rows, "'\\x"))
    }

    /// How many bytes of content the row of `key` has.
    pub(crate) fn read(&mut self, key: usize) -> Result<usize> {
        self.ask(&format!("SELECT v FROM t WHERE k={key}"))?;
        // A number of columns, a length, `\x`, and two digits for each byte.
        Ok(self.row_bytes()?.saturating_sub(2 + 4 + 2) / 2)
    }
}
