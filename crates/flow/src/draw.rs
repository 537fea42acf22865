//! A flow as a picture, for Mermaid and for Graphviz.

use std::{collections::BTreeMap, fmt::Write};

use crate::{Condition, NewFlow, NewTask, TaskState, Work};

/// The language of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz digraph.
    Dot,
}

/// A flow in a language that draws it: tasks by their titles, nested flows as boxes, conditions at the arrows. Tasks whose state
/// is told, by their positions, say and show it.
///
/// ```
/// use tutti_flow::{Format, NewFlow, NewTask, TaskState, draw};
///
/// let task = |name: &str, needs: &[usize]| NewTask {
///     name: name.into(),
///     needs: needs.to_vec(),
///     ..NewTask::default()
/// };
/// let flow = NewFlow { tasks: vec![task("fetch", &[]), task("check", &[0])], ..NewFlow::default() };
/// let picture = draw(&flow, Format::Mermaid, |task| (task == 0).then_some(TaskState::Succeeded));
/// assert!(picture.contains("t0 --> t1"));
/// ```
pub fn draw(flow: &NewFlow, format: Format, state: impl Fn(usize) -> Option<TaskState>) -> String {
    let mut drawing = Drawing { flow, format, state, text: String::new() };
    drawing.flow();
    drawing.text
}

struct Drawing<'a, S> {
    flow: &'a NewFlow,
    format: Format,
    state: S,
    text: String,
}

/// The tasks of a nested flow, and those nested in it.
#[derive(Default)]
struct Group {
    tasks: Vec<usize>,
    groups: BTreeMap<u32, Group>,
}

impl<S: Fn(usize) -> Option<TaskState>> Drawing<'_, S> {
    fn flow(&mut self) {
        let mut groups = Group::default();
        for (at, task) in self.flow.tasks.iter().enumerate() {
            let mut group = &mut groups;
            for number in &task.within {
                group = group.groups.entry(*number).or_default();
            }
            group.tasks.push(at);
        }
        match self.format {
            Format::Mermaid => self.line(0, "flowchart TD"),
            Format::Dot => {
                let title = self.quoted(&[&self.flow.title]);
                self.line(0, "digraph flow {");
                self.line(
                    1,
                    &format!("label={title}; node [shape=box style=filled fillcolor=white];"),
                );
            }
        }
        self.group(&groups, 1);
        for (at, task) in self.flow.tasks.iter().enumerate() {
            self.edges(at, task);
        }
        if self.format == Format::Dot {
            self.line(0, "}");
        }
    }

    fn group(&mut self, group: &Group, depth: usize) {
        for at in &group.tasks {
            self.node(*at, depth);
        }
        for (number, inner) in &group.groups {
            let controllers = inner.tasks.iter().map(|at| &self.flow.tasks[*at]);
            let title = controllers
                .filter(|task| matches!(task.work, Work::Retry(_)))
                .find_map(|task| task.name.strip_suffix(".retry"));
            let title = self.quoted(&[title.unwrap_or(" ")]);
            match self.format {
                Format::Mermaid => self.line(depth, &format!("subgraph g{number}[{title}]")),
                Format::Dot => {
                    self.line(depth, &format!("subgraph cluster_{number} {{"));
                    self.line(depth + 1, &format!("label={title};"));
                }
            }
            self.group(inner, depth + 1);
            self.line(depth, if self.format == Format::Mermaid { "end" } else { "}" });
        }
    }

    fn node(&mut self, at: usize, depth: usize) {
        let task = &self.flow.tasks[at];
        let name = if task.title.is_empty() { &task.name } else { &task.title };
        let state = (self.state)(at);
        let text = match state {
            Some(state) => self.quoted(&[name, state.as_str()]),
            None => self.quoted(&[name]),
        };
        match self.format {
            Format::Mermaid => {
                let (open, close) = match task.work {
                    Work::Run => ("[", "]"),
                    Work::Wait(_) | Work::Sleep(_) | Work::Until(_) => ("([", "])"),
                    Work::Gate => ("((", "))"),
                    Work::Retry(_) => ("{{", "}}"),
                    Work::Each(_) | Work::Flow(_) => ("[[", "]]"),
                };
                self.line(depth, &format!("t{at}{open}{text}{close}"));
                if let Some(state) = state {
                    self.line(depth, &format!("style t{at} fill:{}", colour(state)));
                }
            }
            Format::Dot => {
                let shape = match task.work {
                    Work::Run => "box",
                    Work::Wait(_) | Work::Sleep(_) | Work::Until(_) => "ellipse",
                    Work::Gate => "circle",
                    Work::Retry(_) => "hexagon",
                    Work::Each(_) => "box3d",
                    Work::Flow(_) => "component",
                };
                let fill = state.map_or("white", colour);
                let node = format!("t{at} [label={text} shape={shape} fillcolor=\"{fill}\"];");
                self.line(depth, &node);
            }
        }
    }

    fn edges(&mut self, at: usize, task: &NewTask) {
        let bound = task.bindings.iter().map(|binding| binding.task);
        let mut needs: BTreeMap<usize, Vec<String>> =
            task.needs.iter().copied().chain(bound).map(|need| (need, vec![])).collect();
        for when in &task.when {
            needs.entry(when.task).or_default().push(words(&when.is));
        }
        for (need, conditions) in needs {
            let label = self.quoted(&[&conditions.join(" and ")]);
            let edge = match (self.format, conditions.is_empty()) {
                (Format::Mermaid, true) => format!("t{need} --> t{at}"),
                (Format::Mermaid, false) => format!("t{need} -->|{label}| t{at}"),
                (Format::Dot, true) => format!("t{need} -> t{at};"),
                (Format::Dot, false) => format!("t{need} -> t{at} [label={label}];"),
            };
            self.line(1, &edge);
        }
    }

    fn line(&mut self, depth: usize, line: &str) {
        // Writing to a string cannot fail.
        writeln!(self.text, "{:1$}{line}", "", depth * 2).ok();
    }

    /// Lines of text in quotes.
    fn quoted(&self, lines: &[&str]) -> String {
        let quote = |line: &&str| {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            match self.format {
                Format::Mermaid => (line.replace('#', "#35;").replace('"', "#quot;"))
                    .replace('<', "#lt;")
                    .replace('>', "#gt;"),
                Format::Dot => line.replace('\\', "\\\\").replace('"', "\\\""),
            }
        };
        let between = if self.format == Format::Mermaid { "<br/>" } else { "\\n" };
        let text = lines.iter().map(quote).collect::<Vec<_>>().join(between);
        // Mermaid refuses an empty text.
        format!("\"{}\"", if text.is_empty() { " " } else { &text })
    }
}

fn words(condition: &Condition) -> String {
    match condition {
        Condition::True => "is true".into(),
        Condition::False => "is not true".into(),
        Condition::Equals(value) => format!("is {value}"),
        Condition::OneOf(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("is {}", values.join(" or "))
        }
        Condition::At(pointer, condition) => {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            format!("{path} {}", words(condition))
        }
    }
}

fn colour(state: TaskState) -> &'static str {
    match state {
        TaskState::Succeeded => "#b7e1b0",
        TaskState::Running => "#a9d0f5",
        TaskState::Failed | TaskState::RevertFailed => "#f2a9a0",
        TaskState::Reverting | TaskState::Reverted => "#e3c4f0",
        TaskState::Cancelled | TaskState::Skipped => "#d9d9d9",
        TaskState::Pending => "#ffffff",
        _ => "#f9e79f",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Controller, Depth, When};

    fn flow() -> NewFlow {
        let task = |name: &str, needs: &[usize], within: &[u32]| NewTask {
            name: name.into(),
            needs: needs.to_vec(),
            within: within.to_vec(),
            ..NewTask::default()
        };
        let is = Condition::At("/disk".into(), Box::new(Condition::Equals(json!("ssd"))));
        NewFlow {
            title: "boot".into(),
            tasks: vec![
                NewTask { title: "say \"hi\" <b>".into(), ..task("hello", &[], &[]) },
                NewTask {
                    work: Work::Retry(Controller::AlwaysRevert),
                    ..task("disks.retry", &[0], &[1])
                },
                NewTask {
                    when: vec![When { task: 0, is, depth: Depth::All }],
                    ..task("format", &[0, 1], &[1])
                },
                NewTask { work: Work::Gate, ..task("gate", &[2], &[1, 2]) },
            ],
            ..NewFlow::default()
        }
    }

    #[test]
    fn mermaid_draws_it() {
        let state = |at| (at == 0).then_some(TaskState::Succeeded);
        let expected = r##"flowchart TD
  t0["say #quot;hi#quot; #lt;b#gt;<br/>succeeded"]
  style t0 fill:#b7e1b0
  subgraph g1["disks"]
    t1{{"disks.retry"}}
    t2["format"]
    subgraph g2[" "]
      t3(("gate"))
    end
  end
  t0 --> t1
  t0 -->|"disk is #quot;ssd#quot;"| t2
  t1 --> t2
  t2 --> t3
"##;
        assert_eq!(draw(&flow(), Format::Mermaid, state), expected);
    }

    #[test]
    fn graphviz_draws_it() {
        let expected = r##"digraph flow {
  label="boot"; node [shape=box style=filled fillcolor=white];
  t0 [label="say \"hi\" <b>" shape=box fillcolor="white"];
  subgraph cluster_1 {
    label="disks";
    t1 [label="disks.retry" shape=hexagon fillcolor="white"];
    t2 [label="format" shape=box fillcolor="white"];
    subgraph cluster_2 {
      label=" ";
      t3 [label="gate" shape=circle fillcolor="white"];
    }
  }
  t0 -> t1;
  t0 -> t2 [label="disk is \"ssd\""];
  t1 -> t2;
  t2 -> t3;
}
"##;
        assert_eq!(draw(&flow(), Format::Dot, |_| None), expected);
    }
}
