//! Content types as Pulp names them: a plugin, and in it a word for each noun.

/// A content type that is served in Pulp's ways.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// The content type.
    pub(crate) content_type: &'static str,
    /// The first word of paths; the same as that of its repositories and remotes, which is the second word there.
    pub(crate) name: &'static str,
    /// The second word of paths of publications and distributions.
    pub(crate) published: &'static str,
    /// The second word of paths of content.
    pub(crate) content: &'static str,
    /// `pulp_type` of its units.
    pub(crate) pulp_type: &'static str,
    /// How Pulp's documents call the parameter that is a unit's address.
    pub(crate) content_parameter: &'static str,
}

/// Every one.
pub(crate) static PLUGINS: [Plugin; 2] = [
    Plugin {
        content_type: "file",
        name: "file",
        published: "file",
        content: "files",
        pulp_type: "file.file",
        content_parameter: "file_file_content_href",
    },
    Plugin {
        content_type: "python",
        name: "python",
        published: "pypi",
        content: "packages",
        pulp_type: "python.python",
        content_parameter: "python_python_package_content_href",
    },
];

/// What has an address of its own among the things of a content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noun {
    /// `repositories/`
    Repository,
    /// `remotes/`
    Remote,
    /// `publications/`
    Publication,
    /// `distributions/`
    Distribution,
    /// `content/`
    Content,
}

impl Noun {
    /// Every one.
    pub(crate) const ALL: [Self; 5] =
        [Self::Repository, Self::Remote, Self::Publication, Self::Distribution, Self::Content];

    /// The word its paths begin with.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Repository => "repositories",
            Self::Remote => "remotes",
            Self::Publication => "publications",
            Self::Distribution => "distributions",
            Self::Content => "content",
        }
    }

    /// Its word.
    pub(crate) fn singular(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Remote => "remote",
            Self::Publication => "publication",
            Self::Distribution => "distribution",
            Self::Content => "content",
        }
    }
}

impl Plugin {
    /// The plugin of a content type; the first one for those that are not served so.
    pub(crate) fn of(content_type: &str) -> &'static Self {
        let [first, ..] = &PLUGINS;
        PLUGINS.iter().find(|plugin| plugin.content_type == content_type).unwrap_or(first)
    }

    /// The plugin whose paths of a noun have these two words.
    pub(crate) fn at(noun: Noun, name: &str, kind: &str) -> Option<&'static Self> {
        PLUGINS.iter().find(|plugin| plugin.name == name && plugin.kind(noun) == kind)
    }

    /// The second word of the paths of a noun.
    pub(crate) fn kind(&self, noun: Noun) -> &'static str {
        match noun {
            Noun::Repository | Noun::Remote => self.name,
            Noun::Publication | Noun::Distribution => self.published,
            Noun::Content => self.content,
        }
    }

    /// How Pulp's documents call the parameter that is an address of a noun.
    pub(crate) fn parameter(&self, noun: Noun) -> String {
        match noun {
            Noun::Content => self.content_parameter.to_owned(),
            _ => format!("{0}_{0}_{1}_href", self.name, noun.singular()),
        }
    }

    /// Every content type that is served so.
    pub(crate) fn content_types() -> Vec<String> {
        PLUGINS.iter().map(|plugin| plugin.content_type.to_owned()).collect()
    }
}
