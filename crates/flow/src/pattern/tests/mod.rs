mod inputs;
mod order;
mod random;
mod refused;
mod resources;

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{Binding, Child, Fate, NewTask, Retry, Task, TaskContext, Then, Timeouts, When, Work};

macro_rules! tasks {
    ($($task:ident = $name:literal: $input:ty => $output:ty;)*) => { $(
        struct $task;
        impl Task for $task {
            const NAME: &'static str = $name;
            type Input = $input;
            type Output = $output;
            async fn execute(&self, _: TaskContext, _: $input) -> Result<$output, crate::Failure> {
                Err(crate::Failure::Terminal("only planned".into()))
            }
        }
    )* };
}

tasks! {
    Nothing = "nothing": () => ();
    Greet = "greet": String => String;
    Create = "create": Size => Volume;
    Attach = "attach": Attachment => ();
    Resize = "resize": Volume => Volume;
    Left = "left": Right1 => Left1;
    Right = "right": Left1 => Right1;
    Count = "count": Numbered => ();
    Open = "open": HashMap<String, serde_json::Value> => serde_json::Value;
}

#[derive(Serialize, Deserialize)]
struct Size {
    gigabytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Volume {
    volume: String,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "volume")]
    _volume: String,
    #[serde(rename = "server")]
    _server: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Left1 {
    left: u32,
}

#[derive(Serialize, Deserialize)]
struct Right1 {
    right: u32,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "volume")]
    _volume: u64,
}

fn built(pattern: Pattern) -> Vec<NewTask> {
    built_flow(pattern).tasks
}

fn built_flow(pattern: Pattern) -> NewFlow {
    pattern.build(Uuid::nil()).unwrap()
}

fn nothing(name: &str) -> Step {
    task::<Nothing>().named(name).title(name)
}

fn three(pattern: Pattern) -> Pattern {
    pattern.add_all(["a", "b", "c"].map(nothing))
}

/// Who needs whom, by titles, else names.
fn needs(tasks: &[NewTask]) -> String {
    let name = |at: &usize| {
        let task = &tasks[*at];
        if task.title.is_empty() { task.name.clone() } else { task.title.clone() }
    };
    let line = |at: usize| {
        let needs: Vec<String> = tasks[at].needs.iter().map(name).collect();
        format!("{}<{}", name(&at), needs.join(","))
    };
    (0..tasks.len()).map(line).collect::<Vec<_>>().join(" ")
}
