//! `content`: mirrors, versions and what is served of them.
//!
//! A *mirror* here is a repository, the remote it is synced from and the distribution that serves it, all of one name. The
//! commands speak the same REST API as `pulp-cli` ([`rest`]), so whatever one of the two makes, the other one shows.

mod look;
mod mirror;
mod rest;
mod serve;
mod task;
mod unit;
mod upload;

use clap::{Args, Subcommand, ValueEnum};

use crate::arguments::{ControllerArgument, OutputArguments};
use crate::context::Context;
use crate::failure::Outcome;
use rest::Rest;

/// Commands about content.
#[derive(Debug, Subcommand)]
pub(crate) enum ContentCommand {
    /// Mirror, version and serve packages and files
    Content(Content),
}

impl ContentCommand {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Content(content) = self;
        Box::pin(content.what.run(context)).await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Content {
    #[command(subcommand)]
    what: ContentVerb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum ContentVerb {
    /// Mirror a remote: make it, sync it and serve it; again: sync it anew
    #[command(
        after_help = "What is served changes at once, when all of it is here. Whatever could not be fetched is named and \
                            left as it was.\n\nExamples:\n  \
                            tutti content mirror https://pypi.org/simple/ --only requests --only 'flask>=3'\n  \
                            tutti content mirror https://example.org/files/PULP_MANIFEST --name files --policy on-demand\n  \
                            tutti content mirror files"
    )]
    Mirror(OnController<mirror::Mirror>),
    /// List what is there: repositories, their newest versions, and where they are served
    List(OnController<look::List>),
    /// List the versions of a repository
    Versions(OnController<look::Versions>),
    /// List what a version holds
    Show(OnController<look::Show>),
    /// Show what differs between two versions
    #[command(after_help = "Example:\n  tutti content diff pypi 3 4")]
    Diff(OnController<look::Diff>),
    /// Serve one version of a repository below a path
    #[command(after_help = "Examples:\n  tutti content promote pypi 3 --to stable\n  \
                            tutti content promote pypi          # follow the newest again")]
    Promote(OnController<serve::Promote>),
    /// Serve the version before the one that is served
    #[command(
        after_help = "Nothing is thrown away: 'tutti content promote NAME' follows the newest again."
    )]
    Rollback(OnController<serve::Rollback>),
    /// Put files into a repository
    #[command(after_help = "Example:\n  tutti content upload wheels dist/*.whl --type python")]
    Upload(OnController<upload::Upload>),
    /// Remove a repository with its versions, its remote and what serves it
    Remove(OnController<serve::Remove>),
    /// Remove what no version holds
    Clean(OnController<serve::Clean>),
    /// Read all that is stored, and fetch again what is damaged
    Repair(OnController<serve::Repair>),
}

impl ContentVerb {
    async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Mirror(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Versions(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Diff(command) => command.run(context).await,
            Self::Promote(command) => command.run(context).await,
            Self::Rollback(command) => command.run(context).await,
            Self::Upload(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
            Self::Clean(command) => command.run(context).await,
            Self::Repair(command) => command.run(context).await,
        }
    }
}

/// A command with the controller it works with and the form of its answer.
#[derive(Args, Debug)]
struct OnController<T: Args> {
    #[command(flatten)]
    what: T,
    #[command(flatten)]
    controller: ControllerArgument,
    #[command(flatten)]
    output: OutputArguments,
}

impl<T: Args + Action> OnController<T> {
    async fn run(self, context: &Context) -> Outcome {
        let target = context.target(self.controller.controller.as_deref())?;
        let rest = Rest::new(context.client(&target).await?);
        self.what.run(&Session { context, rest, output: self.output }).await
    }
}

/// What a command works with.
struct Session<'a> {
    context: &'a Context,
    rest: Rest,
    output: OutputArguments,
}

/// A command once its controller is there.
trait Action {
    async fn run(self, session: &Session<'_>) -> Outcome;
}

/// Content types that can be mirrored, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ContentType {
    /// Files of a list, PULP_MANIFEST
    File,
    /// Packages of a Python index
    Python,
}

impl ContentType {
    const ALL: [Self; 2] = [Self::File, Self::Python];

    /// The address of its repositories, and of its remotes with another noun.
    fn path(self, noun: &str) -> String {
        let kind = match (self, noun) {
            (Self::File, "content") => "file/files",
            (Self::File, _) => "file/file",
            (Self::Python, "content") => "python/packages",
            (Self::Python, "distributions" | "publications") => "python/pypi",
            (Self::Python, _) => "python/python",
        };
        format!("{}{noun}/{kind}/", rest::V3)
    }

    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Python => "python",
        }
    }

    /// That of a repository by its address.
    fn of_href(href: &str) -> Option<Self> {
        let path = href.strip_prefix(rest::V3)?;
        let name = path.split('/').nth(1)?;
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}
