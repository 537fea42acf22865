//! What a machine allows of a first sync: fetches the files of a list, checks them and forces each to the disk; no rows.
//!
//! `cargo run --profile quick -p tutti-content --example fetch_limit -- HOST:PORT PATH MANIFEST DIRECTORY CONNECTIONS`
//!
//! Prints a line of JSON. Threads that wait for the network and the disk, and nothing else: whatever keeps content has to do
//! at least this. `bench/content` compares with it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use tutti_content::digest::sha256;

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Listed {
    path: String,
    digest: String,
    size: usize,
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, base, manifest, directory, connections] = arguments.as_slice() else {
        return Err("HOST:PORT PATH MANIFEST DIRECTORY CONNECTIONS".into());
    };
    let listed: Vec<Listed> = std::fs::read_to_string(manifest)?
        .lines()
        .map(entry)
        .collect::<Option<_>>()
        .ok_or("not a list")?;
    let directory = Path::new(directory);
    for shelf in 0..256 {
        std::fs::create_dir_all(directory.join(format!("{shelf:02x}")))?;
    }
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| -> Result<(), Failed> {
        let work = || fetch(address, base, &listed, &next, directory);
        let threads: Vec<_> = (0..connections.parse()?).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("lost".into())))
    })?;
    let wall = begun.elapsed().as_secs_f64();
    println!("{{\"files\": {}, \"wall_s\": {wall:.3}, \"cpu_s\": {:.2}}}", listed.len(), cpu()?);
    Ok(())
}

fn entry(line: &str) -> Option<Listed> {
    let (rest, size) = line.rsplit_once(',')?;
    let (path, digest) = rest.rsplit_once(',')?;
    Some(Listed { path: path.to_owned(), digest: digest.to_owned(), size: size.parse().ok()? })
}

fn fetch(
    address: &str,
    base: &str,
    listed: &[Listed],
    next: &AtomicUsize,
    directory: &Path,
) -> Result<(), Failed> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let mut connection = BufReader::with_capacity(64 * 1024, connection);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = listed.get(number) else { return Ok(()) };
        let request = format!("GET {base}/{} HTTP/1.1\r\nHost: {address}\r\n\r\n", file.path);
        connection.get_mut().write_all(request.as_bytes())?;
        line.clear();
        connection.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(line.into());
        }
        while line != "\r\n" {
            line.clear();
            connection.read_line(&mut line)?;
        }
        body.resize(file.size, 0);
        connection.read_exact(&mut body)?;
        let digest = sha256(&body);
        if digest != file.digest {
            return Err(format!("{} is not what it should be", file.path).into());
        }
        let incoming = directory.join(format!(".{number}"));
        let mut stored = File::create(&incoming)?;
        stored.write_all(&body)?;
        stored.sync_all()?;
        std::fs::rename(incoming, directory.join(&digest[..2]).join(&digest))?;
    }
}

/// CPU seconds of this process, in a hundredth.
fn cpu() -> Result<f64, Failed> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    let fields = status.rsplit_once(')').ok_or("no stat")?.1;
    let ticks: Result<Vec<f64>, _> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}
