//! What a person sees while something takes long: a bar on a terminal, one line elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Something that takes a while and cannot be measured.
#[derive(Debug)]
pub(crate) struct Spinner {
    bar: ProgressBar,
    quiet: bool,
}

impl Spinner {
    /// Starts with what is being done.
    pub(crate) fn start(text: impl Into<String>, quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let spinner = Self { bar: ProgressBar::with_draw_target(None, target), quiet };
        spinner.now(text);
        spinner.bar.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    /// Says what is being done now.
    pub(crate) fn now(&self, text: impl Into<String>) {
        let text = text.into();
        match self.bar.is_hidden() {
            true if self.quiet => {}
            true => super::tell(&text),
            false => self.bar.set_message(text),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A transfer of a known number of bytes; invisible where nobody watches and for small ones.
pub(crate) fn transfer(name: &str, bytes: u64) -> impl FnMut(u64, u64) + Send + Sync + 'static {
    let target =
        if bytes < 1 << 20 { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
    {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    move |sent, all| {
        bar.set_position(sent);
        if sent >= all {
            bar.finish_and_clear();
        }
    }
}
