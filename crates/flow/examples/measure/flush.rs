//! How long the disk takes to keep 8 KiB, which is what a commit waits for.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Result, arguments::Arguments};

/// As a segment of PostgreSQL's log, which is written over again and again.
const FILE_BYTES: usize = 16 << 20;
const PAGE_BYTES: usize = 8 << 10;

pub(crate) fn measure(arguments: &Arguments) -> Result<Value> {
    let count = arguments.number("count", 2000)?;
    let mut file = tempfile::tempfile_in(arguments.word("directory", "."))?;
    file.write_all(&vec![0; FILE_BYTES])?;
    file.sync_all()?;
    let mut took = Vec::with_capacity(count);
    for turn in 0..count {
        if turn % (FILE_BYTES / PAGE_BYTES) == 0 {
            file.rewind()?;
        }
        took.push(keep(&mut file)?);
    }
    took.sort_unstable();
    let percentile = |share| took.get(count * share / 100).map(Duration::as_micros);
    Ok(json!({
        "program": "flush",
        "p10_us": percentile(10),
        "median_us": percentile(50),
        "p99_us": percentile(99),
    }))
}

fn keep(file: &mut File) -> Result<Duration> {
    let began = Instant::now();
    file.write_all(&[1; PAGE_BYTES])?;
    file.sync_data()?;
    Ok(began.elapsed())
}
