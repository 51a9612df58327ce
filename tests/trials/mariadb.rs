//! MariaDB, as much of its server and of its protocol as a load needs.
//! (<https://mariadb.com/kb/en/clientserver-protocol/>: packets of a length in three bytes, a number, and content.)

use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use etmem_testkit::machine::find_program;
use etmem_testkit::process::Running;
use etmem_testkit::redis::start_listening;
use etmem_testkit::size::MIB;
use etmem_testkit::stage::LIMIT;

use crate::stores::insert;

/// What it is started by.
pub(crate) const PROGRAM: &str = "mariadbd";

const CREATE: &str = "CREATE TABLE t (k INT PRIMARY KEY, v VARBINARY(2048)) ENGINE=InnoDB";

/// The server, and where it listens.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) running: Running,
    socket: PathBuf,
}

impl Server {
    /// Starts one with its tables in `folder`, all of which have room in memory.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let (data, socket) = (folder.join("data"), folder.join("mariadb.socket"));
        fs::create_dir(&data)?;
        let mut command =
            Command::new(find_program(PROGRAM).with_context(|| format!("there is no {PROGRAM}"))?);
        // Without tables of users.
        command.args(["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-networking"]);
        command.args(["--innodb-buffer-pool-size=1536M", "--innodb-log-file-size=256M"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"]);
        command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
        let running = start_listening(&mut command, &socket)?;
        let server = Self { running, socket };
        let mut client = server.connect()?;
        client.run("CREATE DATABASE d")?;
        client.run("USE d")?;
        client.run(CREATE)?;
        Ok(server)
    }

    pub(crate) fn connect(&self) -> Result<Client> {
        Client::new(&self.socket)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client(BufReader<UnixStream>);

/// CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION and CLIENT_PLUGIN_AUTH.
const CAPABILITIES: u32 = 1 | 1 << 9 | 1 << 15 | 1 << 19;
const UTF8MB4: u8 = 45;
const COM_QUERY: u8 = 3;
const ERROR: u8 = 0xff;
const END: u8 = 0xfe;

impl Client {
    fn new(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut client = Self(BufReader::with_capacity(MIB, stream));
        drop(client.packet()?);
        let mut hello = CAPABILITIES.to_le_bytes().to_vec();
        hello.extend_from_slice(&(16_u32 << 20).to_le_bytes());
        hello.push(UTF8MB4);
        hello.extend_from_slice(&[0; 23]);
        // The user, an empty password, and the way in which it is checked.
        hello.extend_from_slice(b"root\0\0mysql_native_password\0");
        client.send(1, &hello)?;
        drop(client.packet()?);
        Ok(client)
    }

    /// Takes the database of the load.
    pub(crate) fn begin(mut self) -> Result<Self> {
        self.run("USE d")?;
        Ok(self)
    }

    fn send(&mut self, number: u8, content: &[u8]) -> Result<()> {
        let length = u32::try_from(content.len())?.to_le_bytes();
        let head = [length[0], length[1], length[2], number];
        Ok(self.0.get_mut().write_all(&[&head[..], content].concat())?)
    }

    fn packet(&mut self) -> Result<Vec<u8>> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).context("MariaDB does not answer")?;
        let mut content = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.0.read_exact(&mut content)?;
        if content.first() == Some(&ERROR) {
            bail!("MariaDB refuses: {}", String::from_utf8_lossy(&content));
        }
        Ok(content)
    }

    fn ask(&mut self, query: &[u8]) -> Result<()> {
        self.send(0, &[&[COM_QUERY], query].concat())
    }

    fn run(&mut self, query: &str) -> Result<()> {
        self.ask(query.as_bytes())?;
        self.packet().map(drop)
    }

    /// Writes rows: a key and what it stands for.
    pub(crate) fn write(&mut self, rows: impl Iterator<Item = (usize, Vec<u8>)>) -> Result<()> {
        self.run(&insert(rows, "x'"))
    }

    /// How many bytes of content the row of `key` has.
    pub(crate) fn read(&mut self, key: usize) -> Result<usize> {
        self.ask(format!("SELECT v FROM t WHERE k={key}").as_bytes())?;
        let is_end = |packet: &[u8]| packet.first() == Some(&END) && packet.len() < 9;
        // The number of columns, and what they are.
        drop(self.packet()?);
        while !is_end(&self.packet()?) {}
        let mut bytes = 0;
        loop {
            let row = self.packet()?;
            if is_end(&row) {
                return Ok(bytes);
            }
            // A length of three bytes after its tag.
            bytes += row.len().saturating_sub(3);
        }
    }
}
