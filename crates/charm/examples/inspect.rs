//! Shows what is known about a charm without running it: `inspect PATH`, a directory or a `.charm` file.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use tutti_charm::assumes::Offer;
use tutti_charm::charm::Charm;
use tutti_charm::checks;
use tutti_charm::manifest::host_architecture;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: inspect PATH");
        return ExitCode::from(2);
    };
    let charm =
        if path.is_dir() { Charm::from_directory(&path) } else { Charm::from_archive(&path) };
    match charm {
        Ok(charm) => {
            show(&charm);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut cause: Option<&dyn Error> = Some(&error);
            while let Some(error) = cause {
                eprintln!("{error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn show(charm: &Charm) {
    println!("{}  {}", charm.name(), charm.metadata.summary);
    for base in &charm.manifest.bases {
        println!("  made for {base} on {}", base.architectures.join(", "));
    }
    for (name, endpoint) in charm.metadata.endpoints() {
        println!("  {} {name} ({})", endpoint.role.section(), endpoint.interface);
    }
    for (name, storage) in &charm.metadata.storage {
        println!("  storage {name} ({:?})", storage.kind);
    }
    for (key, option) in &charm.config.options {
        let default = option.default.as_ref().map_or_else(|| "unset".into(), ToString::to_string);
        println!("  option {key} ({}) {default}", option.kind);
    }
    for (name, action) in &charm.actions {
        println!("  action {name}  {}", action.description.lines().next().unwrap_or_default());
    }
    let offer = Offer::of_model(charm.metadata.is_kubernetes());
    let refusals = checks::can_run_here(charm, host_architecture());
    for refusal in refusals.iter().chain(&checks::assumptions(charm, &offer)) {
        println!("! {refusal}");
    }
    for text in checks::hints(charm).iter().chain(&charm.warnings) {
        println!("? {text}");
    }
}
