//! How fast a sync is, beside what this machine allows.
//!
//! `cargo run --profile quick -p tutti-content --example sync_speed -- [files] [bytes each] [database]`
//!
//! The limit, taken in the same run: ten threads that fetch the same files, check them, write them, sync each, and rename it;
//! no database, no directories synced. The server is this program, started a second time.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tutti_content::{
    Artifacts, MIGRATIONS, SyncOutcome, SyncRequest, digest::sha256, download::Source,
    pipeline::Progress, repository, sync,
};
use tutti_store::Store;

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: usize| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve(number(1, 0), number(2, 0));
    }
    let (files, bytes) = (number(0, 10_000), number(1, 1024));
    let mut server = Server(
        Command::new(std::env::current_exe()?)
            .args(["serve", &files.to_string(), &bytes.to_string()])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut address = String::new();
    BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let directory =
        tempfile::tempdir_in(std::env::var("TMPDIR").unwrap_or_else(|_| "/tmp".into()))?;
    measure(address.trim(), files, bytes, directory.path(), arguments.get(2))
}

/// The process that serves, which ends with this one.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended already, all the better.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(
    address: &str,
    files: usize,
    bytes: usize,
    directory: &Path,
    database: Option<&String>,
) -> Result<(), Failed> {
    let limit = limit(address, files, bytes, &directory.join("limit"))?;
    println!("limit           {:6.2} s", limit.as_secs_f64());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let file = directory.join("content.db").to_string_lossy().into_owned();
        let store = Store::open(database.unwrap_or(&file), MIGRATIONS).await?;
        let artifacts = Artifacts::open(&directory.join("artifacts"))?;
        let url = format!("http://{address}/PULP_MANIFEST");
        for (what, repository, optimize) in [
            ("first sync", "one", true),
            ("unchanged", "one", true),
            ("read again", "one", false),
            ("other repository", "two", true),
        ] {
            let name = format!("{repository} {}", std::process::id());
            let (named, source) = (name.clone(), Source { url: url.clone(), ..Source::default() });
            store.write(move |tx| repository::ensure(tx, &named, "file", 0)).await?;
            let request =
                SyncRequest { repository: name, source, mirror: true, optimize, complete: None };
            let begun = Instant::now();
            let (progress, cancellation) = (Progress::default(), CancellationToken::new());
            let outcome = sync(&store, &artifacts, request, &progress, &cancellation).await?;
            let taken = begun.elapsed();
            let SyncOutcome { counts, failed, .. } = outcome;
            println!(
                "{what:16}{:6.2} s  {:.2} of the limit  {} units, {} downloaded, {failed} failed  {} kB at most",
                taken.as_secs_f64(),
                taken.as_secs_f64() / limit.as_secs_f64(),
                counts.units,
                counts.downloaded,
                memory()?,
            );
        }
        Ok(())
    })
}

fn content(number: usize, bytes: usize) -> Vec<u8> {
    format!("{number} ").bytes().cycle().take(bytes).collect()
}

fn memory() -> Result<u64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Serves the list and the files.
fn serve(files: usize, bytes: usize) -> Result<(), Failed> {
    let lines =
        (0..files).map(|number| format!("{number},{},{bytes}\n", sha256(&content(number, bytes))));
    let list: std::sync::Arc<[u8]> = lines.collect::<String>().into_bytes().into();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    for connection in listener.incoming() {
        let (connection, list) = (connection?, list.clone());
        // A client that goes away ends its thread.
        std::thread::spawn(move || answer(connection, &list, bytes).err());
    }
    Ok(())
}

fn answer(connection: TcpStream, list: &[u8], bytes: usize) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    while connection.read_line(&mut line)? > 0 {
        let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
        let mut is_known = false;
        while line != "\r\n" {
            line.clear();
            connection.read_line(&mut line)?;
            is_known |= line.to_ascii_lowercase().starts_with("if-none-match:");
        }
        line.clear();
        let body = path.parse().map(|number| content(number, bytes));
        let (status, body) = match &body {
            Ok(body) => ("200 OK", body.as_slice()),
            Err(_) if is_known => ("304 Not Modified", &[][..]),
            Err(_) => ("200 OK", list),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.get_mut().write_all(&[head.as_bytes(), body].concat())?;
    }
    Ok(())
}

fn limit(address: &str, files: usize, bytes: usize, out: &Path) -> Result<Duration, Failed> {
    for shelf in 0..256 {
        std::fs::create_dir_all(out.join(format!("{shelf:02x}")))?;
    }
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        let work = || -> Result<(), Failed> {
            let tcp = TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            let mut tcp = BufReader::new(tcp);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= files {
                    return Ok(());
                }
                let request = format!("GET /{number} HTTP/1.1\r\nHost: {address}\r\n\r\n");
                tcp.get_mut().write_all(request.as_bytes())?;
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    tcp.read_line(&mut line)?;
                }
                let mut body = vec![0; bytes];
                tcp.read_exact(&mut body)?;
                let digest = sha256(&body);
                let incoming = out.join(format!(".{number}"));
                let mut file = std::fs::File::create(&incoming)?;
                file.write_all(&body)?;
                file.sync_all()?;
                std::fs::rename(incoming, out.join(&digest[..2]).join(&digest))?;
            }
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("lost".into())))
    })?;
    Ok(begun.elapsed())
}
