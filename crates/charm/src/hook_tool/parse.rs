//! From a tool's name and arguments to a [`Call`].

use std::io;

use super::flags::{self, Arguments, Flag};
use super::surroundings::cause;
use super::tools::{self, Answer, Tool};
use super::{Call, Format, Output, RelationArgument, Surroundings, ToolError, Usage, help};

/// A command line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What to ask.
    pub call: Call,
    /// What to do with the answer.
    pub output: Output,
    /// Lines for stderr.
    pub notes: Vec<String>,
}

/// Reads the command line of a tool; `arguments` does not include the tool's name.
///
/// Files and standard input that the arguments name are read here, on the charm's side.
///
/// ```
/// use tutti_charm::hook_tool::{Call, ProcessSurroundings, parse};
///
/// let arguments = ["--format=json", "port"].map(String::from);
/// let invocation = parse("config-get", arguments, &mut ProcessSurroundings).unwrap();
/// assert_eq!(invocation.call, Call::ConfigGet { key: Some("port".into()), all: false });
/// ```
pub fn parse(
    tool: &str,
    arguments: impl IntoIterator<Item = String>,
    surroundings: &mut dyn Surroundings,
) -> Result<Invocation, Usage> {
    let tool = tools::find(tool)
        .ok_or_else(|| ToolError::argument(format!("{tool:?} is no hook command")))?;
    let known: Vec<&'static Flag> = tool.all_flags().collect();
    let arguments = flags::read(&known, arguments.into_iter().collect())?;
    if arguments.help {
        return Err(Usage::Help(help::text(tool, surroundings)));
    }
    let mut line = CommandLine { tool, arguments, surroundings };
    let output = line.output()?;
    let notes = line.notes();
    let call = (tool.build)(&mut line, output.format)?;
    line.end()?;
    Ok(Invocation { call, output, notes })
}

/// The arguments of one tool while its row of the table takes what it needs.
pub(super) struct CommandLine<'a> {
    tool: &'static Tool,
    arguments: Arguments,
    surroundings: &'a mut dyn Surroundings,
}

impl CommandLine<'_> {
    /// The tool's name.
    pub(super) fn tool_name(&self) -> &'static str {
        self.tool.name
    }

    /// Whether a switch is on.
    pub(super) fn on(&self, key: &str) -> bool {
        self.arguments.given(key).is_some_and(|(_, value)| value == "true")
    }

    /// The value of a flag.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.arguments.given(key).map(|(_, value)| value.to_owned())
    }

    /// The value of a flag; an empty one counts as not given.
    pub(super) fn nonempty(&self, key: &str) -> Option<String> {
        self.text(key).filter(|value| !value.is_empty())
    }

    /// The next argument that is no flag.
    pub(super) fn next(&mut self) -> Option<String> {
        self.arguments.others.pop_front()
    }

    /// The next argument, or the refusal that names what is missing.
    pub(super) fn required(&mut self, missing: &str) -> Result<String, ToolError> {
        self.next().ok_or_else(|| ToolError::argument(missing))
    }

    /// The next argument where `-` and nothing both stand for everything.
    pub(super) fn key(&mut self) -> Option<String> {
        self.next().filter(|key| key != "-" && !key.is_empty())
    }

    /// All remaining arguments.
    pub(super) fn rest(&mut self) -> Vec<String> {
        self.arguments.others.drain(..).collect()
    }

    /// The relation given by `-r`, as `7` or `db:7`.
    pub(super) fn relation(&self) -> Result<Option<RelationArgument>, ToolError> {
        let Some((name, value)) = self.arguments.given("r") else { return Ok(None) };
        let shown = format!("{value:?} for option {name}");
        let digits = value.rsplit(':').next().unwrap_or(value);
        match digits.parse() {
            Ok(id) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Some(RelationArgument { id, shown }))
            }
            _ => Err(ToolError::argument(format!("invalid value {shown}: invalid relation id"))),
        }
    }

    /// What `--file` names, where `-` is standard input.
    pub(super) fn file(&mut self) -> Result<Option<Vec<u8>>, ToolError> {
        match self.nonempty("file") {
            None => Ok(None),
            Some(path) if path == "-" => {
                let bytes = self.surroundings.stdin();
                bytes.map(Some).map_err(|error| unreadable("standard input", &error))
            }
            Some(path) => self.read(&path).map(Some),
        }
    }

    /// A file that an argument names.
    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, ToolError> {
        let bytes = self.surroundings.file(path.as_ref());
        bytes.map_err(|error| unreadable(path, &error))
    }

    fn end(&self) -> Result<(), ToolError> {
        if self.arguments.others.is_empty() {
            return Ok(());
        }
        let quoted: Vec<_> = self.arguments.others.iter().map(|word| format!("{word:?}")).collect();
        Err(ToolError::argument(format!("unrecognized args: [{}]", quoted.join(" "))))
    }

    fn output(&self) -> Result<Output, ToolError> {
        let format = match (self.tool.answer, self.arguments.given("format")) {
            (Answer::Smart | Answer::Yaml, Some((name, value))) => {
                let format = Format::named(value).filter(|format| {
                    *format != Format::Smart || matches!(self.tool.answer, Answer::Smart)
                });
                format.ok_or_else(|| {
                    ToolError::argument(format!(
                        "invalid value {value:?} for option {name}: unknown format {value:?}"
                    ))
                })?
            }
            (Answer::Yaml, None) => Format::Yaml,
            (Answer::Raw, _) => Format::Raw,
            (Answer::Smart | Answer::Nothing | Answer::NothingInAnyFormat, _) => Format::Smart,
        };
        Ok(Output { format, file: self.nonempty("o").map(Into::into) })
    }

    fn notes(&self) -> Vec<String> {
        let ignored = matches!(self.tool.answer, Answer::NothingInAnyFormat)
            && self.nonempty("format").is_some();
        let note = format!("--format flag deprecated for command {:?}", self.tool.name);
        ignored.then_some(note).into_iter().collect()
    }
}

fn unreadable(what: &str, error: &io::Error) -> ToolError {
    ToolError::running(format!("cannot read {what}: {}", cause(error)))
}

#[cfg(test)]
mod tests;
