//! The terminal: a line editor on a thread of its own, because it waits for keys.

use std::path::PathBuf;
use std::sync::mpsc as waiting;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use super::Print;
use super::complete::Known;
use crate::directories;
use crate::failure::Outcome;

const PROMPT: &str = "bus> ";

/// Lines that are remembered.
const LINES_MAX: usize = 2000;

/// What came from the keyboard.
pub(super) enum Input {
    Line(String),
    /// The line was given up.
    Nothing,
    End,
}

/// A line editor that runs. It reads the next line when it is asked for one.
pub(super) struct Editor {
    inputs: mpsc::Receiver<Input>,
    wanted: waiting::Sender<()>,
    is_asked: bool,
    printer: Print,
}

impl Editor {
    pub(super) fn start(known: Known) -> Outcome<Editor> {
        let (sender, inputs) = mpsc::channel(1);
        let (wanted, asked) = waiting::channel();
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(LINES_MAX)?
            .history_ignore_space(true)
            .auto_add_history(true)
            .build();
        let mut editor = rustyline::Editor::<Proposals, FileHistory>::with_config(config)?;
        editor.set_helper(Some(Proposals(known)));
        let printer = Mutex::new(editor.create_external_printer()?);
        std::thread::spawn(move || read_lines(editor, &asked, &sender));
        let has_colours =
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
        let printer: Print = Arc::new(move |text: String| {
            let text = match has_colours {
                true => text,
                false => anstream::adapter::strip_str(&text).to_string(),
            };
            // Nobody to print for ends the editor too.
            let _ = printer.lock().unwrap_or_else(PoisonError::into_inner).print(text);
        });
        Ok(Editor { inputs, wanted, is_asked: false, printer })
    }

    /// What prints above the line that is being edited.
    pub(super) fn printer(&self) -> Print {
        self.printer.clone()
    }

    /// The next input. May be given up and asked for again.
    pub(super) async fn next(&mut self) -> Input {
        if !self.is_asked && self.wanted.send(()).is_err() {
            return Input::End;
        }
        self.is_asked = true;
        let input = self.inputs.recv().await;
        self.is_asked = false;
        input.unwrap_or(Input::End)
    }
}

fn read_lines(
    mut editor: rustyline::Editor<Proposals, FileHistory>,
    asked: &waiting::Receiver<()>,
    inputs: &mpsc::Sender<Input>,
) {
    let history = history();
    if let Ok(history) = &history {
        // There is none the first time.
        let _ = editor.load_history(history);
    }
    while asked.recv().is_ok() {
        let input = match editor.readline(PROMPT) {
            Ok(line) => Input::Line(line),
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => Input::Nothing,
            Err(_) => Input::End,
        };
        if let Ok(history) = &history
            && let Err(error) = editor.append_history(history)
        {
            tracing::debug!(%error, "the line is not remembered");
        }
        if inputs.blocking_send(input).is_err() {
            return;
        }
    }
}

/// The file of the lines that were typed, for this user alone.
fn history() -> Outcome<PathBuf> {
    let directory = directories::client();
    std::fs::create_dir_all(&directory)?;
    Ok(directory.join("bus_history"))
}

/// What the editor asks while one types.
struct Proposals(Known);

impl Completer for Proposals {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.complete(&line[..position]))
    }
}

impl Hinter for Proposals {
    type Hint = String;
}

impl Highlighter for Proposals {}
impl Validator for Proposals {}
impl Helper for Proposals {}
