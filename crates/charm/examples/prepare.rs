//! Makes a `.charm` from a source tree: `prepare SOURCE OUT.charm [CACHE]`. A charm without Python is packed as it is.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tutti_charm::archive::pack_prepared;
use tutti_charm::python;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [source, out, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: prepare SOURCE OUT.charm [CACHE]");
        return ExitCode::from(2);
    };
    let cache = rest.first().cloned().unwrap_or_else(|| std::env::temp_dir().join("charm-cache"));
    match prepare(source, out, &cache) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut cause: Option<&dyn Error> = Some(error.as_ref());
            while let Some(error) = cause {
                eprintln!("{error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn prepare(source: &Path, out: &Path, cache: &Path) -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join("tree");
    let prepared = python::prepare(source, cache, &tree, &mut |step| eprintln!("{step}"))?;
    for note in &prepared.plan.notes {
        eprintln!("note: {note}");
    }
    let packed = pack_prepared(&prepared.directory, out)?;
    println!("{} {} bytes, {} entries", packed.digest, packed.size, packed.entries);
    Ok(())
}
